"""Endpoints: silence after speech, wherever the frames are cut."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.runtime.endpoint import Endpointer

FRAME_SECONDS = 0.04


def rows(text: str) -> NDArray[np.float32]:
    """One frame per character: ``.`` is blank, anything else speech."""
    log_probs = np.full((len(text), 3), math.log(0.1), np.float32)
    log_probs[np.arange(len(text)), [0 if mark == "." else 1 for mark in text]] = math.log(0.8)
    return log_probs


def ends(endpointer: Endpointer, text: str, cuts: list[int]) -> list[int]:
    """Frame numbers after which a segment ended, when the frames come cut like this."""
    found, heard, state = [], 0, endpointer.initial_state()
    for piece in np.split(rows(text), sorted(cuts)):
        while len(piece):
            ended, state = endpointer.step(piece, state)
            taken = len(piece) if ended is None else ended
            heard, piece = heard + taken, piece[taken:]
            if ended is not None:
                found.append(heard)
                state = endpointer.initial_state()
    return found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        ("........", []),
        ("a...", [4]),
        ("a..a..", []),
        ("a..a...", [7]),
        ("...a......a...", [7, 14]),
        ("a.....", [4]),
    ],
)
def test_three_blanks_after_speech_end_a_segment(text: str, wanted: list[int]) -> None:
    assert ends(Endpointer(FRAME_SECONDS, 0, 3 * FRAME_SECONDS), text, []) == wanted


@given(text=st.text(".a", max_size=60), cuts=st.lists(st.integers(0, 60), max_size=10), frames=st.integers(1, 5))
@settings(deadline=None)
def test_chunking_does_not_matter(text: str, cuts: list[int], frames: int) -> None:
    endpointer = Endpointer(FRAME_SECONDS, 0, frames * FRAME_SECONDS)
    assert ends(endpointer, text, cuts) == ends(endpointer, text, [])


def test_none_never_ends_a_segment() -> None:
    assert ends(Endpointer(FRAME_SECONDS, 0, None), "a" + "." * 500, [7]) == []


def test_a_stretch_shorter_than_a_frame_is_one_frame() -> None:
    assert ends(Endpointer(FRAME_SECONDS, 0, 0.001), "a.a..", []) == [2, 4]


def test_the_state_before_is_not_changed() -> None:
    endpointer = Endpointer(FRAME_SECONDS, 0, 2 * FRAME_SECONDS)
    _, spoke = endpointer.step(rows("a."), endpointer.initial_state())
    assert endpointer.step(rows("."), spoke)[0] == endpointer.step(rows("."), spoke)[0] == 1


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_a_stretch_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(UsageError, match="wanted more than 0"):
        Endpointer(FRAME_SECONDS, 0, seconds)
