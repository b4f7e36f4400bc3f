"""The search as a stream: chunks, states as values, committed text, and cost that stays flat."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder, SearchState
from edgespeech.runtime.decoder.hypothesis import Partial
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.decoder.native.search import NativeState
from edgespeech.runtime.decoder.numpy_search.beam_state import BeamState
from edgespeech.runtime.decoder.word_times import separate_words, split_words
from tests.runtime.decoder.ctc_examples import ALPHABET, GOLDEN, LETTERS, Array, random_log_probs, spoken

pytestmark = pytest.mark.usefixtures("search")

LM = LanguageModel(GOLDEN / "tiny.bin")


def run(decoder: BeamSearchDecoder, log_probs: Array, cuts: Sequence[int]) -> tuple[list[Partial], SearchState]:
    state, partials = decoder.initial_state(), []
    for piece in np.split(log_probs, sorted(cuts)):
        partial, state = decoder.step(piece, state)
        partials.append(partial)
    return partials, state


def snapshot(state: SearchState) -> list[np.ndarray[Any, Any]]:
    if isinstance(state, BeamState):
        return [np.copy(values) for values in (*state.beams, state.trie.records)]
    assert isinstance(state, NativeState)
    sizes = state.sizes()
    del sizes["table_bytes"]  # of the table that all states share
    return [np.array([state.frame, state.committed_labels, *sizes.values()])]


def count_records(state: SearchState) -> int:
    if isinstance(state, BeamState):
        return state.trie.size
    assert isinstance(state, NativeState)
    return state.sizes()["records"]


@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 150), max_size=12), peak=st.floats(0.5, 5.0))
@settings(deadline=None, max_examples=25)
def test_chunked_equals_whole(seed: int, cuts: list[int], peak: float) -> None:
    log_probs = random_log_probs(seed, 150, 4, peak)
    decoder = BeamSearchDecoder(LETTERS, 0, LM, beam_width=12, max_tentative=20)
    partials, state = run(decoder, log_probs, cuts)
    whole, _ = decoder.step(log_probs, decoder.initial_state())
    assert partials[-1] == whole
    assert decoder.finish(state) == decoder.decode(log_probs)


@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(0, 90))
@settings(deadline=None, max_examples=15)
def test_a_state_can_be_continued_many_times(seed: int, cut: int) -> None:
    log_probs = random_log_probs(seed, 120, 4, 2.0)
    other = random_log_probs(seed + 1, 40, 4, 2.0)
    decoder = BeamSearchDecoder(LETTERS, 0, LM, beam_width=8)
    _, state = decoder.step(log_probs[:cut], decoder.initial_state())
    before = snapshot(state)
    finished = decoder.finish(state)
    decoder.step(other, state)
    _, continued = decoder.step(log_probs[cut:], state)
    assert decoder.finish(continued) == decoder.decode(log_probs)
    for earlier, later in zip(before, snapshot(state), strict=True):
        np.testing.assert_array_equal(earlier, later)
    assert decoder.finish(state) == finished


def test_committed_text_only_grows_and_is_part_of_the_final_text() -> None:
    text = "ab bab a b " * 30
    log_probs = np.logaddexp(spoken(text, LETTERS, 0.9), random_log_probs(5, 2 * len(text), 4) - 3.0)
    log_probs -= np.logaddexp.reduce(log_probs, axis=1, keepdims=True)
    decoder = BeamSearchDecoder(LETTERS, 0, LM, beam_width=16)
    partials, state = run(decoder, log_probs, range(3, len(log_probs), 3))
    final = decoder.finish(state)[0]
    assert final.text.startswith(partials[-1].committed)
    assert len(partials[-1].committed) > len(text) // 2
    for earlier, later in itertools.pairwise(partials):
        assert later.committed.startswith(earlier.committed)
    assert all(partial.text == partial.committed + partial.tentative for partial in partials)
    assert [word.word for word in final.words] == final.text.split()


def test_a_long_random_stream_stays_small() -> None:
    decoder = BeamSearchDecoder(ALPHABET, beam_width=16)
    state, sizes = decoder.initial_state(), []
    for second in range(200):
        _, state = decoder.step(random_log_probs(second, 25, len(ALPHABET), 3.0), state)
        sizes.append(count_records(state))
    assert state.frame == 5000
    assert state.committed_labels > 1000
    assert max(sizes) < 16 * (128 + 2 * 64)
    assert max(sizes[100:]) < 1.5 * max(sizes[10:100])


def test_an_old_tie_does_not_keep_text_tentative_for_ever() -> None:
    log_probs = spoken("ab" * 100, LETTERS)
    log_probs[0] = np.log([0.01, 0.01, 0.5, 0.48])
    for max_tentative, committed in ((None, 0), (40, 100)):
        decoder = BeamSearchDecoder(LETTERS, max_tentative=max_tentative, beam_threshold=None)
        partial, state = decoder.step(log_probs, decoder.initial_state())
        assert (len(partial.committed) > 0) == (committed > 0)
        assert len(partial.committed) >= committed
        assert decoder.finish(state, 1)[0].text == "ab" * 100
        assert len(decoder.finish(state, 1)) == 1


@pytest.mark.parametrize(
    ("labels", "pieces"),
    [
        (LETTERS, list("ab bab a b ")),
        (("", "a", "b", " ", "a ", "b "), ["a", "b ", "b", "a", "b ", "a ", "b "]),
        (("", "a", "b", " ", " a", " b"), ["a", "b", " b", "a", "b", " a", " b", " "]),
        (("", "a", "b", " ", "b b", "b a b"), ["a", "b b", "a", "b a b", " "]),
    ],
)
def test_words_and_times_over_committed_text(labels: Sequence[str], pieces: list[str]) -> None:
    spell = [labels.index(piece) for piece in pieces * 60]
    probabilities = np.full((2 * len(spell), len(labels)), 1e-4)
    probabilities[1::2, 0] = 1.0
    probabilities[np.arange(len(spell)) * 2, spell] = 1.0
    probabilities[0] = 1e-4
    probabilities[0, [labels.index("a"), labels.index("b")]] = 0.7, 0.3
    decoder = BeamSearchDecoder(labels, frame_seconds=0.1)
    log_probs = np.log(probabilities / probabilities.sum(axis=1, keepdims=True))
    _, state = decoder.step(log_probs, decoder.initial_state())
    assert state.committed_labels > 100
    best = decoder.finish(state, 1)[0]
    frames = range(0, 2 * len(spell), 2)
    by_characters = not any(" " in label for label in labels)
    words = [separate_words(piece, by_characters) for piece in pieces * 60]
    expected = split_words(words, frames, [float(log_probs[t, i]) for t, i in zip(frames, spell, strict=True)])
    assert best.labels == tuple(spell)
    assert best.frames == tuple(range(0, 2 * len(spell), 2))
    assert [(word.word, word.start, word.end) for word in best.words] == [
        (span.word, span.first * 0.1, (span.last + 1) * 0.1) for span in expected
    ]
    assert best.words[0].confidence == pytest.approx(
        0.7 * expected[0].certainty(1.3), abs=0.02
    )  # when it was committed
    assert min(word.confidence for word in best.words[1:]) > 0.9


def test_certain_blanks_do_not_change_the_prefixes() -> None:
    decoder = BeamSearchDecoder(LETTERS, 0, LM)
    log_probs = random_log_probs(1, 10, 4, 2.0)
    blanks = np.log(np.tile([1 - 3e-5, 1e-5, 1e-5, 1e-5], (1000, 1)))
    _, state = decoder.step(log_probs, decoder.initial_state())
    before = decoder.finish(state)
    _, later = decoder.step(blanks, state)
    after = decoder.finish(later)
    assert {h.labels for h in after} == {h.labels for h in before}
    assert after[0].acoustic_score == pytest.approx(before[0].acoustic_score, abs=0.2)
