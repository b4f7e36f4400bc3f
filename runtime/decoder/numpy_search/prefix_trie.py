"""The label prefixes of a beam search as an array of records, without scores.

A prefix is identified by a 64-bit hash of its labels, so two records for the same labels (made at different times, or
with different emission frames) are recognised as one prefix without a table of children. Compacting removes the records
that no beam needs, and those of the committed labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

# The rows of a record: hash of all labels since the beginning of the utterance, their number, the last of them, its
# emission frame, the bits of its natural-log probability in that frame, and the column of the prefix without it
# (-1: none, or committed).
HASH, DEPTH, LABEL, FRAME, LOG_PROB, PARENT = range(6)
FIELDS = 6
ROOT_HASH = 0x1E3779B97F4A7C15
_MULTIPLIER = np.int64(0x56E8FEB86659FD93)
_SHIFT = np.int64(29)
# The generator's state after the seed 0.
_PCG_STATE = 0x1AA1B5345996452D09585EB7A69561E3
_PCG_INCREMENT = 0x418DDADB3AF71A82588133BC447873A9
_PCG_MULTIPLIER = 0x2360ED051FC65DA44385DF649FCCF645
_64_BITS, _128_BITS = 2**64 - 1, 2**128 - 1


class Trie:
    """Records [6, size], one per column. Append-only; callers that append work on a copy."""

    __slots__ = ("_records", "size")

    def __init__(self, records: Integers | None = None) -> None:
        self._records = np.zeros((FIELDS, 0), np.int64) if records is None else records
        self.size = int(self._records.shape[1])

    @property
    def records(self) -> Integers:
        """The records as an array [6, size]."""
        return self._records[:, : self.size]

    def copy(self) -> Trie:
        """Return a trie that can grow without changing this one."""
        return Trie(self.records.copy())

    def add(self, records: Integers) -> int:
        """Append records [6, n] and return the column of the first."""
        first: int = self.size
        self.size += int(records.shape[1])
        if self.size > self._records.shape[1]:
            grown = np.empty((FIELDS, 2 * self.size + 512), np.int64)
            grown[:, :first] = self._records[:, :first]
            self._records = grown
        self._records[:, first : self.size] = records
        return first

    def compact(self, columns: Integers, depth: int) -> tuple[Trie, Integers]:
        """Keep the ancestors of these columns that are deeper than ``depth``; also return the columns' new numbers."""
        parents, depths = self.records[PARENT].tolist(), self.records[DEPTH].tolist()
        live = set()
        for column in columns.tolist():
            while column >= 0 and column not in live and depths[column] > depth:
                live.add(column)
                column = parents[column]
        kept = np.array(sorted(live), dtype=np.intp)
        moved = np.full(self.size + 1, -1, np.int64)  # the last entry is that of column -1
        moved[kept] = np.arange(len(kept))
        records = self.records[:, kept]
        records[PARENT] = moved[records[PARENT]]
        return Trie(records), moved[columns]


class Branches:
    """A trie with the records of the beams as its last columns, as lists that are fast to walk."""

    def __init__(self, trie: Trie, leaves: Integers, base: int) -> None:
        records = np.concatenate([trie.records, leaves], axis=1)
        self._hashes: list[int] = records[HASH].tolist()
        self.depths: list[int] = records[DEPTH].tolist()
        self.labels: list[int] = records[LABEL].tolist()
        self.parents: list[int] = records[PARENT].tolist()
        self.leaves = range(trie.size, records.shape[1])  # the columns of the beams
        self._records = records
        self.base = base  # number of committed labels

    def path(self, column: int) -> list[int]:
        """List the columns from the first label that is not committed to this one."""
        columns = []
        while column >= 0 and self.depths[column] > self.base:
            columns.append(column)
            column = self.parents[column]
        columns.reverse()
        return columns

    @property
    def frames(self) -> list[int]:
        """Emission frame of each record's label."""
        frames: list[int] = self._records[FRAME].tolist()
        return frames

    @property
    def log_probs(self) -> list[float]:
        """Natural-log probability of each record's label in its emission frame."""
        log_probs: list[float] = self._records[LOG_PROB].view(np.float64).tolist()
        return log_probs

    def labels_of(self, columns: Sequence[int]) -> list[int]:
        """Return the last labels of these records."""
        return [self.labels[column] for column in columns]

    def shared_depth(self) -> int:
        """Return the length of the longest prefix that all beams share."""
        first, *others = self.leaves
        depth_of = {self._hashes[column]: self.depths[column] for column in self.path(first)}
        shared = self.depths[first]
        seen: set[int] = set()
        for column in others:
            while column >= 0 and column not in seen:
                seen.add(column)
                depth = depth_of.get(self._hashes[column])
                if depth is not None:
                    shared = min(shared, depth)
                    break
                if self.depths[column] <= self.base:
                    return self.base
                column = self.parents[column]
            else:
                if column < 0:
                    return self.base
        return shared

    def descendants(self, column: int) -> list[int]:
        """List the beams (counted from 0) whose prefix begins with that of this record."""
        wanted, depth = self._hashes[column], self.depths[column]
        verdict: dict[int, bool] = {}
        for leaf in self.leaves:
            walked = []
            while leaf >= 0 and leaf not in verdict and self.depths[leaf] > depth:
                walked.append(leaf)
                leaf = self.parents[leaf]
            known = verdict.get(leaf)
            found = (leaf >= 0 and self._hashes[leaf] == wanted) if known is None else known
            verdict.update(dict.fromkeys([*walked, leaf], found))
        return [index for index, leaf in enumerate(self.leaves) if verdict[leaf]]


def label_keys(labels: int) -> Integers:
    """Draw the fixed random number that each label adds to hashes: ``numpy.random.default_rng(0).integers``.

    PCG64 is computed here, because importing ``numpy.random`` takes 10 ms and 2 MB (M. O'Neill, "PCG: a family of
    simple fast space-efficient statistically good algorithms for random number generation", 2014).
    """
    keys = []
    state = _PCG_STATE
    for _ in range(labels):
        state = (state * _PCG_MULTIPLIER + _PCG_INCREMENT) & _128_BITS
        turn, folded = state >> 122, (state >> 64) ^ (state & _64_BITS)
        keys.append(((folded >> turn) | (folded << (64 - turn))) & _64_BITS)
    return np.array(keys, np.uint64).view(np.int64) ^ np.int64(-(2**63))


def extend_hashes(prefixes: Integers, keys: Integers) -> Integers:
    """Compute the hashes of prefixes [n] extended by the labels with these keys [n]."""
    mixed = (prefixes ^ keys) * _MULTIPLIER
    return mixed ^ (mixed >> _SHIFT)


def spell(labels: Sequence[str], indices: Sequence[int]) -> str:
    """Join the texts of these label indices."""
    return "".join([labels[index] for index in indices])
