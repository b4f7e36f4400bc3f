"""The n-grams of a KenLM binary of the kind trie (plain, quantized, compressed pointers), read from the mapped file.

An n-gram is found from its last word backwards: the children of a word are the words before it. All n-grams of one
order are a bit-packed array of entries: word, log-probability, back-off weight, and the index of the first child; the
children end where those of the next entry begin. The longest n-grams have neither back-off weight nor children.
"""

from __future__ import annotations

import mmap
import struct
from bisect import bisect_right
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgespeech.errors import LanguageModelError

# What the header begins with, on every machine that writes the same numbers as this format.
_TEST_VALUES = struct.pack(
    "<56s3fIIIQ", b"mmap lm http://kheafield.com/code format version 5\n", 0.0, 1.0, -0.5, 1, 2**32 - 1, 0, 1
)
_PARAMETERS = struct.Struct("<B3xfIB3xI")  # order, -, kind, whether words are stored, version of the kind
_KINDS = ("hash tables", "hash tables with rest costs")
_TRIE, _QUANTIZED, _COMPRESSED = 2, 1, 2  # a kind is _TRIE plus these
_LAST_KIND = _TRIE + _QUANTIZED + _COMPRESSED
_TRIE_VERSION, _QUANTIZED_VERSION, _COMPRESSED_VERSION = 1, 2, 0
_UNIGRAM = struct.Struct("<ffQ8xQ")  # log-probability, back-off weight, first child; the next entry's first child
_UNIGRAM_SIZE = 16
_WORD64 = struct.Struct("<Q")
_FLOAT, _BITS = struct.Struct("<f"), struct.Struct("<I")
_MINUS = 1 << 31
_FIRST_WORD = b"<unk>\0"


class Weights(NamedTuple):
    """The base-10 logarithms that an n-gram has; the longest ones have no back-off weight."""

    log_prob: float
    backoff: float


