"""The places within words, numbered, with a table of what each label is worth there.

A table has a row for each place that a search has reached and is shared by all streams of a decoder. When it is full, a
new one begins, and prefixes move to it; so it cannot grow for ever. Its room is set aside at the beginning.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from edgespeech.runtime.decoder.word_scorer import START, Ending, History, Place, WordScorer

TABLE_BYTES = 10_000_000  # all of it, Python's objects too
_BYTES_PER_ENTRY = 12  # float64 worth, int32 row
_BYTES_PER_PLACE = 180  # its key, and its share of list and dictionary; measured with the default bundle, as the next
_BYTES_PER_ENDING = 400
_GAINS = 1024  # a history that lives for hours must not remember everything


class Places:
    """A growing table over one scorer's places.

    Args:
        scorer: Who knows what places are worth.
        most_bytes: Memory at which the table is full; by default `TABLE_BYTES`, or that of 256 places if it is more.

    Attributes:
        scorer: As given.
        keys: The place of each row.
        worth: [places, labels], what a prefix has beyond its history after each label: exact for a label that ends no
            word, an upper bound for others.
        after: [places, labels], row of the place after each label that ends no word; 0 where nobody has been yet.
    """

    def __init__(self, scorer: WordScorer, most_bytes: int | None = None) -> None:
        """Begin with the place at the beginning of a sentence, row 0."""
        self.scorer = scorer
        self.keys: list[Place] = []
        self._rows: dict[Place, int] = {}
        self._endings: dict[int, Ending] = {}
        self._row_bytes = _BYTES_PER_ENTRY * scorer.labels + _BYTES_PER_PLACE
        self._most_bytes = max(TABLE_BYTES, 256 * self._row_bytes) if most_bytes is None else most_bytes
        room = (self._most_bytes // self._row_bytes, scorer.labels)
        self.worth = _untouched_zeros(room, np.float64)
        self.after = _untouched_zeros(room, np.int32)
        self._lock = Lock()
        self.row(START)

    @property
    def full(self) -> bool:
        """Whether it is time for a new table."""
        return len(self.keys) * self._row_bytes + len(self._endings) * _BYTES_PER_ENDING >= self._most_bytes

    def row(self, place: Place) -> int:
        """Return the row of a place, made now if need be."""
        found = self._rows.get(place)
        if found is not None:
            return found
        worth = self.scorer.row(place)
        with self._lock:
            if place not in self._rows:
                row = len(self.keys)
                if row == len(self.worth):  # whoever still reads the old arrays finds all rows there that it knows
                    self.worth, self.after = _twice_as_long(self.worth), _twice_as_long(self.after)
                self.worth[row] = worth
                self.keys.append(place)
                self._rows[place] = row
            return self._rows[place]

    def follow(self, row: int, label: int) -> int:
        """Return the row after a label that ends no word."""
        found = int(self.after[row, label])
        if not found:
            found = self.after[row, label] = self.row(self.scorer.follow(self.keys[row], label))
        return found

    def gains(
        self, histories: Sequence[History], rows: npt.NDArray[np.int64], labels: npt.NDArray[np.intp]
    ) -> list[float]:
        """Return what labels that may end words add to the score of prefixes, their new places included."""
        keys = (rows * self.scorer.labels + labels).tolist()
        known = [history.gains.get(key) for history, key in zip(histories, keys, strict=True)]
        return [self._gain(histories[i], keys[i]) if gain is None else gain for i, gain in enumerate(known)]

    def _gain(self, history: History, key: int) -> float:
        if len(history.gains) >= _GAINS:
            history.gains.clear()
        gain = history.gains[key] = self.scorer.gain(history, self._ending(key))
        return gain

    def cross(self, history: History, row: int, label: int) -> tuple[History, int]:
        """Return the history and the row after a label that may end words."""
        ending = self._ending(row * self.scorer.labels + label)
        return self.scorer.cross(history, ending), self.row(ending.place)

    def moved(self, rows: npt.NDArray[np.int64], table: Places) -> npt.NDArray[np.int64]:
        """Return the rows of the same places in another table."""
        return np.array([table.row(self.keys[row]) for row in rows.tolist()], dtype=np.int64)

    def _ending(self, key: int) -> Ending:
        ending = self._endings.get(key)
        if ending is None:
            row, label = divmod(key, self.scorer.labels)
            ending = self._endings[key] = self.scorer.end(self.keys[row], label)
        return ending


def _untouched_zeros(shape: tuple[int, int], dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Return zeros in pages of their own.

    A page takes memory once something is written there, and all go back to the system with the array; malloc promises
    neither, and a process that has had two tables would keep the room of both.
    """
    rows, columns = shape
    pages = mmap.mmap(-1, rows * columns * np.dtype(dtype).itemsize, access=mmap.ACCESS_COPY)
    return np.frombuffer(pages, dtype).reshape(shape)


def _twice_as_long(table: npt.NDArray[Any]) -> npt.NDArray[Any]:
    longer = _untouched_zeros((2 * len(table), table.shape[1]), table.dtype.type)
    longer[: len(table)] = table
    return longer
