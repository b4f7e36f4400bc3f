"""The mixture of two models sums to one after every context, and is what interpolation by hand gives."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest

from edgespeech.reference.language_model.arpa import write_arpa
from edgespeech.reference.language_model.mixing import MIN_BACKED_OFF, unite
from edgespeech.reference.language_model.ngrams import BEGIN, END, UNKNOWN, NGramArrays
from edgespeech.reference.language_model.sampling import Distributions, sample_sentences
from tests.reference.language_model.small_models import estimate, log_prob, ngrams_of

BASE = estimate(["a b c", "a b a", "c a b", "b b c a", "c c", "a", "d a b c d"], 3)
TEXT = estimate(["a x b", "x y", "a x y", "b x", "x a x"], 3)
WEIGHTS = (0.05, 0.5, 0.9)


def contexts(model: NGramArrays) -> list[tuple[str, ...]]:
    words = [word for word in model.words if word not in (END, BEGIN)]
    pairs = itertools.product([*words, BEGIN], words)
    return [(), (BEGIN,), *((word,) for word in words), *pairs, (BEGIN, "a", "x"), ("y", "b", "a")]


@pytest.mark.parametrize("by_context", [True, False])
@pytest.mark.parametrize("weight", WEIGHTS)
def test_the_words_after_every_context_sum_to_one(weight: float, by_context: bool) -> None:
    mixed = unite(BASE, TEXT).mix(weight, by_context)
    distributions = Distributions(mixed)
    for context in contexts(mixed):
        after = distributions.after([mixed.numbers[word] for word in context])
        assert np.exp(after).sum() == pytest.approx(1.0, abs=1e-9), context


def test_the_models_of_the_tests_sum_to_one_and_all_words_after_a_context_are_as_by_definition() -> None:
    for model in (BASE, TEXT, unite(BASE, TEXT).mix(0.3)):
        distributions = Distributions(model)
        for context in contexts(model)[:40]:
            known = [word for word in context if word in model.numbers]
            after = distributions.after([model.numbers[word] for word in known])
            assert np.exp(after).sum() == pytest.approx(1.0, abs=1e-9)
            for word in set(model.words) - {BEGIN}:
                assert after[model.numbers[word]] == pytest.approx(log_prob(model, known, word), abs=1e-12)


def test_ngrams_that_occur_are_interpolated_and_others_back_off() -> None:
    mixed = unite(BASE, TEXT).mix(0.25, by_context=False)
    for length in (2, 3):
        for ngram in ngrams_of(mixed, length):
            *history, word = ngram
            if set(ngram) <= set(BASE.words) & set(TEXT.words):
                shares = 0.75 * np.exp(log_prob(BASE, history, word)) + 0.25 * np.exp(log_prob(TEXT, history, word))
                assert np.exp(log_prob(mixed, history, word)) == pytest.approx(shares, rel=1e-9), ngram


def test_the_weight_after_a_context_is_that_of_bayes() -> None:
    weight = 0.25
    mixed = unite(BASE, TEXT).mix(weight)
    base, text = (np.exp(log_prob(model, (BEGIN,), "a")) for model in (BASE, TEXT))
    after = weight * text / (weight * text + (1.0 - weight) * base)
    expected = (1.0 - after) * np.exp(log_prob(BASE, (BEGIN, "a"), "b"))
    expected += after * np.exp(log_prob(TEXT, (BEGIN, "a"), "b"))
    assert np.exp(log_prob(mixed, (BEGIN, "a"), "b")) == pytest.approx(expected, rel=1e-9)


def test_words_of_one_model_share_the_unknown_word_of_the_other() -> None:
    mixed = unite(BASE, TEXT).mix(0.5, by_context=False)
    unknown = np.exp(log_prob(BASE, (), UNKNOWN))
    for word in ("x", "y"):
        expected = 0.5 * np.exp(log_prob(TEXT, (), word)) + 0.5 * unknown / 4.0
        assert np.exp(log_prob(mixed, (), word)) == pytest.approx(expected, rel=1e-9)
    c, d = (np.exp(log_prob(BASE, (), word)) for word in "cd")
    shared = np.exp(log_prob(TEXT, (), UNKNOWN)) / (c + d + unknown / 2.0)
    assert np.exp(log_prob(mixed, (), "c")) == pytest.approx(0.5 * c + 0.5 * shared * c, rel=1e-9)


def test_without_new_words_and_with_no_weight_the_base_remains() -> None:
    same = unite(BASE, estimate(["a b", "b c d"], 3)).mix(1e-12)
    for context in contexts(BASE):
        for word in set(BASE.words) - {BEGIN}:
            assert log_prob(same, context, word) == pytest.approx(log_prob(BASE, context, word), abs=1e-6)


@pytest.mark.parametrize("orders", [(2, 4), (4, 2)])
def test_models_of_different_orders_are_mixed(orders: tuple[int, int]) -> None:
    sentences = ["a b c d", "b c a", "c c b a"]
    mixed = unite(estimate(sentences, orders[0]), estimate(["b c x a", *sentences[:1]], orders[1])).mix(0.4)
    assert len(mixed.orders) == 4
    distributions = Distributions(mixed)
    for context in itertools.product(["a", "b", "c", "x"], repeat=3):
        after = distributions.after([mixed.numbers[word] for word in context])
        assert np.exp(after).sum() == pytest.approx(1.0, abs=1e-9)


def test_a_base_whose_rounded_weights_sum_to_more_than_one_is_corrected() -> None:
    rounded = estimate(["a b", "a b", "a c", "b a"], 2)
    log_probs = rounded.orders[1].log_probs
    log_probs += 0.4  # the words after "a" sum to more than one
    mixed = unite(rounded, TEXT).mix(0.01, by_context=False)
    after = Distributions(mixed).after([mixed.numbers["a"]])
    assert np.exp(after).sum() == pytest.approx(1.0, abs=1e-2)
    assert np.exp(after[mixed.numbers["y"]]) > 0.0
    assert np.all(np.isfinite(mixed.orders[0].backoffs)) and mixed.orders[0].backoffs.min() > np.log(MIN_BACKED_OFF)


def test_an_arpa_file_has_the_probabilities_of_the_mixture(tmp_path: Path) -> None:
    kenlm = pytest.importorskip("kenlm")
    mixed = unite(BASE, TEXT).mix(0.3)
    out = io.StringIO()
    write_arpa(mixed, out)
    path = tmp_path / "mixed.arpa"
    path.write_text(out.getvalue(), encoding="utf-8")
    sentences = ["a x b", "d a b c", "y y never a", "c"]
    scores = mixed.score(mixed.tokens(sentences)) / np.log(10.0)
    model = kenlm.Model(str(path))
    assert scores == pytest.approx([one[0] for line in sentences for one in model.full_scores(line)], abs=1e-5)


def test_scores_are_those_of_a_search_word_by_word() -> None:
    mixed = unite(BASE, TEXT).mix(0.3)
    sentences = ["a x b", "d a b c", "y y c a", "c"]
    expected = []
    for sentence in sentences:
        words = [BEGIN, *sentence.split(), END]
        expected += [log_prob(mixed, words[:at], words[at]) for at in range(1, len(words))]
    assert mixed.score(mixed.tokens(sentences)) == pytest.approx(expected, abs=1e-12)


def test_sentences_that_are_drawn_have_the_frequencies_of_the_model() -> None:
    drawn = sample_sentences(BASE, 20_000, seed=3)
    assert drawn == sample_sentences(BASE, 20_000, seed=3)
    assert UNKNOWN not in " ".join(drawn)
    first = [sentence.split()[:1] for sentence in drawn]
    known = 1.0 - np.exp(log_prob(BASE, (BEGIN,), UNKNOWN))
    for word in "abc":
        expected = np.exp(log_prob(BASE, (BEGIN,), word)) / known
        assert first.count([word]) / len(first) == pytest.approx(expected, abs=0.02)
