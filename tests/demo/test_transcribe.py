"""Several recordings: results are yielded as they come, and an unreadable file does not stop the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
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


@pytest.fixture
def call(tmp_path: Path, noise: Callable[[int], Any]) -> str:
    """Two speakers, one on each channel, who speak in turn."""
    left, right = np.zeros(64000), np.zeros(64000)
    left[:16000], right[32000:48000] = noise(16000), noise(16000)
    soundfile.write(tmp_path / "call.wav", np.stack([left, right], axis=1), 16000)
    return str(tmp_path / "call.wav")


def test_channels_are_merged_by_time(edgespeech: Callable[..., Any], tiny_bundle: Any, call: str) -> None:
    options = ("--channel", "each", "--min-evidence", 0, "--endpoint", 0.5, "--bundle", tiny_bundle.folder)
    alone = [edgespeech("transcribe", call, *options[2:], "--channel", number).out.strip() for number in (1, 2)]
    lines = edgespeech("transcribe", call, *options).out.splitlines()
    assert lines == sorted(lines, key=lambda line: line.startswith("channel 2: "))
    for number, text in enumerate(alone, start=1):
        name = f"channel {number}: "
        assert " ".join(line.removeprefix(name) for line in lines if line.startswith(name)) == text != ""
    records = [
        json.loads(line) for line in edgespeech("transcribe", call, *options, "--format", "json").out.splitlines()
    ]
    assert [(one["channel"], one["text"]) for one in records] == list(enumerate(alone, start=1))
    srt = edgespeech("transcribe", call, *options, "--format", "srt").out
    srt = " ".join(srt.split())
    assert srt.index("channel 1: ") < srt.index("channel 2: ")
    one = json.loads(edgespeech("transcribe", call, *options[2:], "--channel", 2, "--format", "json").out)
    assert (one["channel"], one["text"]) == (2, alone[1])


def test_a_warning_comes_with_channels_that_cancel(
    edgespeech: Callable[..., Any], tiny_bundle: Any, tmp_path: Path, noise: Callable[[int], Any]
) -> None:
    sound = noise(48000)
    soundfile.write(tmp_path / "inverted.wav", np.stack([sound, -sound], axis=1), 16000)
    outcome = edgespeech("transcribe", tmp_path / "inverted.wav", "--bundle", tiny_bundle.folder)
    assert outcome.code == 0 and "cancel each other" in outcome.err and "--channel 1" in outcome.err


def test_the_words_before_damage_are_printed(edgespeech: Callable[..., Any], tiny_bundle: Any, recording: str) -> None:
    options = ("--min-evidence", 0, "--bundle", tiny_bundle.folder)
    whole = Path(recording)
    cut = whole.with_name("cut.wav")
    cut.write_bytes(whole.read_bytes()[:-3200])
    outcome = edgespeech("transcribe", cut, whole, *options)
    lines = outcome.out.splitlines()
    assert outcome.code == 2 and len(lines) == 2
    assert lines[0].removeprefix(f"{cut}\t") not in ("", lines[0])
    assert "is damaged at 0.90 s" in outcome.err and len(outcome.err.splitlines()) == 1
    found = json.loads(edgespeech("transcribe", cut, *options, "--format", "json").out)
    assert "is damaged at 0.90 s" in found["damage"] and found["text"]


def test_raw_files_need_their_format(edgespeech: Callable[..., Any], tiny_bundle: Any, recording: str) -> None:
    options = ("--min-evidence", 0, "--bundle", tiny_bundle.folder)
    samples, _ = soundfile.read(recording, dtype="int16")
    raw = Path(recording).with_suffix(".raw")
    np.stack([samples, samples], axis=1).astype(">i2").tofile(raw)
    text = edgespeech("transcribe", recording, *options).out
    assert edgespeech("transcribe", raw, "--raw", "s16be:16000:2", *options).out == text
    outcome = edgespeech("transcribe", raw, *options)
    assert outcome.code == 2 and "--raw" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--channel", "left"), "wanted mix, each, or a number"),
        (("--channel", "0"), "wanted mix, each, or a number"),
        (("--channel", "2"), "has 1 channel; wanted channel 2"),
        (("--raw", "s16le:16000:1"), "--raw is for standard input"),
        (("--raw", "s16:16000:1"), "raw audio format 's16'"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    edgespeech: Callable[..., Any], tiny_bundle: Any, recording: str, arguments: tuple[str, ...], words: str
) -> None:
    outcome = edgespeech("transcribe", recording, *arguments, "--bundle", tiny_bundle.folder)
    assert outcome.code == 2 and outcome.out == "" and words in outcome.err


def test_raw_and_rate_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        TranscribeRequest(("-",), rate=8000, raw="s16le:8000:1")
