"""Previews: the text of a few more frames, from fewer prefixes and without a state to go on with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespeech.errors import DecodingError, UsageError
from edgespeech.runtime.decoder import beam_search
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder, SearchState
from tests.runtime.decoder.ctc_examples import LETTERS, PIECES, Array, random_log_probs
from tests.runtime.decoder.native.test_native_search import CASES, LM, pair

GRAMMAR: dict[str, Any] = {"grammar": ["ab", "b a", "b"], "filler_score": -1.0}


@contextmanager
def threshold(nats: float) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beam_search, "PREVIEW_THRESHOLD", nats)
        yield


def preview_and_step(decoder: BeamSearchDecoder, log_probs: Array, cuts: list[int]) -> tuple[list[str], SearchState]:
    """Return previews of each piece and of the twelve frames behind it, and the state after all."""
    state, texts, start = decoder.initial_state(), list[str](), 0
    for end in (*sorted(cuts), len(log_probs)):
        texts += [decoder.preview(log_probs[start:stop], state) for stop in (end, end + 12)]
        _, state = decoder.step(log_probs[start:end], state)
        start = end
    return texts, state


@pytest.mark.usefixtures("native_search")
@pytest.mark.parametrize("case", CASES)
@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(2, 24),
    nats=st.floats(0.01, 12.0),
    peak=st.floats(0.3, 6.0),
    max_tentative=st.sampled_from([2, 20, None]),
    cuts=st.lists(st.integers(0, 140), max_size=6),
)
@settings(deadline=None, max_examples=5)
def test_previews_equal_those_in_numpy(
    case: str, seed: int, width: int, nats: float, peak: float, max_tentative: int | None, cuts: list[int]
) -> None:
    labels, options = CASES[case]
    decoders = pair(labels, beam_width=width, max_tentative=max_tentative, **options)
    log_probs = random_log_probs(seed, 140, len(labels), peak)
    with threshold(nats):
        (found, state), (wanted, _) = (preview_and_step(decoder, log_probs, cuts) for decoder in decoders)
    assert found == wanted
    assert decoders[0].finish(state) == decoders[0].decode(log_probs)


@pytest.mark.usefixtures("native_search")
def test_ties_are_decided_by_the_order_of_the_labels() -> None:
    log_probs = np.log(np.full((20, 4), 0.25))
    for nats in (0.1, 1.0, 3.0, 9.0):
        with threshold(nats):
            found, wanted = (
                preview_and_step(decoder, log_probs, [3, 5])[0] for decoder in pair(LETTERS, beam_width=20)
            )
        assert found == wanted


@pytest.mark.usefixtures("search")
@given(seed=st.integers(0, 2**32 - 1), nats=st.floats(0.01, 12.0))
@settings(deadline=None, max_examples=20)
def test_from_the_beginning_it_is_a_search_with_another_threshold(seed: int, nats: float) -> None:
    log_probs = random_log_probs(seed, 90, len(PIECES), 2.0)
    wide, narrow = (BeamSearchDecoder(PIECES, 0, LM, beam_width=30, beam_threshold=one) for one in (None, nats))
    with threshold(nats):
        found = wide.preview(log_probs, wide.initial_state())
    assert found == narrow.step(log_probs, narrow.initial_state())[0].text


@pytest.mark.usefixtures("search")
@pytest.mark.parametrize("options", [{"lm": LM}, GRAMMAR], ids=["model", "grammar"])
def test_the_threshold_of_a_step_gives_its_text_and_no_state_changes(options: dict[str, Any]) -> None:
    decoder = BeamSearchDecoder(LETTERS, beam_width=9, **options)
    log_probs = random_log_probs(4, 120, len(LETTERS), 2.0)
    _, state = decoder.step(log_probs[:70], decoder.initial_state())
    wanted, hypotheses = decoder.step(log_probs[70:], state)[0].text, decoder.finish(state)
    with threshold(0.5):
        decoder.preview(log_probs[70:], state)
    assert decoder.finish(state) == hypotheses and wanted
    with threshold(18.0):
        assert decoder.preview(log_probs[70:], state) == wanted == decoder.step(log_probs[70:], state)[0].text


@pytest.mark.usefixtures("search")
def test_invalid_arguments_are_refused() -> None:
    decoder, other = BeamSearchDecoder(LETTERS, **GRAMMAR), BeamSearchDecoder(LETTERS)
    with pytest.raises(UsageError, match="another decoder"):
        decoder.preview(np.zeros((0, 4)), other.initial_state())
    with pytest.raises(UsageError, match="another decoder"):
        other.preview(np.zeros((0, 4)), BeamSearchDecoder(LETTERS).initial_state())
    with pytest.raises(DecodingError, match="NaN"):
        other.preview(np.full((1, 4), np.nan), other.initial_state())
