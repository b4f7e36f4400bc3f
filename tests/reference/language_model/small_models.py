"""Small back-off models whose probabilities sum to one, as arrays, without KenLM's programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from edgespeech.reference.language_model.ngrams import BEGIN, END, UNKNOWN, NGramArrays, Order

DISCOUNT = 0.4
NGram = tuple[str, ...]


def estimate(sentences: Sequence[str], order: int) -> NGramArrays:
    """Estimate a model with absolute discounting; ``<unk>`` has a tenth of the unigrams."""
    counts = [Counter[NGram]() for _ in range(order)]
    for sentence in sentences:
        words = (BEGIN, *sentence.split(), END)
        for length in range(1, order + 1):
            counts[length - 1].update(words[at : at + length] for at in range(len(words) - length + 1))
    total = counts[0].total() - counts[0][(BEGIN,)]
    probabilities = {ngram: 0.9 * count / total for ngram, count in counts[0].items()}
    probabilities |= {(BEGIN,): 0.0, (UNKNOWN,): 0.1}
    backoffs: dict[NGram, float] = {}
    for found in counts[1:]:
        own: Counter[NGram] = Counter()
        for ngram, count in found.items():
            own[ngram[:-1]] += count
        explicit = {ngram: (count - DISCOUNT) / own[ngram[:-1]] for ngram, count in found.items()}
        left: dict[NGram, float] = dict.fromkeys(own, 0.0)
        left_below = dict(left)
        for ngram, probability in explicit.items():
            left[ngram[:-1]] += probability
            left_below[ngram[:-1]] += probabilities[ngram[1:]]
        backoffs |= {context: (1.0 - left[context]) / (1.0 - left_below[context]) for context in own}
        probabilities |= explicit
    return arrays(probabilities, backoffs, order)


def arrays(probabilities: dict[NGram, float], backoffs: dict[NGram, float], order: int) -> NGramArrays:
    """Sort n-grams as `NGramArrays` wants them."""
    singles = sorted(ngram[0] for ngram in probabilities if len(ngram) == 1 and ngram != (UNKNOWN,))
    words = (UNKNOWN, *singles)
    numbers = {word: number for number, word in enumerate(words)}
    places: dict[NGram, int] = {(word,): number for word, number in numbers.items()}
    places[()] = 0
    orders = []
    for length in range(1, order + 1):
        ngrams = [ngram for ngram in probabilities if len(ngram) == length]
        ngrams.sort(key=lambda ngram: (places[ngram[1:]], numbers[ngram[0]]))
        places |= {ngram: place for place, ngram in enumerate(ngrams)}
        with np.errstate(divide="ignore"):
            log_probs = np.log(np.array([probabilities[ngram] for ngram in ngrams]))
        orders.append(
            Order(
                np.array([numbers[ngram[0]] for ngram in ngrams]),
                np.array([places[ngram[1:] if length > 1 else ngram] for ngram in ngrams]),
                np.array([places[ngram[:-1]] for ngram in ngrams]),
                log_probs,
                np.log(np.array([backoffs.get(ngram, 1.0) for ngram in ngrams])),
            )
        )
    return NGramArrays(words, tuple(orders))


def ngrams_of(model: NGramArrays, length: int) -> list[NGram]:
    """Return the words of all n-grams of a length, in their order."""
    order = model.orders[length - 1]
    if length == 1:
        return [(word,) for word in model.words]
    below = ngrams_of(model, length - 1)
    return [(model.words[first], *below[end]) for first, end in zip(order.first, order.ends, strict=True)]


def log_prob(model: NGramArrays, history: Sequence[str], word: str) -> float:
    """Return natural log p(word | history) by the definition of a back-off model, n-gram by n-gram."""
    tables = [dict(zip(ngrams_of(model, length), range(10**6), strict=False))
              for length in range(1, len(model.orders) + 1)]  # fmt: skip
    context = tuple(history)[len(history) - min(len(history), len(model.orders) - 1) :]
    backed_off = 0.0
    while context:
        place = tables[len(context)].get((*context, word))
        if place is not None:
            return backed_off + float(model.orders[len(context)].log_probs[place])
        known = tables[len(context) - 1].get(context)
        backed_off += 0.0 if known is None else float(model.orders[len(context) - 1].backoffs[known])
        context = context[1:]
    return backed_off + float(model.orders[0].log_probs[tables[0][(word,)]])
