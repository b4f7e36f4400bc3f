"""What the experiments on vocabulary compute beside the models of the package."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgespeech.demo.experiments.vocabulary.hot_word_lists import _lists, without_words
from edgespeech.demo.experiments.vocabulary.mixtures import TwoModels
from edgespeech.reference.language_model.mixing import unite
from edgespeech.reference.language_model.ngrams import BEGIN, END
from edgespeech.reference.language_model.sampling import Distributions
from tests.reference.language_model.small_models import estimate, log_prob, ngrams_of

BASE = estimate(["a b c", "a b a", "c a b", "b b c a", "c c", "a", "d a b c d"], 3)
TEXT = estimate(["a x b", "x y", "a x y", "b x", "x a x"], 3)


def test_a_model_without_words_has_the_other_ngrams_and_sums_to_one() -> None:
    left = without_words(BASE, frozenset({"b", "d"}))
    assert set(left.words) == set(BASE.words) - {"b", "d"}
    for length in (2, 3):
        kept = [ngram for ngram in ngrams_of(BASE, length) if not {"b", "d"} & set(ngram)]
        assert sorted(ngrams_of(left, length)) == sorted(kept)
    assert log_prob(left, (BEGIN, "a"), END) == pytest.approx(log_prob(BASE, (BEGIN, "a"), END))
    distributions = Distributions(left)
    for context in itertools.product("ac", repeat=2):
        after = distributions.after([left.numbers[word] for word in context])
        assert np.exp(after).sum() == pytest.approx(1.0, abs=1e-9)
    kept = 1.0 - sum(np.exp(log_prob(BASE, (), word)) for word in "bd")
    assert log_prob(left, (), "c") == pytest.approx(log_prob(BASE, (), "c") - np.log(kept))


def test_lists_divide_the_words_or_fill_up_with_others() -> None:
    assert _lists("abcde", "xyz", 2) == ["ab", "cd", "e"]
    assert _lists(list("ab"), list("xyz"), 4) == [["a", "b", "x", "y"]]


@pytest.mark.parametrize("by_context", [True, False])
def test_two_models_are_mixed_word_by_word(by_context: bool) -> None:
    two = TwoModels(unite(BASE, TEXT))
    sentence = ["a", "x", "b"]
    tokens = two.models[0].tokens([" ".join(sentence)] * 2)
    expected, odds = [], 0.25 / 0.75
    for at, word in enumerate([*sentence, END]):
        first, second = (np.exp(log_prob(model, [BEGIN, *sentence[:at]], word)) for model in two.models)
        expected.append(np.log((first + odds * second) / (1.0 + odds)))
        odds *= second / first if by_context else 1.0
    assert two.linear(0.25, by_context)(tokens) == pytest.approx(expected * 2, abs=1e-9)


def test_a_log_linear_mixture_sums_to_one() -> None:
    two = TwoModels(unite(BASE, TEXT))
    words = sorted(set(two.models[0].words) - {BEGIN, END})
    scores = [two.log_linear(0.4)(two.models[0].tokens([f"a {word}"]))[1] for word in words]
    end = two.log_linear(0.4)(two.models[0].tokens(["a"]))[1]
    assert np.exp([*scores, end]).sum() == pytest.approx(1.0)
