"""Two n-gram models become one by linear interpolation, so that the search has one model to ask.

The mixture has the n-grams of both. Each has the probability (1 - w) p1 + w p2, where the models back off if they do
not have it, and the back-off weights are computed again, so that the words after every context sum to one. That is
static interpolation (Stolcke, "SRILM", 2002, section 4). The weight w depends on the context h by Bayes' rule:
w(h) = w p2(h) / (w p2(h) + (1 - w) p1(h)), where p(h) is the probability of the words of h (Allauzen and Riley,
"Bayesian language model interpolation for mobile speech input", 2011). So a text changes little after words that it
does not have. A context inside of a sentence is asked only where no longer one is known, which speaks against the text;
there the odds of the text are smaller from the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgespeech.reference.language_model.ngrams import (
    BEGIN,
    MISSING,
    UNKNOWN,
    Floats,
    Integers,
    NGramArrays,
    Order,
    find_keys,
    order_keys,
)

# Rounded weights may sum to more than one. Words that a context does not have keep at least this probability.
MIN_BACKED_OFF = 1e-3
INSIDE = 0.02  # factor of the odds after words that do not begin the sentence; see docs/log/decisions.md


@dataclass(frozen=True, eq=False)
class _Scores:
    """What both models give for the n-grams of one order of the union: log-probabilities and back-off weights."""

    log_probs: tuple[Floats, Floats]
    backoffs: tuple[Floats, Floats]


@dataclass(frozen=True, eq=False)
class Union:
    """The words and n-grams of two models, with the scores of both for each.

    A word that only one model has shares the probability of ``<unk>`` in the other: equally among the words that are
    new to the first model, and in proportion to the first model's probabilities in the second.
    """

    words: tuple[str, ...]
    orders: tuple[Order, ...]
    scores: tuple[_Scores, ...]

    def mix(self, weight: float, by_context: bool = True) -> NGramArrays:
        """Return the mixture in which the second model has this weight, between 0 and 1, for the first word.

        Args:
            weight: Probability that a sentence is of the second model.
            by_context: Whether the words before change the weight.
        """
        start = np.log(weight) - np.log1p(-weight)
        inside = start + np.log(INSIDE) if by_context else start
        # The context of a single word is nothing, and is inside of a sentence.
        evidence, begins = np.zeros(1), np.zeros(1, bool)
        orders: list[Order] = []
        for order, scores in zip(self.orders, self.scores, strict=True):
            odds = np.where(begins, start, inside)[order.contexts]
            odds += evidence[order.contexts] if by_context else 0.0
            first, second = scores.log_probs
            mixed = np.logaddexp(first - np.logaddexp(0.0, odds), second - np.logaddexp(0.0, -odds))
            evidence = evidence[order.contexts] + second - first
            begins = begins[order.contexts]
            if not orders:
                begin = self.words.index(BEGIN)
                evidence[begin], begins[begin] = 0.0, True  # every sentence begins with it
            orders = with_backoffs(orders, order, mixed)
        return NGramArrays(self.words, tuple(orders))


def with_backoffs(orders: Sequence[Order], order: Order, log_probs: Floats) -> list[Order]:
    """Add an order, and give the one below the back-off weights that it then must have."""
    if not orders:
        return [Order(order.first, order.ends, order.contexts, log_probs, np.zeros(len(log_probs)))]
    below = orders[-1]
    count = len(below.first)
    known = np.bincount(order.contexts, np.exp(log_probs), count)
    too_much = np.maximum(known / (1.0 - MIN_BACKED_OFF), 1.0)
    log_probs = log_probs - np.log(too_much)[order.contexts]
    left = 1.0 - known / too_much
    left_below = 1.0 - np.bincount(order.contexts, np.exp(below.log_probs[order.ends]), count)
    backoffs = np.log(left) - np.log(np.maximum(left_below, MIN_BACKED_OFF * left))
    kept = Order(below.first, below.ends, below.contexts, below.log_probs, backoffs)
    return [*orders[:-1], kept, Order(order.first, order.ends, order.contexts, log_probs, np.zeros(len(log_probs)))]


def unite(first: NGramArrays, second: NGramArrays) -> Union:
    """Return the words and n-grams of both models; the numbers of the first model's words remain."""
    new = [word for word in second.words if word not in first.numbers]
    words = (*first.words, *new)
    numbers = {word: number for number, word in enumerate(words)}
    renumbered = [np.array([numbers[word] for word in model.words], np.int64) for model in (first, second)]
    unigrams = _unigrams(first, second, renumbered, len(words))
    single = np.arange(len(words))
    places = list(renumbered)  # of the n-grams of each model, in the union
    backoffs = tuple(_scatter(model.orders[0].backoffs, place, len(words), 0.0)
                     for model, place in zip((first, second), places, strict=True))  # fmt: skip
    orders = [Order(single, single, np.zeros(len(words), np.int64), unigrams[0], np.zeros(len(words)))]
    scores = [_Scores(unigrams, (backoffs[0], backoffs[1]))]
    for length in range(2, max(len(first.orders), len(second.orders)) + 1):
        own = [model.orders[length - 1] if length <= len(model.orders) else None for model in (first, second)]
        order, places = _unite_order(own, places, renumbered, orders, len(words))
        orders.append(order)
        scores.append(_score_order(own, places, order, scores[-1]))
    return Union(words, tuple(orders), tuple(scores))


