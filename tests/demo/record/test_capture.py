"""Takes: where speech begins and ends, and what is measured; and the verdict on their sound."""

# ruff: noqa: D102  (methods of stand-ins)

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.demo.record.capture import Recorded, Take
from edgespeech.demo.record.verdict import judge, sound_problem
from edgespeech.runtime.recognizer import Recognizer

RATE = 16000
BLOCK = 480
GOOD = Recorded(np.zeros(RATE, np.float32), RATE, -20.0, -60.0, 0.0, True)


def noise(seconds: float, deviation: float) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(0.0, deviation, round(seconds * RATE)).astype(np.float32)


def take_of(samples: NDArray[np.float32]) -> Take:
    take = Take()
    for start in range(0, len(samples), BLOCK):
        if take.is_over(RATE):
            break
        take = take.add(samples[start : start + BLOCK])
    return take


def test_a_take_ends_after_a_pause_and_keeps_half_a_second_on_both_sides() -> None:
    take = take_of(np.concatenate([noise(2.0, 1e-3), noise(1.5, 0.1), noise(3.0, 1e-3)]))
    assert take.is_over(RATE)
    assert take.seconds(RATE) == pytest.approx(2.0 + 1.5 + 1.2, abs=0.06)
    recorded = take.recording(RATE)
    assert recorded.has_speech and recorded.seconds == pytest.approx(0.5 + 1.5 + 0.5, abs=0.06)
    assert recorded.speech_db == pytest.approx(-20.0, abs=1.0) and recorded.room_db == pytest.approx(-60.0, abs=1.0)
    assert sound_problem(recorded) == ""


def test_a_pause_within_a_sentence_does_not_end_it() -> None:
    sound = np.concatenate([noise(1.0, 1e-3), noise(1.0, 0.1), noise(1.0, 1e-3), noise(1.0, 0.1), noise(2.0, 1e-3)])
    assert take_of(sound).recording(RATE).seconds == pytest.approx(0.5 + 3.0 + 0.5, abs=0.06)


def test_silence_goes_on_until_the_longest_take() -> None:
    take = take_of(noise(40.0, 1e-3))
    assert take.seconds(RATE) == pytest.approx(30.0, abs=0.05)
    assert sound_problem(take.recording(RATE)).startswith("no speech")


def test_a_take_without_a_block_has_no_speech() -> None:
    recorded = Take().recording(RATE)
    assert not recorded.has_speech and recorded.seconds == 0.0


def test_speech_from_the_first_block_on_is_whole() -> None:
    take = take_of(np.concatenate([noise(1.0, 0.1), noise(0.3, 1e-3), noise(1.0, 0.1), noise(2.0, 1e-3)]))
    assert take.recording(RATE).seconds == pytest.approx(2.3 + 0.5, abs=0.06)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"has_speech": False}, "no speech"),
        ({"clipped": 0.01}, "clipped (1.0 % of the samples): lower"),
        ({"speech_db": -50.0}, "too quiet (-50 dB)"),
        ({"room_db": -25.0}, "the room is loud (speech only 5 dB above it)"),
    ],
)
def test_bad_sound_is_told(change: dict[str, Any], problem: str) -> None:
    assert sound_problem(replace(GOOD, **change)).startswith(problem)


def test_clipping_is_measured() -> None:
    sound = np.clip(np.concatenate([noise(1.0, 1e-3), noise(1.5, 0.6), noise(2.0, 1e-3)]), -1.0, 1.0)
    assert sound_problem(take_of(sound).recording(RATE)).startswith("clipped")


class Says:
    """A recognizer that gives the same text for every recording."""

    def __init__(self, text: str) -> None:
        self.plain_text = text

    def transcribe(self, source: object) -> Says:
        return self


@pytest.mark.parametrize(
    ("said", "is_good"), [("hello there", True), ("yellow bear", True), ("", False), ("quick brown foxes", False)]
)
def test_what_is_recognised_decides_whether_it_was_read(said: str, is_good: bool) -> None:
    verdict = judge(GOOD, "Hello, there!", cast(Recognizer, Says(said)))
    assert verdict.is_good is is_good and verdict.recognised == said
    assert (verdict.cer == 0.0) is (said == "hello there")
