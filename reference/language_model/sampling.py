"""Probabilities of all words after a context, and sentences drawn from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgespeech.reference.language_model.ngrams import BEGIN, END, MISSING, UNKNOWN, Floats, Integers, NGramArrays

MAX_SENTENCE = 200  # words


class Distributions:
    """Computes the probabilities of all words of a model after any words."""

    def __init__(self, model: NGramArrays) -> None:
        self.model = model
        orders = model.orders[1:]
        self._by_context: list[Integers] = [np.argsort(order.contexts, kind="stable") for order in orders]
        self._starts = [
            np.searchsorted(order.contexts[by], np.arange(len(below.first) + 1))
            for order, below, by in zip(orders, model.orders, self._by_context, strict=False)
        ]
        self._last_words = [model.orders[0].first]
        for order in orders:
            self._last_words.append(self._last_words[-1][order.ends])

    def after(self, history: Sequence[int]) -> Floats:
        """Return natural log p of every word after the numbers of these words; ``<s>`` is impossible."""
        model, context = self.model, MISSING
        log_probs = model.orders[0].log_probs.copy()
        log_probs[model.numbers[BEGIN]] = -np.inf
        for length in range(1, min(len(history), len(model.orders) - 1) + 1):
            context = self._longer(length, context, history[-length])
            if context == MISSING:
                break
            log_probs += model.orders[length - 1].backoffs[context]
            starts, order = self._starts[length - 1], model.orders[length]
            found = self._by_context[length - 1][starts[context] : starts[context + 1]]
            log_probs[self._last_words[length][found]] = order.log_probs[found]
        return log_probs

    def _longer(self, length: int, context: int, first: int) -> int:
        if length == 1:
            return first
        return int(self.model.find(length, np.array([context]), np.array([first]))[0])


def sample_sentences(model: NGramArrays, words: int, seed: int = 0) -> list[str]:
    """Draw sentences of known words until they have this many words; the same seed gives the same sentences."""
    random, distributions = np.random.default_rng(seed), Distributions(model)
    begin, end, unknown = (model.numbers[word] for word in (BEGIN, END, UNKNOWN))
    sentences: list[str] = []
    while words > 0:
        history = [begin]
        while len(history) <= MAX_SENTENCE:
            probabilities: NDArray[np.float64] = np.exp(distributions.after(history))
            probabilities[unknown] = 0.0
            cumulated = np.cumsum(probabilities)
            word = int(np.searchsorted(cumulated, random.random() * cumulated[-1], side="right"))
            if word == end:
                break
            history.append(word)
        sentences.append(" ".join(model.words[word] for word in history[1:]))
        words -= len(history)
    return sentences
