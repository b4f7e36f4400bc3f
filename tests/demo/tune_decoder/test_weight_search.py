"""The search for weights, with decoders that look up small tables."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from edgespeech.demo.tune_decoder.weight_search import (
    ALPHAS,
    BETAS,
    MAX_DECODINGS,
    UNKNOWN_SCORES,
    ErrorSurface,
    NbestPool,
    ScoredHypothesis,
    Trial,
    Weights,
    search_weights,
)

START = Weights(0.0, 0.0, -5.0)
# The reference loses without the language model, with too much of it, and without a bonus for words.
REFERENCES = ["the cat sat", "a dog ran off"]
TABLE = [
    [
        ScoredHypothesis("the cat sat", -20.0, -10.0, 3, 0),
        ScoredHypothesis("thecat sat", -18.0, -8.0, 2, 1),
        ScoredHypothesis("a", -30, -2, 1, 0),
    ],
    [
        ScoredHypothesis("a dog ran off", -9.0, -12.0, 4, 0),
        ScoredHypothesis("a dogran", -8.0, -9.0, 2, 1),
        ScoredHypothesis("the", -25, -2, 1, 0),
    ],
]


def score(one: ScoredHypothesis, weights: Weights) -> float:
    lm = one.lm + weights.unknown_score * one.unknown
    return one.acoustic + weights.alpha * lm + weights.beta * one.words


def table_decoder(weights: Weights) -> list[list[ScoredHypothesis]]:
    return [sorted(nbest, key=lambda one: -score(one, weights)) for nbest in TABLE]


def test_weights_without_errors_are_found() -> None:
    reported: list[tuple[Trial, Trial]] = []
    found = search_weights(table_decoder, REFERENCES, START, on_trial=lambda *both: reported.append(both))
    assert found.trials[0] == Trial(START, 5)
    assert found.best.errors == 0
    assert [nbest[0].text for nbest in table_decoder(found.best.weights)] == REFERENCES
    assert found.finished and len(found.trials) <= MAX_DECODINGS
    assert [trial for trial, _ in reported] == list(found.trials) and reported[-1][1] == found.best
    assert len({trial.weights for trial in found.trials}) == len(found.trials)


def test_the_same_input_gives_the_same_search() -> None:
    assert (
        search_weights(table_decoder, REFERENCES, START).trials
        == search_weights(table_decoder, REFERENCES, START).trials
    )


def test_the_time_limit_leaves_two_decodings_and_an_unfinished_search() -> None:
    found = search_weights(table_decoder, REFERENCES, START, seconds=0.0)
    assert len(found.trials) == 2 and not found.finished
    assert found.surface.errors.shape == (len(UNKNOWN_SCORES), len(ALPHAS), len(BETAS), 2)


def test_a_single_unknown_score_is_kept() -> None:
    found = search_weights(table_decoder, REFERENCES, Weights(0.5, 1.0, 0.0), unknown_scores=(0.0,))
    assert {trial.weights.unknown_score for trial in found.trials} == {0.0}


def test_the_pool_counts_the_errors_of_the_best_hypothesis() -> None:
    pool = NbestPool(REFERENCES)
    assert pool.add([[nbest[1]] for nbest in TABLE]) == 2 + 3
    assert pool.add(table_decoder(START)) == 5
    surface = pool.surface((-10.0,))
    for alpha, beta in itertools.product(range(0, len(ALPHAS), 5), range(0, len(BETAS), 4)):
        weights = surface.weights(0, alpha, beta)
        assert weights == Weights(float(ALPHAS[alpha]), float(BETAS[beta]), -10.0)
        best = [max(nbest, key=lambda one: score(one, weights)).text for nbest in TABLE]  # noqa: B023
        errors = [int(text != reference) for text, reference in zip(best, REFERENCES, strict=True)]
        assert (surface.errors[0, alpha, beta] > 0).tolist() == [bool(error) for error in errors]


def test_a_text_without_spaces_has_an_error_for_each_character() -> None:
    pool = NbestPool(["ก ข ค ง"], by_characters=True)
    assert pool.add([[ScoredHypothesis("กขฅง", -1.0, 0.0, 4, 0)]]) == 1
    assert NbestPool(["ก ข ค ง"]).add([[ScoredHypothesis("กขฅง", -1.0, 0.0, 4, 0)]]) == 4


def test_a_text_keeps_its_best_acoustic_score() -> None:
    pool = NbestPool(["a"])
    worse, better, wrong = (
        ScoredHypothesis(text, score, 0.0, 1, 0) for text, score in (("a", -9.0), ("a", -1.0), ("b", -5.0))
    )
    assert pool.add([[worse, wrong]]) == 0
    assert pool.errors(START).tolist() == [1]
    pool.add([[better]])
    assert pool.errors(START).tolist() == [0]


def make_surface(errors: Sequence[Sequence[Sequence[int]]]) -> ErrorSurface:
    """A surface for one unknown score, from [alphas][betas][utterances]."""
    return ErrorSurface((0.0,), np.array([errors]), np.array([4] * len(errors[0][0])))


def test_the_best_weights_have_good_neighbours() -> None:
    lonely = np.full((7, 7, 1), 5)
    lonely[1, 1] = 0
    lonely[4:7, 4:7] = 2
    assert make_surface(lonely.tolist()).best() == (0, 5, 5)


def test_cross_validation_never_counts_what_it_tuned_on() -> None:
    # Even utterances like the first alpha, odd ones the last: each half chooses what is wrong for the other.
    errors = [[[0, 3, 0, 3]] * 3, [[2, 2, 2, 2]] * 3, [[3, 0, 3, 0]] * 3]
    assert make_surface(errors).cross_validated_errors() == 3 * 4


@pytest.mark.parametrize(("weights", "edge"), [((0.5, 1.0), False), ((2.5, 1.0), True), ((0.5, 10.0), True)])
def test_best_weights_at_the_edge_are_reported(weights: tuple[float, float], edge: bool) -> None:
    found = search_weights(
        lambda _: [[ScoredHypothesis("a", 0.0, 0.0, 1, 0)]], ["a"], Weights(*weights, -5.0), seconds=0.0
    )
    assert found.best.weights[:2] == weights and found.at_edge is edge
