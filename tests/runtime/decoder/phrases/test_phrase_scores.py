"""Exact scores of phrases: sums over all alignments, and the best of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgespeech.runtime.decoder.phrases.phrase_scores import PhraseScores, align
from tests.runtime.decoder.ctc_examples import ALPHABET, LETTERS, all_alignments, random_log_probs, spoken

PHRASES = ("ab", "a", "aa", "b a", "abba", "bb")


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_sums_over_all_alignments(seed: int) -> None:
    rows = random_log_probs(seed, 6, len(LETTERS), 1.5)
    expected = dict.fromkeys(PHRASES, -np.inf)
    for labels, score in all_alignments(rows).items():
        text = "".join(LETTERS[label] for label in labels)
        if "  " not in text and text.strip() in expected:
            expected[text.strip()] = np.logaddexp(expected[text.strip()], score)
    scores = PhraseScores(PHRASES, LETTERS, 0).log_probs(rows)
    assert scores is not None
    assert dict(zip(PHRASES, scores.tolist(), strict=True)) == pytest.approx(expected, abs=1e-9)


def test_labels_without_a_space_need_none() -> None:
    labels = ("", "a", "b")
    rows = random_log_probs(1, 5, len(labels), 1.5)
    sums = all_alignments(rows)
    scores = PhraseScores(("ab", "ba"), labels, 0).log_probs(rows)
    assert scores is not None and scores.tolist() == pytest.approx([sums[1, 2], sums[2, 1]], abs=1e-9)


def test_too_few_frames_make_a_phrase_impossible() -> None:
    scores = PhraseScores(("a", "aa"), LETTERS, 0).log_probs(random_log_probs(0, 2, len(LETTERS)))
    assert scores is not None and np.isfinite(scores).tolist() == [True, False]
    nothing = PhraseScores(("a",), LETTERS, 0).log_probs(np.zeros((0, len(LETTERS))))
    assert nothing is not None and nothing.tolist() == [-np.inf]


@given(seed=st.integers(0, 2**32 - 1), below=st.floats(0.1, 40.0))
def test_the_early_end_never_loses_a_phrase_that_reaches_the_least(seed: int, below: float) -> None:
    rows = random_log_probs(seed, 30, len(LETTERS), 3.0)
    least = float(rows.max(axis=1).sum()) - below
    scores = PhraseScores(PHRASES, LETTERS, 0)
    whole, short = scores.log_probs(rows), scores.log_probs(rows, least)
    assert whole is not None
    if short is None:
        assert whole.max() < least
    else:
        assert short.tolist() == whole.tolist()


def test_other_speech_ends_early() -> None:
    rows = spoken("some other words of speech", ALPHABET, 0.9)
    assert PhraseScores(("turn left", "stop"), ALPHABET, 0).log_probs(rows, float(rows.max(axis=1).sum()) - 4.0) is None


@pytest.mark.parametrize("seed", range(4))
def test_the_alignment_is_the_most_probable_one(seed: int) -> None:
    rows = random_log_probs(seed, 6, len(LETTERS), 1.5)
    spelled = (2, 3, 3)
    best, found = -np.inf, None
    for alignment in itertools.product(range(len(LETTERS)), repeat=len(rows)):
        runs = [
            (label, [frame for frame, _ in run])
            for label, run in itertools.groupby(enumerate(alignment), lambda one: one[1])
        ]
        score = sum(float(rows[frame, label]) for frame, label in enumerate(alignment))
        if tuple(label for label, _ in runs if label) == spelled and score > best:
            best = score
            found = [max(frames, key=lambda frame: rows[frame, label]) for label, frames in runs if label]
    assert align(rows, spelled, 0) == found