class _Parts:
    """Divides a file into consecutive parts, none of which reaches beyond its end."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data, self.at = path, data, 0

    def take(self, size: int) -> int:
        """Return where the next part of this size begins."""
        start, self.at = self.at, self.at + size
        if self.at > len(self.data):
            raise self.damaged(f"ends after {len(self.data)} bytes, wanted {self.at} or more")
        return start

    def damaged(self, why: str) -> LanguageModelError:
        """Return the error that names the file."""
        return LanguageModelError(f"{self.path} is damaged or not a language model: it {why}; build or copy it again")


class OtherKindError(LanguageModelError):
    """A KenLM binary that is not a trie."""


class PlainWeights:
    """Weights as floats: 31 bits of a log-probability, which is never positive, and 32 of a back-off weight."""

    def __init__(self, with_backoff: bool) -> None:
        self.with_backoff = with_backoff
        self.bits = 63 if with_backoff else 31

    def read(self, data: mmap.mmap, bit: int) -> Weights:
        """Read the weights that begin at this bit of the file."""
        log_prob = _WORD64.unpack_from(data, bit >> 3)[0] >> (bit & 7) & (_MINUS - 1) | _MINUS
        if not self.with_backoff:
            return Weights(_FLOAT.unpack(_BITS.pack(log_prob))[0], 0.0)
        bit += 31
        backoff = _WORD64.unpack_from(data, bit >> 3)[0] >> (bit & 7) & 0xFFFFFFFF
        return Weights(_FLOAT.unpack(_BITS.pack(log_prob))[0], _FLOAT.unpack(_BITS.pack(backoff))[0])


class QuantizedWeights:
    """Weights as indices into tables of floats: first the back-off weight, then the log-probability."""

    def __init__(self, log_probs: memoryview[float], backoffs: memoryview[float] | None) -> None:
        self.log_probs, self.backoffs = log_probs, backoffs
        self.backoff_bits = 0 if backoffs is None else len(backoffs).bit_length() - 1
        self.bits = self.backoff_bits + len(log_probs).bit_length() - 1

    def read(self, data: mmap.mmap, bit: int) -> Weights:
        """Read the weights that begin at this bit of the file."""
        packed = _WORD64.unpack_from(data, bit >> 3)[0] >> (bit & 7)
        log_prob = self.log_probs[packed >> self.backoff_bits & (len(self.log_probs) - 1)]
        if self.backoffs is None:
            return Weights(log_prob, 0.0)
        return Weights(log_prob, self.backoffs[packed & (len(self.backoffs) - 1)])


class NGrams:
    """The n-grams of one order from 2.

    Args:
        parts: The file, at the beginning of these n-grams.
        count: Number of n-grams.
        words: Largest index of a word.
        weights: How weights are stored.
        children: Number of n-grams of the next order; None for the longest ones.
        table_bits: Bits by which the indices of children may be shortened with a table; None if they are not.
    """

    def __init__(
        self,
        parts: _Parts,
        count: int,
        words: int,
        weights: PlainWeights | QuantizedWeights,
        children: int | None,
        table_bits: int | None,
    ) -> None:
        self._data, self.count, self.words, self.weights = parts.data, count, words, weights
        self.child_count = children or 0
        self.child_bits = self.child_count.bit_length()
        self.table: memoryview | None = None
        if children is not None and table_bits is not None:
            self.child_bits, size = _shorten(count + 1, children, table_bits)
            start = parts.take(8 * (size + 1) + 7)
            start += -start % 8 + 8
            self.table = memoryview(parts.data)[start : start + 8 * size].cast("Q")
        self.word_bits = words.bit_length()
        self.bits = self.word_bits + weights.bits + self.child_bits
        self._word_mask, self._child_mask = (1 << self.word_bits) - 1, (1 << self.child_bits) - 1
        # One entry more tells where the last children end; 8 bytes more let the last number be read as 64 bits.
        self.first_bit = 8 * parts.take(((1 + count) * self.bits + 7) // 8 + 8)

    def find(self, word: int, begin: int, end: int) -> int | None:
        """Find a word among the sorted entries of this range, whose words are spread evenly; return its index."""
        data, width, mask, first_bit = self._data, self.bits, self._word_mask, self.first_bit
        low, high = 0, self.words
        end = min(end, self.count)
        while begin < end:
            middle = begin + (word - low) * (end - begin) // (high - low + 1)
            bit = first_bit + middle * width
            found = _WORD64.unpack_from(data, bit >> 3)[0] >> (bit & 7) & mask
            if found == word:
                return middle
            if found < word:
                begin, low = middle + 1, found + 1
            else:
                end, high = middle, found - 1
        return None

    def read_weights(self, index: int) -> Weights:
        """Read the weights of an entry."""
        return self.weights.read(self._data, self.first_bit + index * self.bits + self.word_bits)

    def children(self, index: int) -> tuple[int, int]:
        """Read the range of an entry's children."""
        data, bit = self._data, self.first_bit + (index + 1) * self.bits - self.child_bits
        begin = _WORD64.unpack_from(data, bit >> 3)[0] >> (bit & 7) & self._child_mask
        bit += self.bits
        end = _WORD64.unpack_from(data, bit >> 3)[0] >> (bit & 7) & self._child_mask
        if self.table is not None:
            begin |= max(bisect_right(self.table, index) - 1, 0) << self.child_bits
            end |= max(bisect_right(self.table, index + 1) - 1, 0) << self.child_bits
        return begin, end


def _shorten(entries: int, children: int, table_bits: int) -> tuple[int, int]:
    """Choose how many bits of the children's indices remain in the entries, and how large the table of the others is.

    The table has a number of 64 bits for each value of the highest bits: the least memory wins, then the least bits.
    """
    bits = children.bit_length()
    cost = [(children >> (bits - short)) * 64 - entries * short for short in range(min(bits, table_bits) + 1)]
    short = cost.index(min(cost))
    return bits - short, (children >> (bits - short)) + 1


