"""A table of the prefix states reached so far, with the look-ahead score of each label in each state.

The table has one row per state and is shared by all streams of a decoder. When it is full, a new one is begun and
prefixes move to it, so that it cannot grow without limit. Its memory is reserved at the beginning.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from edgespeech.runtime.decoder.word_scorer import START, Ending, History, PrefixState, WordScorer

TABLE_BYTES = 10_000_000  # including the Python objects
_BYTES_PER_ENTRY = 12  # float64 score, int32 row
_BYTES_PER_STATE = 180  # its key and its part of list and dictionary; measured with the default bundle, as the next
_BYTES_PER_ENDING = 400
_MAX_GAINS = 1024  # per history: one that lives for hours must not keep every gain


class PrefixStates:
    """A growing table of the states of one scorer.

    Args:
        scorer: Computes the look-ahead scores.
        max_bytes: Memory at which the table is full; by default `TABLE_BYTES` or the size of 256 states, whichever is
            more.

    Attributes:
        states: State of each row.
        lookahead: [states, labels], score that a prefix has after each label in addition to that of its history: exact
            for labels that end no word, an upper bound for the others.
        next_rows: [states, labels], row of the state after each label that ends no word; 0 if not yet known.
    """

    def __init__(self, scorer: WordScorer, max_bytes: int | None = None) -> None:
        self.scorer = scorer
        self.states: list[PrefixState] = []
        self._rows: dict[PrefixState, int] = {}
        self._endings: dict[int, Ending] = {}
        self._row_bytes = _BYTES_PER_ENTRY * scorer.labels + _BYTES_PER_STATE
        self._max_bytes = max(TABLE_BYTES, 256 * self._row_bytes) if max_bytes is None else max_bytes
        shape = (self._max_bytes // self._row_bytes, scorer.labels)
        self.lookahead = _map_zeros(shape, np.float64)
        self.next_rows = _map_zeros(shape, np.int32)
        self._lock = Lock()
        self.row(START)

    @property
    def full(self) -> bool:
        """Whether a new table should be begun."""
        return len(self.states) * self._row_bytes + len(self._endings) * _BYTES_PER_ENDING >= self._max_bytes

    def row(self, state: PrefixState) -> int:
        """Return the row of a state, and add the row if it is new."""
        found = self._rows.get(state)
        if found is not None:
            return found
        lookahead = self.scorer.lookahead_row(state)
        with self._lock:
            if state not in self._rows:
                row = len(self.states)
                if row == len(self.lookahead):  # other threads may still read the old arrays, up to the rows they know
                    self.lookahead, self.next_rows = _doubled(self.lookahead), _doubled(self.next_rows)
                self.lookahead[row] = lookahead
                self.states.append(state)
                self._rows[state] = row
            return self._rows[state]

    def follow(self, row: int, label: int) -> int:
        """Return the row after a label that ends no word."""
        found = int(self.next_rows[row, label])
        if not found:
            found = self.next_rows[row, label] = self.row(self.scorer.follow(self.states[row], label))
        return found

    def gains(
        self, histories: Sequence[History], rows: npt.NDArray[np.int64], labels: npt.NDArray[np.intp]
    ) -> list[float]:
        """Return the scores that labels add to prefixes whose words they may end, look-ahead included."""
        keys = (rows * self.scorer.labels + labels).tolist()
        known = [history.gains.get(key) for history, key in zip(histories, keys, strict=True)]
        return [self._gain(histories[i], keys[i]) if gain is None else gain for i, gain in enumerate(known)]

    def _gain(self, history: History, key: int) -> float:
        if len(history.gains) >= _MAX_GAINS:
            history.gains.clear()
        gain = history.gains[key] = self.scorer.gain(history, self._ending(key))
        return gain

    def end_words(self, history: History, row: int, label: int) -> tuple[History, int]:
        """Return the history and the row after a label that may end words."""
        ending = self._ending(row * self.scorer.labels + label)
        return self.scorer.end_words(history, ending), self.row(ending.state)

    def rows_in(self, table: PrefixStates, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the rows in another table that have the states of these rows."""
        return np.array([table.row(self.states[row]) for row in rows.tolist()], dtype=np.int64)

    def _ending(self, key: int) -> Ending:
        ending = self._endings.get(key)
        if ending is None:
            row, label = divmod(key, self.scorer.labels)
            ending = self._endings[key] = self.scorer.ending(self.states[row], label)
        return ending


def _map_zeros(shape: tuple[int, int], dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Return zeros in memory pages of their own.

    A page takes memory once it is written to, and all of them return to the system with the array. malloc guarantees
    neither, so that a process that has had two tables would keep the memory of both.
    """
    rows, columns = shape
    pages = mmap.mmap(-1, rows * columns * np.dtype(dtype).itemsize, access=mmap.ACCESS_COPY)
    return np.frombuffer(pages, dtype).reshape(shape)


def _doubled(table: npt.NDArray[Any]) -> npt.NDArray[Any]:
    longer = _map_zeros((2 * len(table), table.shape[1]), table.dtype.type)
    longer[: len(table)] = table
    return longer
