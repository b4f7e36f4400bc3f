"""The search for weights, on decoders that are small tables."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from edgespeech.demo.tune_decoder.weight_search import (
    ALPHAS,
    BETAS,
    MOST_DECODINGS,
    UNKNOWN_SCORES,
    Pool,
    Reading,
    Surface,
    Trial,
    Weights,
    search_weights,
)

START = Weights(0.0, 0.0, -5.0)
# The right reading loses without the language model, and with too much of it, and without a bonus for words.
REFERENCES = ["the cat sat", "a dog ran off"]
TABLE = [
    [Reading("the cat sat", -20.0, -10.0, 3, 0), Reading("thecat sat", -18.0, -8.0, 2, 1), Reading("a", -30, -2, 1, 0)],
    [Reading("a dog ran off", -9.0, -12.0, 4, 0), Reading("a dogran", -8.0, -9.0, 2, 1), Reading("the", -25, -2, 1, 0)],
]


def score(reading: Reading, weights: Weights) -> float:
    lm = reading.lm + weights.unknown_score * reading.unknown
    return reading.acoustic + weights.alpha * lm + weights.beta * reading.words


def table_decoder(weights: Weights) -> list[list[Reading]]:
    return [sorted(readings, key=lambda one: -score(one, weights)) for readings in TABLE]


def test_weights_that_read_everything_right_are_found() -> None:
    told: list[tuple[Trial, Trial]] = []
    found = search_weights(table_decoder, REFERENCES, START, heard=lambda *both: told.append(both))
    assert found.trials[0] == Trial(START, 5)
    assert found.best.errors == 0
    assert [readings[0].text for readings in table_decoder(found.best.weights)] == REFERENCES
    assert found.finished and len(found.trials) <= MOST_DECODINGS
    assert [trial for trial, _ in told] == list(found.trials) and told[-1][1] == found.best
    assert len({trial.weights for trial in found.trials}) == len(found.trials)


def test_the_same_input_gives_the_same_search() -> None:
    assert (
        search_weights(table_decoder, REFERENCES, START).trials
        == search_weights(table_decoder, REFERENCES, START).trials
    )


def test_without_time_only_two_decodings_are_made_and_it_says_so() -> None:
    found = search_weights(table_decoder, REFERENCES, START, seconds=0.0)
    assert len(found.trials) == 2 and not found.finished
    assert found.surface.errors.shape == (len(UNKNOWN_SCORES), len(ALPHAS), len(BETAS), 2)


def test_a_single_unknown_score_is_left_alone() -> None:
    found = search_weights(table_decoder, REFERENCES, Weights(0.5, 1.0, 0.0), unknown_scores=(0.0,))
    assert {trial.weights.unknown_score for trial in found.trials} == {0.0}


def test_the_pool_counts_the_errors_of_the_best_reading() -> None:
    pool = Pool(REFERENCES)
    assert pool.add([[readings[1]] for readings in TABLE]) == 2 + 3
    assert pool.add(table_decoder(START)) == 5
    surface = pool.surface((-10.0,))
    for alpha, beta in itertools.product(range(0, len(ALPHAS), 5), range(0, len(BETAS), 4)):
        weights = surface.weights(0, alpha, beta)
        assert weights == Weights(float(ALPHAS[alpha]), float(BETAS[beta]), -10.0)
        right = [max(readings, key=lambda one: score(one, weights)).text for readings in TABLE]  # noqa: B023
        errors = [int(text != reference) for text, reference in zip(right, REFERENCES, strict=True)]
        assert (surface.errors[0, alpha, beta] > 0).tolist() == [bool(error) for error in errors]


def test_a_text_keeps_its_best_acoustic_score() -> None:
    pool = Pool(["a"])
    worse, better, wrong = (Reading(text, score, 0.0, 1, 0) for text, score in (("a", -9.0), ("a", -1.0), ("b", -5.0)))
    assert pool.add([[worse, wrong]]) == 0
    assert pool.errors(START).tolist() == [1]
    pool.add([[better]])
    assert pool.errors(START).tolist() == [0]


def make_surface(errors: Sequence[Sequence[Sequence[int]]]) -> Surface:
    """One unknown score; [alphas][betas][utterances]."""
    return Surface((0.0,), np.array([errors]), np.array([4] * len(errors[0][0])))


def test_the_best_place_has_good_neighbours() -> None:
    lonely = np.full((7, 7, 1), 5)
    lonely[1, 1] = 0
    lonely[4:7, 4:7] = 2
    assert make_surface(lonely.tolist()).best() == (0, 5, 5)


def test_cross_validation_never_counts_what_it_tuned_on() -> None:
    # Even utterances like the first alpha, odd ones the last: each half chooses what is wrong for the other.
    errors = [[[0, 3, 0, 3]] * 3, [[2, 2, 2, 2]] * 3, [[3, 0, 3, 0]] * 3]
    assert make_surface(errors).cross_validated_errors() == 3 * 4


@pytest.mark.parametrize(("weights", "edge"), [((0.5, 1.0), False), ((2.5, 1.0), True), ((0.5, 10.0), True)])
def test_the_edge_of_the_grid_is_noticed(weights: tuple[float, float], edge: bool) -> None:
    found = search_weights(lambda _: [[Reading("a", 0.0, 0.0, 1, 0)]], ["a"], Weights(*weights, -5.0), seconds=0.0)
    assert found.best.weights[:2] == weights and found.at_edge is edge
