"""All n-grams of a KenLM trie as arrays, so that models can be mixed and texts scored without a search per word.

An n-gram is known by two indices into the n-grams of the order below: that of its end, the n-gram without the first
word, and that of its context, the one without the last word. Both exist in every file that `build_binary` writes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import LanguageModelError
from edgespeech.runtime.decoder.kenlm_trie import KenlmTrie, NGrams, OtherKindError, QuantizedWeights
from edgespeech.runtime.decoder.vocabulary import read_stored_words

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

UNKNOWN, BEGIN, END = "<unk>", "<s>", "</s>"
MISSING = -1  # index of an n-gram that a model does not have
_LN10 = math.log(10.0)
_SIGN = np.uint32(1 << 31)


@dataclass(frozen=True, eq=False)
class Order:
    """The n-grams of one order, sorted by `ends` and then by `first`; all arrays are [n-grams].

    Attributes:
        first: Number of the first word.
        ends: Index of the n-gram without its first word, in the order below; for single words their own number.
        contexts: Index of the n-gram without its last word, in the order below; for single words 0.
        log_probs: Natural log p(last word | the words before it).
        backoffs: Natural logarithms of the back-off weights, 0 for the longest n-grams.
    """

    first: Integers
    ends: Integers
    contexts: Integers
    log_probs: Floats
    backoffs: Floats


@dataclass(frozen=True, eq=False)
class NGramArrays:
    """A back-off model: its words, of which ``<unk>`` is the first, and its n-grams for n = 1, 2, ..."""

    words: tuple[str, ...]
    orders: tuple[Order, ...]

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each word."""
        return {word: number for number, word in enumerate(self.words)}

    @cached_property
    def _keys(self) -> list[Integers]:
        return [order_keys(order.ends, order.first, len(self.words)) for order in self.orders]

    def find(self, length: int, ends: Integers, first: Integers) -> Integers:
        """Find n-grams of a length from 2 by their ends and first words; `MISSING` where there is none."""
        known = (ends != MISSING) & (first != MISSING)
        return np.where(known, find_keys(self._keys[length - 1], order_keys(ends, first, len(self.words))), MISSING)

    def score(self, tokens: Tokens) -> Floats:
        """Return the natural log p of every token, by the longest n-gram that is known, with back-off weights."""
        found, context = tokens.words, np.full_like(tokens.words, MISSING)
        scores = self.orders[0].log_probs[found]
        for length in range(2, len(self.orders) + 1):
            first = tokens.before(length - 1)
            context = first if length == 2 else self.find(length - 1, context, first)
            found = self.find(length, found, first)
            backed_off = scores + np.where(context == MISSING, 0.0, self.orders[length - 2].backoffs[context])
            scores = np.where(found == MISSING, backed_off, self.orders[length - 1].log_probs[found])
        return scores

    def tokens(self, sentences: Iterable[str]) -> Tokens:
        """Return the tokens of sentences with single spaces; unknown words have the number 0."""
        begin, end = self.numbers[BEGIN], self.numbers[END]
        flat: list[int] = []
        for sentence in sentences:
            flat += [begin, *(self.numbers.get(word, 0) for word in sentence.split()), end]
        return Tokens.of(np.array(flat, np.int64), begin)


@dataclass(frozen=True, eq=False)
class Tokens:
    """Words to predict and the ends of sentences, with all words before them; int64 [tokens].

    Attributes:
        words: Numbers of the words.
        line: Sentences one after the other, with their beginnings.
        places: Where each of the words is in the line.
        starts: Where its sentence begins in the line.
    """

    words: Integers
    line: Integers
    places: Integers
    starts: Integers

    @classmethod
    def of(cls, line: Integers, begin: int) -> Tokens:
        """Divide a line at the beginnings of sentences."""
        is_begin = line == begin
        starts = np.maximum.accumulate(np.where(is_begin, np.arange(len(line)), 0))
        places = np.flatnonzero(~is_begin)
        return cls(line[places], line, places, starts[places])

    def before(self, distance: int) -> Integers:
        """Return the word that many places before each token, `MISSING` before the beginning of its sentence."""
        at = self.places - distance
        return np.where(at >= self.starts, self.line[np.maximum(at, 0)], MISSING)


def order_keys(ends: Integers, first: Integers, words: int) -> Integers:
    """Return numbers by which n-grams of one order are sorted; equal ones are the same n-gram."""
    return ends * words + first


def find_keys(keys: Integers, wanted: Integers) -> Integers:
    """Return the indices of numbers in a sorted array, `MISSING` where they are not in it."""
    if not len(keys):
        return np.full(len(wanted), MISSING)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, at, MISSING)


