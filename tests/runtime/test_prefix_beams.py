"""One frame of search against a textbook search in dictionaries, with prefixes taken away in between."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgespeech.runtime.prefix_beams import Beams, FrameSearch
from edgespeech.runtime.prefix_trie import path
from edgespeech.runtime.word_scorer import WordScorer

Array = npt.NDArray[np.float64]
Labels = tuple[int, ...]


def random_log_probs(seed: int, frames: int, labels: int, peak: float = 1.0) -> Array:
    """Draw log-probabilities [frames, labels]; a higher peak makes them surer."""
    logits = np.random.default_rng(seed).normal(size=(frames, labels)) * peak
    return np.asarray(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))


def textbook(beams: dict[Labels, tuple[float, float]], row: Array) -> dict[Labels, tuple[float, float]]:
    """Take {prefix: (log p blank, log p nonblank)} over one frame, one path at a time."""
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


def as_dict(beams: Beams) -> dict[Labels, tuple[float, float]]:
    prefixes = [tuple(node.label for node in path(node)) for node in beams.nodes]
    assert len(set(prefixes)) == len(prefixes)
    return dict(zip(prefixes, zip(beams.blank.tolist(), beams.nonblank.tolist(), strict=True), strict=True))


@given(seed=st.integers(0, 2**32 - 1), drops=st.lists(st.integers(0, 10**6), max_size=5))
@settings(deadline=None, max_examples=30)
def test_prefixes_dropped_while_longer_ones_live_merge_when_they_return(seed: int, drops: list[int]) -> None:
    search = FrameSearch(WordScorer(("", "a", "b"), None, 0.0, 0.0, 0.0), 3, 0, 10**6, None)
    beams = search.begin()
    expected: dict[Labels, tuple[float, float]] = {(): (0.0, -np.inf)}
    symbols = np.array([1, 2])
    for frame, row in enumerate(random_log_probs(seed, 6, 3)):
        beams = search.advance(beams, row, symbols, frame)
        expected = textbook(expected, row)
        for drop in drops:  # shorter prefixes go, the longer ones built on them stay
            prefixes = list(as_dict(beams))
            victim = prefixes[drop % len(prefixes)]
            if len(prefixes) > 2:
                beams = beams.take(np.array([i for i, prefix in enumerate(prefixes) if prefix != victim]))
                del expected[victim]
        actual = as_dict(beams)
        assert actual.keys() == expected.keys()
        for prefix in expected:
            assert actual[prefix] == pytest.approx(expected[prefix], abs=1e-9)