class KenlmTrie:
    """The sorted hashes of the words and the n-grams of a KenLM binary; a damaged file is never read beyond its end.

    Attributes:
        order: The n of n-gram.
        data: The mapped file.
        hashes: MurmurHash64A of every word but ``<unk>``, sorted; the word of hash i has the index i + 1.
        unigrams: Where the entries of the words begin in the file.
        longer: The n-grams of order 2 .. ``order``.

    Raises:
        OtherKindError: A KenLM binary of another kind.
        LanguageModelError: The file is damaged or not a KenLM binary.
        OSError: The file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            try:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError as error:
                raise LanguageModelError(f"{path} is not a language model: it is empty; build it again") from error
        self.data = data
        parts = _Parts(path, data)
        counts, kind, stores_words = _read_header(parts)
        self.order = len(counts)
        start = parts.take(8 + 8 * counts[0])
        words = _WORD64.unpack_from(data, start)[0]
        if not 1 <= words <= counts[0]:
            raise parts.damaged(f"has {words} words among {counts[0]} 1-grams")
        self.hashes = memoryview(data)[start + 8 : start + 8 + 8 * words].cast("Q")
        weights = _find_weights(parts, self.order, kind)
        self.unigrams = parts.take(_UNIGRAM_SIZE * (counts[0] + 2))
        table_bits = None
        if kind & _COMPRESSED and self.order > 2:
            start = parts.take(2)
            version, table_bits = data[start : parts.at]
            parts.at = start  # these bytes belong to the n-grams
            if version != _COMPRESSED_VERSION:
                raise parts.damaged(f"compresses pointers by version {version}, wanted {_COMPRESSED_VERSION}")
        longer = zip(counts[1:], weights, [*counts[2:], None], strict=True)
        self.longer = [NGrams(parts, count, counts[0], how, below, table_bits) for count, how, below in longer]
        if stores_words and data[parts.at : parts.at + len(_FIRST_WORD)] != _FIRST_WORD:
            raise parts.damaged("does not have its words where its n-grams end")
        self._check(parts, words + 1, counts[1])

    def _check(self, parts: _Parts, words: int, bigrams: int) -> None:
        hashes = np.frombuffer(self.hashes, np.uint64)
        unigrams = self._unigram_entries(words + 1)
        first, children = unigrams[:words], unigrams["children"]
        if not np.all(hashes[:-1] <= hashes[1:]):
            raise parts.damaged("has words that are not sorted by their hash")
        if not (np.all(first["log_prob"] <= 0.0) and np.all(np.isfinite(first["backoff"]))):
            raise parts.damaged("has 1-grams without valid scores")
        if not (np.all(children[:-1] <= children[1:]) and children[-1] <= bigrams):
            raise parts.damaged("has 1-grams without valid children")

    def unigram_log_probs(self) -> npt.NDArray[np.float32]:
        """Return the base-10 log-probabilities of all words without context, float32 [words], ``<unk>`` first."""
        log_probs: npt.NDArray[np.float32] = self._unigram_entries(len(self.hashes) + 1)["log_prob"]
        return log_probs

    def _unigram_entries(self, count: int) -> npt.NDArray[np.void]:
        kind = np.dtype([("log_prob", "<f4"), ("backoff", "<f4"), ("children", "<u8")])
        return np.frombuffer(self.data, kind, count, self.unigrams)

    def unigram(self, word: int) -> tuple[float, float, int, int]:
        """Read the log-probability and back-off weight of a word, and the range of its children among the 2-grams."""
        log_prob, backoff, begin, end = _UNIGRAM.unpack_from(self.data, self.unigrams + _UNIGRAM_SIZE * word)
        return log_prob, backoff, begin, end


def _read_header(parts: _Parts) -> tuple[tuple[int, ...], int, bool]:
    """Read the number of n-grams of each order, what is added to the kind trie, and whether words are stored."""
    start = parts.take(len(_TEST_VALUES))
    if parts.data[start : parts.at] != _TEST_VALUES:
        raise parts.damaged("does not begin like a KenLM binary of format version 5")
    order, _, kind, stores_words, version = _PARAMETERS.unpack_from(parts.data, parts.take(_PARAMETERS.size))
    if kind > _LAST_KIND:
        raise parts.damaged(f"is a KenLM binary of the unknown kind {kind}")
    if kind < _TRIE:
        raise OtherKindError(_KINDS[kind])
    if order < 2 or version != _TRIE_VERSION:
        raise parts.damaged(f"has order {order} and version {version}; wanted order 2 or more and {_TRIE_VERSION}")
    counts = struct.unpack_from(f"<{order}Q", parts.data, parts.take(8 * order))
    parts.take(-parts.at % 8)
    return counts, kind - _TRIE, bool(stores_words)


def _find_weights(parts: _Parts, order: int, kind: int) -> list[PlainWeights | QuantizedWeights]:
    """Find the tables of weights for n-grams of order 2 .. ``order``."""
    if not kind & _QUANTIZED:
        return [*(PlainWeights(True) for _ in range(order - 2)), PlainWeights(False)]
    start = parts.take(8)
    version, log_prob_bits, backoff_bits = parts.data[start : start + 3]
    if version != _QUANTIZED_VERSION or not (1 <= log_prob_bits <= 25 and 1 <= backoff_bits <= 25):
        raise parts.damaged(f"has {log_prob_bits} and {backoff_bits} bits per weight, version {version}")

    def table(bits: int) -> memoryview[float]:
        start = parts.take(4 << bits)
        return memoryview(parts.data)[start : parts.at].cast("f")

    middle = [QuantizedWeights(table(log_prob_bits), table(backoff_bits)) for _ in range(order - 2)]
    return [*middle, QuantizedWeights(table(log_prob_bits), None)]