def read_ngrams(path: Path) -> NGramArrays:
    """Read a KenLM binary of the kind trie that stores its words, as `edgespeech lm build` writes it.

    Raises:
        LanguageModelError: The file is missing, damaged, of another kind, or stores no words.
    """
    try:
        trie, stored = KenlmTrie(path), read_stored_words(path)
    except OtherKindError as error:
        raise LanguageModelError(
            f"{path} stores n-grams as {error}, from which they cannot be read; build it again with 'build_binary trie'"
        ) from None
    except OSError as error:
        raise LanguageModelError(f"{path} cannot be read: {error.strerror}; give a language model") from None
    if stored is None:
        raise LanguageModelError(f"{path} stores no words; build it again without the option -v of build_binary")
    words = tuple(stored.decode("utf-8").split("\0")[: len(trie.hashes) + 1])
    if missing := {BEGIN, END}.difference(words):
        raise LanguageModelError(f"{path} has no {' and '.join(sorted(missing))}; build it from sentences")
    return NGramArrays(words, tuple(_read_orders(trie, len(words), path)))


def _read_orders(trie: KenlmTrie, words: int, path: Path) -> list[Order]:
    kind = np.dtype([("log_prob", "<f4"), ("backoff", "<f4"), ("children", "<u8")])
    unigrams = np.frombuffer(trie.data, kind, words + 1, trie.unigrams)
    numbers = np.arange(words)
    orders = [
        Order(numbers, numbers, np.zeros(words, np.int64), _natural(unigrams["log_prob"][:words]),
              _natural(unigrams["backoff"][:words]))
    ]  # fmt: skip
    children = unigrams["children"].astype(np.int64)
    data = np.ndarray(len(trie.data) - 7, "<u8", trie.data, strides=(1,))
    for ngrams in trie.longer:
        counts = np.diff(children)
        if np.any(counts < 0) or children[0] != 0 or children[-1] != ngrams.count:
            raise LanguageModelError(f"{path} is damaged: its n-grams have no valid children; build or copy it again")
        first = _bits(data, ngrams, 0, ngrams.word_bits, ngrams.count)
        ends = np.repeat(np.arange(len(counts)), counts)
        if np.any(first >= words) or np.any(np.diff(order_keys(ends, first, words)) <= 0):
            raise LanguageModelError(f"{path} is damaged: its n-grams are not sorted; build or copy it again")
        contexts = _contexts(orders, words, ends, first)
        log_probs, backoffs = _weights(data, ngrams)
        if np.any(contexts == MISSING) or not (np.all(log_probs <= 0.0) and np.all(np.isfinite(backoffs))):
            raise LanguageModelError(f"{path} is damaged: its n-grams have no valid scores; build or copy it again")
        orders.append(Order(first, ends, contexts, log_probs, backoffs))
        children = _children(data, ngrams)
    return orders


def _contexts(orders: Sequence[Order], words: int, ends: Integers, first: Integers) -> Integers:
    """Find the n-grams without their last words, in the order below."""
    if len(orders) == 1:
        return first
    below = orders[-1]
    wanted = order_keys(below.contexts[ends], first, words)
    return find_keys(order_keys(below.ends, below.first, words), wanted)


def _bits(data: NDArray[Any], ngrams: NGrams, offset: int, bits: int, count: int) -> Integers:
    """Read a field of at most 57 bits from all entries."""
    at = ngrams.first_bit + ngrams.bits * np.arange(count) + offset
    shifted = data[at >> 3] >> (at & 7).astype(np.uint64)
    found: Integers = (shifted & np.uint64((1 << bits) - 1)).astype(np.int64)
    return found


def _weights(data: NDArray[Any], ngrams: NGrams) -> tuple[Floats, Floats]:
    weights, start = ngrams.weights, ngrams.word_bits
    if isinstance(weights, QuantizedWeights):
        log_prob_bits = weights.bits - weights.backoff_bits
        at = _bits(data, ngrams, start + weights.backoff_bits, log_prob_bits, ngrams.count)
        log_probs = np.asarray(weights.log_probs)[at]
        if weights.backoffs is None:
            return _natural(log_probs), np.zeros(ngrams.count)
        at = _bits(data, ngrams, start, weights.backoff_bits, ngrams.count)
        return _natural(log_probs), _natural(np.asarray(weights.backoffs)[at])
    log_probs = (_bits(data, ngrams, start, 31, ngrams.count).astype(np.uint32) | _SIGN).view(np.float32)
    if not weights.with_backoff:
        return _natural(log_probs), np.zeros(ngrams.count)
    backoffs = _bits(data, ngrams, start + 31, 32, ngrams.count).astype(np.uint32).view(np.float32)
    return _natural(log_probs), _natural(backoffs)


def _children(data: NDArray[Any], ngrams: NGrams) -> Integers:
    """Read where the children of each entry begin, and where those of the last one end."""
    entries = ngrams.count + 1
    begins = _bits(data, ngrams, ngrams.bits - ngrams.child_bits, ngrams.child_bits, entries)
    if ngrams.table is not None:
        at = np.searchsorted(np.asarray(ngrams.table), np.arange(entries, dtype=np.uint64), side="right")
        begins |= np.maximum(at - 1, 0).astype(np.int64) << ngrams.child_bits
    return begins


def _natural(base_10: NDArray[np.float32]) -> Floats:
    return base_10.astype(np.float64) * _LN10
