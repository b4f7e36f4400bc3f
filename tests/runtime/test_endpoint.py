"""Endpoints: each rule alone, and that no label is lost or changed by any of them, wherever the frames are cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.runtime.endpoint import SILENCE_LEVEL, Endpointer, EndpointRules, frame_levels

FRAME_SECONDS = 0.04
LABELS = ("", " ", "a", "b")
MARKS = "._ab"  # blank, space, letters
NEVER = EndpointRules(None, None, None)


def rows(text: str) -> NDArray[np.float32]:
    """Return one frame per character of `MARKS`."""
    log_probs = np.full((len(text), len(LABELS)), math.log(0.1), np.float32)
    log_probs[np.arange(len(text)), [MARKS.index(mark) for mark in text]] = math.log(0.7)
    return log_probs


def endpointer(speech: float | None = None, nothing: float | None = None, longest: float | None = None) -> Endpointer:
    """Make an endpointer from rules in frames."""
    seconds = (None if frames is None else frames * FRAME_SECONDS for frames in (speech, nothing, longest))
    return Endpointer(FRAME_SECONDS, LABELS, 0, EndpointRules(*seconds))


def ends(by: Endpointer, text: str, cuts: Sequence[int] = (), quiet: Sequence[int] = ()) -> list[int]:
    """Return the frames after which segments ended, for frames that are cut like this, some of them quiet."""
    levels = np.zeros(len(text), np.float32)
    levels[list(quiet)] = SILENCE_LEVEL - 1.0
    found, received, state = [], 0, by.initial_state()
    for piece in np.split(rows(text), sorted(min(cut, len(text)) for cut in cuts)):
        while len(piece):
            ended, state = by.step(piece, levels[received : received + len(piece)], state)
            taken = len(piece) if ended is None else ended
            received, piece = received + taken, piece[taken:]
            if ended is not None:
                found.append(received)
                state = by.initial_state()
    return found


def collapse(text: str) -> str:
    """Merge equal neighbours and remove blanks, as greedy CTC does."""
    return "".join(mark for mark, _ in groupby(text) if mark != ".")


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
    assert ends(endpointer(speech=3), text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"), [("....", [4]), (".........", [4, 8]), ("...a......", []), ("a....", []), ("...._", [4])]
)
def test_four_blanks_before_any_speech_restart_a_segment(text: str, wanted: list[int]) -> None:
    assert ends(endpointer(nothing=4), text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("ab_ab_ab_a", []),  # no blank: nowhere to cut without touching a label
        ("ab_ab_.ab_", [7]),
        ("ab.ab.ab_.", [10]),  # only the last blank lies between words
        ("ab.ab.ab.ab.", [12]),  # one word of twice the length
        ("......", [5]),
    ],
)
def test_from_five_frames_on_a_pause_between_words_ends_a_segment(text: str, wanted: list[int]) -> None:
    assert ends(endpointer(longest=5), text) == wanted


def test_audio_below_the_silence_level_is_silence_whatever_its_labels() -> None:
    text = "ab.b..........."
    assert ends(endpointer(speech=4), text) == [8]
    assert ends(endpointer(speech=4), text, quiet=range(2, 15)) == [6]
    assert ends(endpointer(speech=4), "abababab", quiet=range(1, 8)) == []  # no blank to cut at


def test_levels_are_in_decibels_of_full_scale() -> None:
    loud, none = np.full(640, 0.1, np.float32), np.zeros(640, np.float32)
    np.testing.assert_allclose(frame_levels(np.concatenate([loud, none]), 640), [-20.0, -100.0], atol=1e-4)


RULES = st.builds(endpointer, *(st.none() | st.integers(1, 6) for _ in range(3)))


@given(text=st.text(MARKS, max_size=60), cuts=st.lists(st.integers(0, 60), max_size=10), by=RULES)
@settings(deadline=None)
def test_chunked_equals_whole(text: str, cuts: list[int], by: Endpointer) -> None:
    assert ends(by, text, cuts) == ends(by, text)


@given(text=st.text(MARKS, max_size=80), quiet=st.sets(st.integers(0, 79)), by=RULES)
@settings(deadline=None, max_examples=300)
def test_segments_joined_equal_the_whole_stream(text: str, quiet: set[int], by: Endpointer) -> None:
    found = ends(by, text, quiet=sorted(frame for frame in quiet if frame < len(text)))
    pieces = [text[first:last] for first, last in zip([0, *found], [*found, len(text)], strict=True)]
    assert all(piece.endswith(".") for piece in pieces[:-1])
    assert "".join(map(collapse, pieces)) == collapse(text)


def ends_with_lag(by: Endpointer, text: str, lag: int, chunk: int, guess: str | None = None) -> list[tuple[int, int]]:
    """Return the frames after which segments ended, and the frames received by then, if outputs have a lag.

    The outputs of frames inside the look-ahead are right, or else those of ``guess``, repeated.
    """
    found, begin, state = [], 0, by.initial_state()
    levels = np.zeros(len(text), np.float32)
    for received in range(chunk, len(text) + 1, chunk):
        decoded = max(begin, received - lag)
        while begin < decoded:
            ended, state = by.step(rows(text[begin:decoded]), levels[begin:decoded], state)
            begin = decoded if ended is None else begin + ended
            if ended is not None:
                found.append((begin, received))
                state = by.initial_state()
        ahead = text[decoded:received] if guess is None else (guess * lag)[: received - decoded]
        if by.may_end(state, len(ahead)) and by.ends_early(rows(ahead), levels[: len(ahead)], state):
            found.append((begin, received))
            state = by.initial_state()
    return found


@pytest.mark.parametrize("lag", [0, 1, 3, 8])
@pytest.mark.parametrize("chunk", [1, 2, 8])
def test_silence_counts_from_its_beginning(lag: int, chunk: int) -> None:
    text = "ab" + "." * 30 + "a" + "." * 31
    for last, (cut, received) in zip((2, 33), ends_with_lag(endpointer(speech=10), text, lag, chunk), strict=True):
        assert last < cut <= last + 10 <= received < last + 10 + chunk


def test_sound_inside_the_look_ahead_is_not_silence() -> None:
    text = "a.......b" + "." * 20
    assert ends_with_lag(endpointer(speech=8), text, 3, 1) == [(14, 17)]
    assert ends_with_lag(endpointer(speech=8), text, 3, 1, guess="b")[0] == (17, 20)  # it turned out to be silence


def test_a_segment_does_not_end_within_a_label() -> None:
    assert ends_with_lag(endpointer(speech=2), "aaaa........", 4, 4, guess=".") == [(6, 12)]


@given(
    text=st.text(MARKS, max_size=60),
    lag=st.integers(0, 9),
    chunk=st.integers(1, 9),
    guess=st.none() | st.text(MARKS, min_size=1, max_size=9),
    by=RULES,
)
@settings(deadline=None, max_examples=300)
def test_no_label_is_lost_whatever_the_outputs_of_the_look_ahead(
    text: str, lag: int, chunk: int, guess: str | None, by: Endpointer
) -> None:
    found = [cut for cut, _ in ends_with_lag(by, text, lag, chunk, guess)]
    assert found == sorted(set(found))
    pieces = [text[first:last] for first, last in zip([0, *found], [*found, len(text)], strict=True)]
    assert all(piece.endswith(".") for piece in pieces[:-1])
    assert "".join(map(collapse, pieces)) == collapse(text)


def test_without_rules_nothing_ends() -> None:
    assert ends(Endpointer(FRAME_SECONDS, LABELS, 0, NEVER), "a_" + "." * 5000) == []


def test_a_rule_shorter_than_a_frame_is_one_frame() -> None:
    assert ends(endpointer(speech=0.001), "a.a..") == [2, 4]


def test_the_state_before_is_not_changed() -> None:
    by, level = endpointer(speech=2), np.zeros(1, np.float32)
    _, spoke = by.step(rows("a."), np.zeros(2, np.float32), by.initial_state())
    assert by.step(rows("."), level, spoke)[0] == by.step(rows("."), level, spoke)[0] == 1


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("rule", ["endpoint_seconds", "empty_seconds", "longest_seconds"])
def test_a_rule_that_is_not_positive_and_finite_is_refused(seconds: float, rule: str) -> None:
    with pytest.raises(UsageError, match="wanted more than 0"):
        Endpointer(FRAME_SECONDS, LABELS, 0, EndpointRules(**{rule: seconds}))
