"""Several sources at once: each with its own stream, one model, one output."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.live.session import live, run_live
from edgespeech.errors import AudioError, UsageError
from edgespeech.runtime.live.sources import Block, Replay, arrivals
from edgespeech.runtime.recognizer import Recognizer
from tests.runtime.live.stand_ins import RATE, FakeRecognizer, Remembered, Sounds


@pytest.fixture
def recordings(tmp_path: Path, noise: Callable[[int], Any]) -> list[Path]:
    """Two different ones."""
    for name, seconds in (("left", 2), ("right", 3)):
        soundfile.write(tmp_path / f"{name}.wav", noise(seconds * RATE), RATE)
    return [tmp_path / "left.wav", tmp_path / "right.wav"]


def test_each_source_has_its_own_text(tiny_bundle: Any, recordings: list[Path]) -> None:
    recognizer = Recognizer(tiny_bundle, beam_width=8, min_evidence=0.0)
    output = Remembered()
    run_live(recognizer, [Replay(path, RATE, 0) for path in recordings], output)
    for path in recordings:
        heard = [event for event, source in zip(output.events, output.sources, strict=True) if source == path.stem]
        assert " ".join(event.text for event in heard if event.type == "final") == recognizer.transcribe(path).text
        assert heard[0].text.startswith("replaying") and heard[-1].text.startswith("end: ")
    assert set(output.sources) == {"left", "right"}


def test_sources_of_one_name_are_numbered() -> None:
    recognizer: Any = FakeRecognizer()
    output = Remembered()
    run_live(recognizer, [Sounds(0.5), Sounds(0.5)], output)
    assert set(output.sources) == {"test 1", "test 2"}


class Endless(Sounds):
    """Gives sound until it is stopped."""

    def __iter__(self) -> Iterator[Block]:  # noqa: D105
        while not self.stopped:
            self.given += 1
            yield Block(np.zeros(10, np.float32), 0.0)


def test_blocks_of_all_sources_come_until_the_last_one_ends() -> None:
    counts = [0, 0]
    for number, _ in arrivals([Sounds(0.1, 0.1, 0.1), Sounds(0.2)]):
        counts[number] += 1
    assert counts == [3, 1]


def test_no_thread_is_left_when_the_listener_leaves() -> None:
    before = threading.active_count()
    blocks = arrivals([Endless(), Endless()])
    next(blocks)
    blocks.close()
    assert threading.active_count() == before


def test_a_damaged_source_ends_the_session_with_all_finals() -> None:
    def fail() -> None:
        raise AudioError("damaged")

    recognizer: Any = FakeRecognizer()
    output, other = Remembered(), Endless()
    with pytest.raises(AudioError, match="damaged"):
        run_live(recognizer, [other, Sounds(0.5, fail)], output)
    assert other.stopped
    assert output.texts("final")[-2:] == ["the end", "the end"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"devices": ["0"], "replays": ["a.wav"]}, "exclude each other"),
        ({"rate": 16000, "replays": ["a.wav"]}, "--rate and --replay exclude each other"),
    ],
)
def test_options_that_clash(options: dict[str, Any], words: str) -> None:
    recognizer: Any = FakeRecognizer()
    with pytest.raises(UsageError, match=words):
        live(recognizer, **options)