def _unite_order(
    own: Sequence[Order | None],
    places: Sequence[Integers],
    renumbered: Sequence[Integers],
    orders: Sequence[Order],
    words: int,
) -> tuple[Order, list[Integers]]:
    """Return the n-grams of one order of the union, and the place of each model's n-grams among them."""
    nothing = np.zeros(0, np.int64)
    keys = [
        nothing if order is None else order_keys(place[order.ends], number[order.first], words)
        for order, place, number in zip(own, places, renumbered, strict=True)
    ]
    union = np.unique(np.concatenate(keys))
    ends, first = np.divmod(union, words)
    below = orders[-1]
    contexts = first if len(orders) == 1 else find_keys(
        order_keys(below.ends, below.first, words), order_keys(below.contexts[ends], first, words))  # fmt: skip
    assert not np.any(contexts == MISSING)
    nowhere = np.zeros(len(union))
    return Order(first, ends, contexts, nowhere, nowhere), [np.searchsorted(union, one) for one in keys]


def _score_order(own: Sequence[Order | None], places: Sequence[Integers], order: Order, below: _Scores) -> _Scores:
    log_probs, backoffs = [], []
    for model, place, lower, context in zip(own, places, below.log_probs, below.backoffs, strict=True):
        scores = context[order.contexts] + lower[order.ends]
        if model is not None:
            scores[place] = model.log_probs
        log_probs.append(scores)
        backoffs.append(np.zeros(len(scores)) if model is None
                        else _scatter(model.backoffs, place, len(scores), 0.0))  # fmt: skip
    return _Scores((log_probs[0], log_probs[1]), (backoffs[0], backoffs[1]))


def _unigrams(
    first: NGramArrays, second: NGramArrays, renumbered: Sequence[Integers], words: int
) -> tuple[Floats, Floats]:
    """Return the log-probabilities of all words of the union in both models, which sum to one without ``<s>``."""
    impossible = -np.inf
    own = _scatter(first.orders[0].log_probs, renumbered[0], words, impossible)
    begin, unknown = first.numbers[BEGIN], first.numbers[UNKNOWN]
    own[begin] = impossible
    new = np.isneginf(own)
    new[begin] = False
    if new.any():
        own[unknown] -= np.log(2.0)  # half of it remains for words that neither model has
        own[new] = own[unknown] - np.log(new.sum())
    text = _scatter(second.orders[0].log_probs, renumbered[1], words, impossible)
    unseen = np.isneginf(text)
    unseen[[begin, unknown]] = False, True
    shares = own[unseen] - np.log(np.exp(own[unseen]).sum())
    text[unseen] = text[unknown] + shares
    text[begin] = impossible
    own[begin] = text[begin] = -99.0 * np.log(10.0)  # what ARPA files have for a word that is never predicted
    return own, text


def _scatter(values: Floats, places: Integers, size: int, rest: float) -> Floats:
    scattered = np.full(size, rest)
    scattered[places] = values
    return scattered
