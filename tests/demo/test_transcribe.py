"""Several recordings: results are yielded as they come, and an unreadable file does not stop the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.transcribe import TranscribeRequest, transcribe_files
from edgespeech.errors import AudioError, UsageError
from edgespeech.runtime.recognizer import Recognizer


@pytest.fixture
def recording(tmp_path: Path, noise: Callable[[int], Any]) -> str:
    soundfile.write(tmp_path / "noise.wav", noise(16000), 16000)
    return str(tmp_path / "noise.wav")


def test_results_and_errors_come_one_by_one(tiny_bundle: Any, recording: str, tmp_path: Path) -> None:
    recognizer = Recognizer(tiny_bundle, beam_width=4, min_evidence=0.0)
    results = transcribe_files(recognizer, TranscribeRequest((recording, str(tmp_path / "no.wav"), recording)))
    text = f"{recording}\t{recognizer.transcribe(recording).text}"
    assert next(results) == text
    error = next(results)
    assert isinstance(error, AudioError) and "does not exist" in str(error)
    assert list(results) == [text]


def test_errors_are_printed_even_with_quiet(edgespeech: Callable[..., Any], tiny_bundle: Any, recording: str) -> None:
    outcome = edgespeech("transcribe", "no.wav", recording, "--quiet", "--bundle", tiny_bundle.folder)
    assert outcome.code == 2 and outcome.out.startswith(f"{recording}\t")
    assert outcome.err.startswith("edgespeech: ") and "no.wav" in outcome.err


@pytest.mark.parametrize("output_format", ["srt", "vtt"])
def test_subtitles_of_several_recordings_are_refused(output_format: str) -> None:
    with pytest.raises(UsageError, match="2 recordings and --format"):
        TranscribeRequest(("a.wav", "b.wav"), output_format)
