"""Segments of a real stream: the rules do not change the outputs of the acoustic model, and no label is lost."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgespeech.runtime.bundle import Bundle
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


def transcribe_and_record(recognizer: Recognizer, samples: Samples) -> tuple[Samples, list[int], str]:
    """Return the rows that reached the search, the frames at which segments ended, and the text.

    The blank is hardly ever the best label of the tiny graph, so it is given a bonus.
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
    whole, _, _ = transcribe_and_record(_recognizer(tiny_bundle, None, None, None), sound)
    rows, ended_at, _ = transcribe_and_record(_recognizer(tiny_bundle, speech, nothing, longest), sound)
    np.testing.assert_array_equal(rows, whole)
    assert ended_at[-1] == len(rows)
    best = rows.argmax(axis=1).tolist()
    pieces = [best[first:last] for first, last in zip([0, *ended_at[:-1]], ended_at, strict=True)]
    assert not any(piece[-1] for piece in pieces[:-1])
    assert sum(map(collapse, pieces), []) == collapse(best)


def test_short_rules_cut_this_sound(tiny_bundle: Bundle, sound: Samples) -> None:
    cuts = {
        len(transcribe_and_record(_recognizer(tiny_bundle, *rule), sound)[1])
        for rule in ((0.1, 0.1, 0.1), (None, None, None))
    }
    assert min(cuts) == 1 and max(cuts) > 10


def _recognizer(bundle: Bundle, speech: float | None, nothing: float | None, longest: float | None) -> Recognizer:
    rules = {"endpoint_seconds": speech, "empty_seconds": nothing, "longest_seconds": longest}
    return Recognizer(bundle, beam_width=4, min_evidence=0.0, **rules)  # type: ignore[arg-type]
