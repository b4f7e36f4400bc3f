"""What must hold before the package ``kenlm`` opens a binary: it believes every index, and a wrong one crashes it.

Only indices are checked. A damaged score is a wrong score, as it is for our own reader.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgespeech.errors import LanguageModelError
from edgespeech.runtime.decoder.kenlm_trie import KenlmTrie, NGrams, OtherKindError

_PARAMETERS = struct.Struct("<Bxxxf")  # order and buckets per entry
_PARAMETERS_AT, _KIND_AT, _COUNTS_AT = 88, 96, 108
_BLOCK = 1 << 16  # entries
# Bytes of a 1-gram's weights and of an n-gram's entry, for hash tables without and with rest costs.
_SIZES = ((8, 16), (12, 20))
_WORD_SIZE = _LONGEST_SIZE = 12
_LARGEST = 1 << 40  # n-grams of one order; no file has more


def check_binary(path: Path, trie: KenlmTrie | None) -> None:
    """Require that no index in a KenLM binary leads out of it.

    Args:
        path: The file.
        trie: Its content if it is of the kind trie and has been read.

    Raises:
        LanguageModelError: One does, or the file is damaged in another way.
    """
    try:
        trie = trie or KenlmTrie(path)
    except OtherKindError:
        with path.open("rb") as file:
            _check_hash_tables(path, np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8))
        return
    for ngrams in trie.longer[:-1]:
        if not _has_sound_children(ngrams, np.frombuffer(trie.data, np.uint8)):
            raise _damaged(path, "has n-grams without valid children")


def _damaged(path: Path, why: str) -> LanguageModelError:
    return LanguageModelError(f"{path} is damaged or not a language model: it {why}; build or copy it again")


def _has_sound_children(ngrams: NGrams, data: npt.NDArray[np.uint8]) -> bool:
    """Return whether the children of each entry begin where those of the entry before end, none beyond the last."""
    windows = np.ndarray((len(data) - 7,), np.dtype("<u8"), data.data, strides=(1,))  # 64 bits from every byte on
    table = None if ngrams.table is None else np.frombuffer(ngrams.table, np.uint64)
    if table is not None and (table[0] or np.any(table[1:] < table[:-1])):
        return False
    before = 0
    for start in range(0, ngrams.count + 1, _BLOCK):
        entries = np.arange(start, min(start + _BLOCK, ngrams.count + 1), dtype=np.int64)
        bits = ngrams.first_bit + (entries + 1) * ngrams.bits - ngrams.child_bits
        found = windows[bits >> 3] >> (bits & 7).astype(np.uint64) & np.uint64((1 << ngrams.child_bits) - 1)
        children = found.astype(np.int64)
        if table is not None:
            children |= np.searchsorted(table, entries.astype(np.uint64), "right") - 1 << ngrams.child_bits
        if children[0] < before or np.any(children[1:] < children[:-1]):
            return False
        before = int(children[-1])
    return before <= ngrams.child_count


def _check_hash_tables(path: Path, data: npt.NDArray[np.uint8]) -> None:
    """Check a binary of hash tables: the indices of its words, and that a search in each table finds an end."""
    order, multiplier = _PARAMETERS.unpack_from(data.data, _PARAMETERS_AT)
    if order < 2 or not 1.0 <= multiplier < 100.0 or len(data) < _COUNTS_AT + 8 * order:
        raise _damaged(path, f"has order {order} and {multiplier:g} buckets per entry")
    counts = struct.unpack_from(f"<{order}Q", data.data, _COUNTS_AT)
    if max(counts) > _LARGEST:
        raise _damaged(path, f"states {max(counts)} n-grams")
    unigram_size, middle_size = _SIZES[int(data[_KIND_AT])]
    at = (_COUNTS_AT + 8 * order + 7) // 8 * 8 + 8
    sizes = [_WORD_SIZE, *[middle_size] * (order - 2), _LONGEST_SIZE]
    for n, (count, size) in enumerate(zip(counts, sizes, strict=True)):
        buckets = max(count + 1, int(np.float32(multiplier) * np.float32(count)))
        if at + buckets * size > len(data):
            raise _damaged(path, f"ends after {len(data)} bytes, wanted {at + buckets * size} or more")
        table = data[at : at + buckets * size].reshape(buckets, size)
        if np.all(np.any(table[:, :8], axis=1)):
            raise _damaged(path, "has a table without an empty place")
        if n == 0:
            if np.any(np.ascontiguousarray(table[:, 8:12]).view("<u4") > count):
                raise _damaged(path, "has words without 1-grams")
            at += unigram_size * (count + 1)
        at += buckets * size
