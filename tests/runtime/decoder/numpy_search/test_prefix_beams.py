"""One frame of search against a textbook search in dictionaries, with prefixes removed in between."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespeech.runtime.decoder.log_probs import choose_symbols
from edgespeech.runtime.decoder.numpy_search.prefix_beams import BLANK, NONBLANK, Beams, FrameSearch
from edgespeech.runtime.decoder.numpy_search.prefix_states import PrefixStates
from edgespeech.runtime.decoder.numpy_search.prefix_trie import FIELDS, Branches, Trie
from edgespeech.runtime.decoder.word_scorer import WordScorer
from tests.runtime.decoder.ctc_examples import Array, Labels, random_log_probs


def textbook(beams: dict[Labels, tuple[float, float]], row: Array) -> dict[Labels, tuple[float, float]]:
    """Advance {prefix: (log p blank, log p nonblank)} by one frame, one path at a time."""
    after: dict[Labels, list[float]] = {}

    def add(prefix: Labels, kind: int, score: float) -> None:
        entry = after.setdefault(prefix, [-np.inf, -np.inf])
        entry[kind] = float(np.logaddexp(entry[kind], score))

    for prefix, (blank, nonblank) in beams.items():
        total = np.logaddexp(blank, nonblank)
        add(prefix, 0, total + row[0])
        for label in range(1, len(row)):
            if prefix and label == prefix[-1]:
                add(prefix, 1, nonblank + row[label])
                add((*prefix, label), 1, blank + row[label])
            else:
                add((*prefix, label), 1, total + row[label])
    return {prefix: (blank, nonblank) for prefix, (blank, nonblank) in after.items() if max(blank, nonblank) > -np.inf}


def as_dict(beams: Beams, trie: Trie) -> dict[Labels, tuple[float, float]]:
    branches = Branches(trie, beams.prefixes[:FIELDS], 0)
    prefixes = [tuple(branches.labels_of(branches.path(leaf))) for leaf in branches.leaves]
    assert len(set(prefixes)) == len(prefixes)
    scores = zip(beams.scores[BLANK].tolist(), beams.scores[NONBLANK].tolist(), strict=True)
    return dict(zip(prefixes, scores, strict=True))


@given(seed=st.integers(0, 2**32 - 1), drops=st.lists(st.integers(0, 10**6), max_size=5))
@settings(deadline=None, max_examples=30)
def test_prefixes_dropped_while_longer_ones_live_merge_when_they_return(seed: int, drops: list[int]) -> None:
    scorer = WordScorer(("", "a", "b"), None, 0.0, 0.0, 0.0)
    search = FrameSearch(scorer.ends_words, scorer.lm is not None, 0, 10**6, None)
    states, trie = PrefixStates(scorer), Trie()
    beams = search.begin(scorer.begin())
    expected: dict[Labels, tuple[float, float]] = {(): (0.0, -np.inf)}
    for frame in choose_symbols(random_log_probs(seed, 6, 3), 0, 1.0, 3, 0):
        beams = search.advance(beams, frame, trie, states)
        expected = textbook(expected, frame.log_probs)
        for drop in drops:  # shorter prefixes go, the longer ones built on them stay
            prefixes = list(as_dict(beams, trie))
            victim = prefixes[drop % len(prefixes)]
            if len(prefixes) > 2:
                beams = beams.take(np.array([i for i, prefix in enumerate(prefixes) if prefix != victim]))
                del expected[victim]
        actual = as_dict(beams, trie)
        assert actual.keys() == expected.keys()
        for prefix in expected:
            assert actual[prefix] == pytest.approx(expected[prefix], abs=1e-9)


@given(seed=st.integers(0, 2**32 - 1), width=st.integers(1, 12), threshold=st.floats(0.1, 6.0))
@settings(deadline=None, max_examples=30)
def test_the_best_prefixes_are_kept(seed: int, width: int, threshold: float) -> None:
    scorer = WordScorer(("", "a", "b"), None, 0.0, 0.0, 0.0)
    states, trie = PrefixStates(scorer), Trie()
    wide = FrameSearch(scorer.ends_words, scorer.lm is not None, 0, 10**6, None)
    search = FrameSearch(scorer.ends_words, scorer.lm is not None, 0, width, threshold)
    rows = random_log_probs(seed, 4, 3)
    *first, last = choose_symbols(rows, 0, 1.0, 3, 0)
    beams = wide.begin(scorer.begin())
    for frame in first:
        beams = wide.advance(beams, frame, trie, states)
    everything = as_dict(wide.advance(beams, last, trie, states), trie)
    kept = as_dict(search.advance(beams, last, trie, states), trie)
    scores = sorted((float(np.logaddexp(*pair)) for pair in everything.values()), reverse=True)
    expected = [score for score in scores[:width] if score >= scores[0] - threshold]
    assert sorted((float(np.logaddexp(*pair)) for pair in kept.values()), reverse=True) == pytest.approx(expected)
