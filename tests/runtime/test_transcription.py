"""Segments of a recording come as soon as they are final, those of several channels by their beginnings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.errors import AudioError, DamagedAudioError, UsageError
from edgespeech.runtime import transcription
from edgespeech.runtime.audio import read
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcription import Transcription

RATE = 16000
CLIPS = [read_manifest(SAMPLE_CLIPS)[index] for index in (3, 4, 5)]
Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer(beam_width=16)


@pytest.fixture(scope="module")
def turns() -> Samples:
    """Make three turns with pauses of 2 s, float32 [n, 2]: the second channel, the first, and the second again."""
    columns = []
    for clip, channel in zip(CLIPS, (1, 0, 1), strict=True):
        samples = np.pad(read(clip.path, RATE), (0, 2 * RATE))
        columns.append(np.stack([samples * (channel == 0), samples * (channel == 1)], axis=1))
    return np.concatenate(columns)


def counted(samples: Samples, taken: list[int]) -> Iterator[Samples]:
    """Yield blocks of a tenth of a second, [n, channels], and note how many have been asked for."""
    for start in range(0, len(samples), RATE // 10):
        taken.append(start)
        yield samples[start : start + RATE // 10]


def test_segments_are_those_of_the_transcript(recognizer: Recognizer, turns: Samples, tmp_path: Path) -> None:
    path = tmp_path / "turns.wav"
    soundfile.write(path, turns, RATE, subtype="FLOAT")
    for channel in (None, 1, 2):
        expected = recognizer.transcribe(path, channel).segments
        assert tuple(recognizer.segments(path, channel)) == expected
        assert tuple(recognizer.segments((turns, RATE), channel)) == expected
    assert len(expected) == 2


def test_a_segment_comes_before_the_rest_is_read(recognizer: Recognizer, turns: Samples) -> None:
    taken: list[int] = []
    found = iter(Transcription(recognizer.stream, counted(turns[:, 1:], taken)))
    _, first = next(found)
    assert first.end * RATE < taken[-1] < 5.4 * RATE  # where the second turn begins
    _, second = next(found)
    assert taken[-1] > second.end * RATE > 10 * RATE


def test_segments_of_two_channels_come_by_their_beginnings(recognizer: Recognizer, turns: Samples) -> None:
    taken: list[int] = []
    work = Transcription(recognizer.stream, counted(turns, taken))
    found = []
    for index, segment in work:
        found.append((index, segment, taken[-1]))
    first, second = work.transcripts()
    expected = sorted([(0, one) for one in first.segments] + [(1, one) for one in second.segments],
                      key=lambda pair: pair[1].start)  # fmt: skip
    assert [pair[:2] for pair in found] == expected
    assert [index for index, _, _ in found] == [1, 0, 1]
    # The silence of the other channel holds nothing back for long.
    assert found[0][2] < 11 * RATE and found[1][2] < found[2][2]
    assert first.duration == second.duration == len(turns) / RATE


def test_damage_is_raised_behind_the_last_segment(recognizer: Recognizer, turns: Samples, tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    soundfile.write(path, turns, RATE)
    path.write_bytes(path.read_bytes()[: -RATE * 4])
    found = []
    with pytest.raises(DamagedAudioError, match="is damaged at 15.28 s"):
        for segment in recognizer.segments(path, 2):
            found.append(segment)
    transcript = recognizer.transcribe(path, 2)
    assert tuple(found) == transcript.segments and len(found) == 2 and not transcript.complete


def test_what_cannot_be_read_is_reported(recognizer: Recognizer, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="does not exist"):
        list(recognizer.segments(tmp_path / "no.wav"))
    with pytest.raises(UsageError, match="wanted the path of an audio file or"):
        recognizer.segments(b"samples")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="wanted mix, each, or a number"):
        list(recognizer.segments((np.zeros(RATE, np.float32), RATE), 0))


def test_the_time_of_the_caller_does_not_count(
    recognizer: Recognizer, turns: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(transcription, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def blocks() -> Iterator[Samples]:
        for block in counted(turns[:, 1:], []):
            now[0] += 1.0
            yield block

    work = Transcription(recognizer.stream, blocks())
    for _ in work:
        now[0] += 1000.0
    (transcript,) = work.transcripts()
    assert (transcript.seconds, len(transcript.segments)) == (-(-len(turns) // 1600), 2)
