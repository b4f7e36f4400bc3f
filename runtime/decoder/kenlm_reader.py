"""Scores of a KenLM binary of the kind trie, where the ``kenlm`` package is not installed.

It has the part of that package's interface which `language_model` uses, and returns the same float32 numbers.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from ctypes import c_float
from typing import NamedTuple

from edgespeech.runtime.decoder.kenlm_trie import KenlmTrie

_CACHED_SCORES = 1 << 15  # about 10 MB, and 90 s of speech at a beam of 512
_CACHED_WORDS = 1 << 18
_UNKNOWN = 0
_FACTOR, _SHIFT, _64_BITS = 0xC6A4A7935BD1E995, 47, 2**64 - 1


class State:
    """The last words that can still influence a score, latest first, and their back-off weights."""

    __slots__ = ("backoffs", "words")

    def __init__(self, words: tuple[int, ...] = (), backoffs: tuple[float, ...] = ()) -> None:
        self.words = words
        self.backoffs = backoffs

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and self.words == other.words

    def __hash__(self) -> int:
        return hash(self.words)


class FullScore(NamedTuple):
    """Base-10 log p(word | state), the length of the n-gram that gave it, and whether the word is unknown."""

    log_prob: float
    ngram_length: int
    oov: bool


class Model:
    """The language model in a file.

    Attributes:
        trie: The n-grams in the file.
        order: The n of n-gram.
    """

    def __init__(self, trie: KenlmTrie) -> None:
        self.trie = trie
        self.order = self.trie.order
        self._words: dict[str, int] = {}
        self._scores: dict[tuple[tuple[int, ...], str], tuple[FullScore, State]] = {}

    def __contains__(self, word: str) -> bool:
        return self._index(word) != _UNKNOWN

    def BeginSentenceWrite(self, state: State) -> None:
        """Set a state to the beginning of a sentence."""
        word = self._index("<s>")
        state.words, state.backoffs = (word,), (self.trie.unigram(word)[1],)

    def NullContextWrite(self, state: State) -> None:
        """Set a state to that without any word."""
        state.words, state.backoffs = (), ()

    def BaseScore(self, state: State, word: str, after: State) -> float:
        """Return the base-10 log p(word | state), and write the state after the word."""
        return self.BaseFullScore(state, word, after).log_prob

    def BaseFullScore(self, state: State, word: str, after: State) -> FullScore:
        """Return a score with the length of its n-gram, and write the state after the word."""
        key = (state.words, word)
        found = self._scores.get(key)
        if found is None:
            found = self._score(state, self._index(word))
            if state.words:  # a score without context takes no search
                if len(self._scores) >= _CACHED_SCORES:
                    self._scores.clear()
                self._scores[key] = found
        score, following = found
        after.words, after.backoffs = following.words, following.backoffs
        return score

    def full_scores(self, sentence: str) -> Iterator[FullScore]:
        """Score words with white space between, after the beginning of a sentence, and its end."""
        state = State()
        self.BeginSentenceWrite(state)
        for word in [*sentence.encode().split(), b"</s>"]:
            yield self.BaseFullScore(state, word.decode(), state)

    def _index(self, word: str) -> int:
        index = self._words.get(word)
        if index is None:
            if len(self._words) >= _CACHED_WORDS:
                self._words.clear()
            hashes, sought = self.trie.hashes, murmur_hash(word.encode())
            at = bisect_left(hashes, sought)
            index = at + 1 if at < len(hashes) and hashes[at] == sought else _UNKNOWN
            self._words[word] = index
        return index

    def _score(self, state: State, word: int) -> tuple[FullScore, State]:
        log_prob, backoff, begin, end = self.trie.unigram(word)
        backoffs, length = [backoff], 1  # of the longest n-gram found
        kept = int(_can_continue(backoff))  # words that the next state needs
        for before, ngrams in zip(state.words, self.trie.longer, strict=False):
            index = ngrams.find(before, begin, end)
            if index is None:
                break
            log_prob, backoff = ngrams.read_weights(index)
            length += 1
            if length == self.order:
                break
            backoffs.append(backoff)
            if _can_continue(backoff):
                kept = length
            begin, end = ngrams.children(index)
        for backoff in state.backoffs[length - 1 :]:
            log_prob = c_float(log_prob + backoff).value  # KenLM adds in single precision
        following = State((word, *state.words)[:kept], tuple(backoffs[:kept]))
        return FullScore(log_prob, length, word == _UNKNOWN), following


def _can_continue(backoff: float) -> bool:
    """Return whether a longer n-gram may begin with this one; KenLM stores -0.0 where none does."""
    return backoff != 0.0 or math.copysign(1.0, backoff) > 0.0


def murmur_hash(text: bytes) -> int:
    """Compute MurmurHash64A (Austin Appleby, public domain) with the seed 0."""
    hashed = len(text) * _FACTOR & _64_BITS
    whole = len(text) & ~7
    for start in range(0, whole, 8):
        part = int.from_bytes(text[start : start + 8], "little") * _FACTOR & _64_BITS
        part = (part ^ part >> _SHIFT) * _FACTOR & _64_BITS
        hashed = (hashed ^ part) * _FACTOR & _64_BITS
    if whole < len(text):
        hashed = (hashed ^ int.from_bytes(text[whole:], "little")) * _FACTOR & _64_BITS
    hashed = (hashed ^ hashed >> _SHIFT) * _FACTOR & _64_BITS
    return hashed ^ hashed >> _SHIFT
