"""Several sources at once: each with its own stream, one model, one output."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.errors import AudioError, UsageError
from edgespeech.runtime.live.request import LiveRequest
from edgespeech.runtime.live.session import run_session
from edgespeech.runtime.live.sources import Block, Replay, arrivals
from edgespeech.runtime.recognizer import Recognizer
from tests.runtime.live.stand_ins import RATE, CollectingOutput, FakeRecognizer, FakeSource


@pytest.fixture
def recordings(tmp_path: Path, noise: Callable[[int], Any]) -> list[Path]:
    for name, seconds in (("left", 2), ("right", 3)):
        soundfile.write(tmp_path / f"{name}.wav", noise(seconds * RATE), RATE)
    return [tmp_path / "left.wav", tmp_path / "right.wav"]


def test_each_source_has_its_own_text(tiny_bundle: Any, recordings: list[Path]) -> None:
    recognizer = Recognizer(tiny_bundle, beam_width=8, min_evidence=0.0)
    output = CollectingOutput()
    run_session(recognizer, [Replay(path, RATE, 0) for path in recordings], output)
    for path in recordings:
        events = [event for event, source in zip(output.events, output.sources, strict=True) if source == path.stem]
        assert " ".join(event.text for event in events if event.type == "final") == recognizer.transcribe(path).text
        assert events[0].text.startswith("replaying") and events[-1].text.startswith("end: ")
    assert set(output.sources) == {"left", "right"}


def test_sources_of_one_name_are_numbered() -> None:
    recognizer: Any = FakeRecognizer()
    output = CollectingOutput()
    run_session(recognizer, [FakeSource(0.5), FakeSource(0.5)], output)
    assert set(output.sources) == {"test 1", "test 2"}


class Endless(FakeSource):
    """A source that gives silence until it is stopped."""

    def __iter__(self) -> Iterator[Block]:
        while not self.stopped:
            self.given += 1
            yield Block(np.zeros(10, np.float32), 0.0)


def test_blocks_of_all_sources_come_until_the_last_one_ends() -> None:
    counts = [0, 0]
    for number, _ in arrivals([FakeSource(0.1, 0.1, 0.1), FakeSource(0.2)]):
        counts[number] += 1
    assert counts == [3, 1]


def test_no_thread_is_left_when_reading_stops() -> None:
    before = threading.active_count()
    blocks = arrivals([Endless(), Endless()])
    next(blocks)
    blocks.close()
    assert threading.active_count() == before


def test_a_damaged_source_ends_the_session_with_all_finals() -> None:
    def fail() -> None:
        raise AudioError("damaged")

    recognizer: Any = FakeRecognizer()
    output, other = CollectingOutput(), Endless()
    with pytest.raises(AudioError, match="damaged"):
        run_session(recognizer, [other, FakeSource(0.5, fail)], output)
    assert other.stopped
    assert output.texts("final")[-2:] == ["the end", "the end"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"devices": ["0"], "replays": ["a.wav"]}, "exclude each other"),
        ({"rate": 16000, "replays": ["a.wav"]}, "--rate and --replay exclude each other"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        LiveRequest(**options)
