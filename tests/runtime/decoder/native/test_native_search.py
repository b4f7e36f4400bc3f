"""The compiled search against that in numpy: everything that they return is equal."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.hypothesis import Hypothesis, Partial
from edgespeech.runtime.decoder.language_model import LanguageModel
from tests.runtime.decoder.ctc_examples import GOLDEN, LETTERS, PIECES, Array, exact, numbers, random_log_probs

pytestmark = pytest.mark.usefixtures("native_search")

LM = LanguageModel(GOLDEN / "tiny.bin")
CHARACTERS = LanguageModel(GOLDEN / "tiny_characters.bin")
SPACES = ("", "a", "b ", " ", "a b", "", " b", "ab")  # labels with spaces anywhere, and an empty one
BIGRAMS = ("", " ", "a", "b", "ab", "ba", "aa", "bb")
SPACELESS = ("", "a", "b", "ab", "c", "")
LONGER = ("", " ", "'", *"abcdefghijklmnop", "st", "ü", "eigh")


def without_vocabulary() -> LanguageModel:
    """Return a model like one that was built without the list of its words."""
    lm = LanguageModel(GOLDEN / "tiny.bin")
    lm.vocabulary = None
    return lm


CASES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "no model": (LETTERS, {}),
    "beta": (PIECES, {"beta": 1.2}),
    "model": (LETTERS, {"lm": LM, "alpha": 0.8, "unknown_score": -3.0}),
    "labels of several letters": (PIECES, {"lm": LM, "alpha": 0.7, "beta": 0.4}),
    "bigrams": (BIGRAMS, {"lm": LM, "alpha": 0.9}),
    "order 4, quantized": (LONGER, {"lm": LanguageModel(GOLDEN / "random_both.bin"), "beta": -1.0}),
    "order 4, compressed": (LONGER, {"lm": LanguageModel(GOLDEN / "random_compressed.bin"), "unknown_score": -1.0}),
    "characters": (("", "a", "b", "ab"), {"lm": CHARACTERS, "beta": 0.3}),
    "no space": (SPACELESS, {}),
    "no space, one word": (SPACELESS, {"unit": "word", "beta": 0.5}),
    "no space, hot words": (SPACELESS, {"hot_words": {"ab": 3.0, "b c": 4.0, "a": 1.0}, "beta": -0.3}),
    "no space, hot words and model": (SPACELESS, {"lm": CHARACTERS, "hot_words": {"abc": 6.0, "ba": 2.0}}),
    "no space, grammar": (SPACELESS, {"grammar": ["abc", "ba"], "filler_score": -1.0}),
    "characters and a space": (LETTERS, {"lm": CHARACTERS, "hot_words": {"ab b": 2.0}}),
    "no list of words": (LETTERS, {"lm": without_vocabulary(), "hot_words": {"bba": 2.0}, "unit": "word"}),
    "spaces anywhere": (SPACES, {"lm": LM, "beta": -0.5}),
    "hot words": (LETTERS, {"hot_words": {"ab": 3.0, "b a": 4.0, "a": 1.0}}),
    "hot words and model": (PIECES, {"lm": LM, "hot_words": {"bba": 6.0, "a b": 2.0, "ab ab": 5.0}}),
    "grammar": (LETTERS, {"grammar": ["ab", "b a", "b"], "filler_score": -1.0}),
    "grammar of pieces": (SPACES, {"grammar": ["ab b", "bb"]}),
    "no pruning": (LETTERS, {"lm": LM, "symbol_mass": 1.0, "max_symbols": None, "beam_threshold": None}),
}


def pair(labels: tuple[str, ...], **settings: Any) -> list[BeamSearchDecoder]:
    decoders = [BeamSearchDecoder(labels, search=search, **settings) for search in ("native", "numpy")]
    assert [decoder.search_kind.name for decoder in decoders] == ["native", "numpy"]
    return decoders


def run(decoder: BeamSearchDecoder, log_probs: Array, cuts: list[int]) -> tuple[list[Partial], list[Hypothesis]]:
    state, partials = decoder.initial_state(), []
    for chunk in np.split(log_probs, sorted(cuts)):
        partial, state = decoder.step(chunk, state)
        partials.append(partial)
    return partials, decoder.finish(state)


def require_equal(decoders: list[BeamSearchDecoder], log_probs: Array, cuts: list[int]) -> None:
    (partials, found), (wanted_partials, wanted) = (run(decoder, log_probs, cuts) for decoder in decoders)
    assert partials == wanted_partials
    assert [exact(one) for one in found] == [exact(one) for one in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert numbers(one) == pytest.approx(numbers(other), abs=1e-6)


@pytest.mark.parametrize("case", CASES)
@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(1, 24),
    peak=st.floats(0.3, 6.0),
    max_tentative=st.sampled_from([2, 20, None]),
    cuts=st.lists(st.integers(0, 140), max_size=6),
)
@settings(deadline=None, max_examples=8)
def test_results_equal_those_in_numpy(
    case: str, seed: int, width: int, peak: float, max_tentative: int | None, cuts: list[int]
) -> None:
    labels, options = CASES[case]
    decoders = pair(labels, beam_width=width, max_tentative=max_tentative, **options)
    require_equal(decoders, random_log_probs(seed, 140, len(labels), peak), cuts)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_any_layout_give_the_same(dtype: type[np.generic], order: Any) -> None:
    log_probs = random_log_probs(1, 50, len(LETTERS), 2.0).astype(np.float32)
    decoder = pair(LETTERS, lm=LM)[0]
    wanted = decoder.decode(log_probs)
    assert decoder.decode(np.array(log_probs, dtype, order=order)) == wanted
    assert decoder.decode(np.repeat(log_probs, 2, axis=0)[::2]) == wanted
    assert decoder.decode(log_probs.tolist()) == wanted


def test_ties_are_decided_by_the_order_of_the_labels() -> None:
    log_probs = np.log(np.full((20, 4), 0.25))
    for width in (1, 3, 7, 20):
        require_equal(pair(LETTERS, beam_width=width), log_probs, [5])
        require_equal(pair(LETTERS, beam_width=width, lm=LM), log_probs, [])


def test_a_symbol_more_is_not_taken_for_a_rounding_error() -> None:
    """Here the first two labels have exactly the mass that is wanted, but for rounding."""
    probabilities = np.array([[0.9, 0.09, 0.01, 1e-9], [0.09, 0.01, 0.9, 1e-9], [0.01, 0.9, 0.09, 1e-9]])
    for mass in (0.9, 0.99, 1.0):
        decoders = pair(LETTERS, symbol_mass=mass, beam_threshold=None)
        require_equal(decoders, np.log(probabilities), [])
        assert len(decoders[0].decode(np.log(probabilities[:1]))) == {0.9: 1, 0.99: 2, 1.0: 4}[mass]


def test_threads_share_a_decoder() -> None:
    decoder, reference = pair(LONGER, lm=LanguageModel(GOLDEN / "random_both.bin"), beam_width=40)
    inputs = [random_log_probs(seed, 200, len(LONGER), 3.0) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda log_probs: run(decoder, log_probs, list(range(0, 200, 9))), inputs))
    for log_probs, (_, hypotheses) in zip(inputs, found, strict=True):
        assert [h.text for h in hypotheses] == [h.text for h in reference.decode(log_probs)]
        assert hypotheses == decoder.decode(log_probs)
