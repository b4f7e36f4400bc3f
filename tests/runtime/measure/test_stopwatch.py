"""A stopwatch adds up the time of a stage and changes nothing else about it."""

from __future__ import annotations

import time

import pytest

from edgespeech.runtime.measure.stopwatch import Stopwatch


class _Stage:
    sample_rate = 16000

    def step(self, x: int, state: int) -> tuple[int, int]:
        time.sleep(0.01)
        return x + state, state + 1

    def finish(self, state: int) -> int:
        raise ValueError(state)


def test_steps_are_timed_and_their_results_returned() -> None:
    stage = Stopwatch(_Stage())
    assert stage.step(1, 2) == (3, 3) and stage.step(1, 3) == (4, 4)
    assert 0.02 <= stage.seconds < 1.0
    assert stage.sample_rate == 16000


def test_a_step_that_fails_is_timed_too() -> None:
    stage = Stopwatch(_Stage())
    with pytest.raises(ValueError, match="7"):
        stage.finish(7)
    assert stage.seconds > 0.0
