"""Segments of a real stream: whatever the rules, the acoustic model hears one stream, and no label is lost at a cut."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.decoder.hypothesis import Hypothesis, Word
from edgespeech.runtime.min_evidence import MinEvidence
from edgespeech.runtime.recognizer import Recognizer

Samples = NDArray[np.float32]
BLANK_BONUS = 2.0  # nats
SECONDS = st.none() | st.floats(0.04, 1.5)


@pytest.fixture(scope="module")
def sound(noise: Callable[[int], Samples]) -> Samples:
    """Four seconds whose loudness changes, with holes of digital silence."""
    loudness = np.repeat(np.array([0.5, 0.0, 4.0, 0.0, 1.0, 8.0, 0.02, 2.0], np.float32), 8000)
    samples: Samples = np.clip(noise(64000) * loudness, -1.0, 1.0)
    return samples


def hear(recognizer: Recognizer, samples: Samples) -> tuple[Samples, list[int], str]:
    """The rows that reached the search, the frames at which segments ended, and the text.

    The tiny graph hardly ever says blank, so it gets a bonus.
    """
    searched: list[Samples] = []
    ended_at: list[int] = []
    model_step, decoder_step, decoder_finish = recognizer.model.step, recognizer.decoder.step, recognizer.decoder.finish
    model: Any = recognizer.model
    decoder: Any = recognizer.decoder

    def step(chunk: Samples, state: Any) -> Any:
        rows, state = model_step(chunk, state)
        rows = rows + BLANK_BONUS * (np.arange(rows.shape[-1]) == 0)
        return (rows - np.log(np.exp(rows).sum(axis=-1, keepdims=True))).astype(np.float32), state

    def search(rows: Any, state: Any) -> Any:
        searched.append(rows)
        return decoder_step(rows, state)

    def finish(state: Any, nbest: int) -> Any:
        ended_at.append(state.frame)
        return decoder_finish(state, nbest)

    model.step, decoder.step, decoder.finish = step, search, finish
    try:
        text = recognizer.transcribe((samples, 16000)).text
    finally:
        model.step, decoder.step, decoder.finish = model_step, decoder_step, decoder_finish
    return np.concatenate(searched), list(np.cumsum(ended_at)), text


def collapse(labels: list[int]) -> list[int]:
    return [label for label, _ in groupby(labels) if label]


@given(speech=SECONDS, nothing=SECONDS, longest=SECONDS)
@settings(deadline=None, max_examples=12)
def test_rules_cut_the_search_and_nothing_else(
    tiny_bundle: Bundle, sound: Samples, speech: float | None, nothing: float | None, longest: float | None
) -> None:
    whole, _, _ = hear(_recognizer(tiny_bundle, None, None, None), sound)
    rows, ended_at, _ = hear(_recognizer(tiny_bundle, speech, nothing, longest), sound)
    np.testing.assert_array_equal(rows, whole)
    assert ended_at[-1] == len(rows)
    best = rows.argmax(axis=1).tolist()
    pieces = [best[first:last] for first, last in zip([0, *ended_at[:-1]], ended_at, strict=True)]
    assert not any(piece[-1] for piece in pieces[:-1])
    assert sum(map(collapse, pieces), []) == collapse(best)


def test_the_rules_of_that_test_do_cut(tiny_bundle: Bundle, sound: Samples) -> None:
    cuts = {len(hear(_recognizer(tiny_bundle, *rule), sound)[1]) for rule in ((0.1, 0.1, 0.1), (None, None, None))}
    assert min(cuts) == 1 and max(cuts) > 10


def _recognizer(bundle: Bundle, speech: float | None, nothing: float | None, longest: float | None) -> Recognizer:
    rules = {"endpoint_seconds": speech, "empty_seconds": nothing, "longest_seconds": longest}
    return Recognizer(bundle, beam_width=4, min_evidence=0.0, **rules)  # type: ignore[arg-type]


def _hypothesis(words: str, acoustic_score: float) -> Hypothesis:
    spoken = tuple(Word(word, 0.0, 1.0, 1.0) for word in words.split())
    return Hypothesis(words, spoken, 99.0, acoustic_score, 99.0, (), ())


@pytest.mark.parametrize(
    ("words", "acoustic_score", "blank_score", "passes"),
    [
        ("yes", -2.0, -12.1, True),
        ("yes", -2.0, -9.9, False),  # 7.9 nats
        ("yes or no", -2.0, -12.1, False),  # the same for three words
        ("yes or no", -2.0, -26.1, True),
        ("i", -2.0, -90.0, False),
        ("i i i", -2.0, -90.0, False),
        ("i do", -2.0, -90.0, True),
        ("", -1.0, -1.0, False),
    ],
)
def test_a_segment_needs_evidence_for_every_word(
    words: str, acoustic_score: float, blank_score: float, passes: bool
) -> None:
    hypothesis = _hypothesis(words, acoustic_score)
    assert MinEvidence(8.0).passes(hypothesis, blank_score) is passes
    assert MinEvidence(0.0).passes(hypothesis, blank_score) is True


@pytest.mark.parametrize("nats", [-1.0, float("nan"), float("inf")])
def test_a_gate_that_is_none(tiny_bundle: Bundle, nats: float) -> None:
    with pytest.raises(UsageError, match="wanted 0"):
        Recognizer(tiny_bundle, min_evidence=nats)


def test_a_closed_gate_takes_back_what_was_shown(tiny_bundle: Bundle, sound: Samples) -> None:
    stream = Recognizer(tiny_bundle, min_evidence=1e6, endpoint_seconds=None, empty_seconds=None).stream()
    events = stream.accept(sound) + stream.finish()
    assert len(events) > 2 and {event.type for event in events} == {"partial"}
    assert events[-1].text == ""
