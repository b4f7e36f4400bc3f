"""Recordings that are damaged, or have several channels: what the recognizer makes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.errors import AudioError, UsageError
from edgespeech.runtime.audio import from_array, read
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Transcript

RATE = 16000
CLIPS = [utterance.path for utterance in read_manifest(SAMPLE_CLIPS)[:2]]


@pytest.fixture(scope="module")
def recognizer(tiny_bundle: Any) -> Recognizer:
    return Recognizer(tiny_bundle, beam_width=4, min_evidence=0.0)


@pytest.fixture(scope="module")
def default_recognizer() -> Recognizer:
    return Recognizer()


def content(transcript: Transcript) -> tuple[Any, ...]:
    return transcript.text, transcript.segments, transcript.duration


@pytest.mark.parametrize("name", ["cut.wav", "cut.flac", "cut.mp3", "cut.ogg", "nan.wav"])
def test_a_damaged_recording_gives_the_words_up_to_there(
    default_recognizer: Recognizer, tmp_path: Path, name: str
) -> None:
    samples = read(CLIPS[0])
    path = tmp_path / name
    if name == "nan.wav":
        soundfile.write(path, np.append(samples, [np.nan]), RATE, subtype="FLOAT")
    else:
        soundfile.write(path, np.append(samples, np.random.default_rng(0).uniform(-1e-3, 1e-3, 4 * RATE)), RATE)
        size = path.stat().st_size
        path.write_bytes(path.read_bytes()[: -size // 20])
    transcript = default_recognizer.transcribe(path)
    assert not transcript.complete and f"{path.name}" in str(transcript.damage)
    expected = default_recognizer.transcribe((samples, RATE))
    assert expected.complete
    found, wanted = transcript.text.split(), expected.text.split()
    assert len(found) >= len(wanted) - 2 and len(set(found) & set(wanted)) > 0.6 * len(set(wanted))


def test_a_recording_of_which_nothing_is_left_is_refused(recognizer: Recognizer, tmp_path: Path) -> None:
    path = tmp_path / "nan.wav"
    soundfile.write(path, np.full(1000, np.nan), RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"NaN or infinity at 0\.000 s"):
        recognizer.transcribe(path)


def test_each_channel_has_the_transcript_of_a_recording_of_its_own(
    recognizer: Recognizer, noise: Callable[[int], NDArray[np.float32]], tmp_path: Path
) -> None:
    left, right = noise(40000), noise(40001)[:40000]
    path = tmp_path / "call.wav"
    soundfile.write(path, np.stack([left, right], axis=1), RATE, subtype="FLOAT")
    transcripts = recognizer.transcribe_channels(path)
    assert [one.channel for one in transcripts] == [1, 2]
    for one, alone in zip(transcripts, (left, right), strict=True):
        assert content(one) == content(recognizer.transcribe((alone, RATE)))
        assert content(recognizer.transcribe(path, channel=one.channel)) == content(one)
    in_memory = recognizer.transcribe_channels((np.stack([left, right], axis=1), RATE))
    assert [content(one) for one in in_memory] == [content(one) for one in transcripts]
    assert recognizer.transcribe(path).channel is None
    with pytest.raises(AudioError, match="wanted channel 3"):
        recognizer.transcribe(path, channel=3)
    with pytest.raises(UsageError, match="channel 0"):
        recognizer.transcribe(path, channel=0)


def test_a_silent_recording_has_no_words(recognizer: Recognizer, tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    soundfile.write(path, np.zeros((0, 2)), RATE)
    assert recognizer.transcribe(path).text == ""
    assert [one.text for one in recognizer.transcribe_channels(path)] == [""]


def test_a_stream_refuses_a_wrong_scale_and_reports_channels_that_cancel(
    recognizer: Recognizer, noise: Callable[[int], NDArray[np.float32]], caplog: pytest.LogCaptureFixture
) -> None:
    stream = recognizer.stream(RATE)
    with pytest.raises(AudioError, match="32768 times too large"):
        stream.accept(noise(1000) * 32768)
    stream = recognizer.stream(RATE)
    for block in np.split(noise(64000), 40):
        stream.accept(np.stack([block, -block], axis=1))
    assert caplog.text == ""
    stream.finish()
    assert "cancel each other" in caplog.text


def test_the_words_of_a_chain_are_those_of_its_links(default_recognizer: Recognizer, tmp_path: Path) -> None:
    path = tmp_path / "chain.opus"
    path.write_bytes(b"".join(clip.read_bytes() for clip in CLIPS))
    joined = np.concatenate([read(clip) for clip in CLIPS])
    assert np.array_equal(read(path), joined)
    assert default_recognizer.transcribe(path).text == default_recognizer.transcribe((joined, RATE)).text
    assert np.array_equal(from_array(joined, RATE), joined)
