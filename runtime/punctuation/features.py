"""Words and pauses as rows of the tagger's table, by hashes, which need no vocabulary to carry along."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

WORD_ROWS: Final = 16_384
PART_ROWS: Final = 4_096
PAUSE_SECONDS: Final = (0.1, 0.2, 0.3, 0.5, 0.8)  # between the classes of pauses inside a segment
UNKNOWN_PAUSE: Final = 0
SEGMENT_END: Final = len(PAUSE_SECONDS) + 2
PAUSE_CLASSES: Final = SEGMENT_END + 1

FIRST_PAUSE_ROW: Final = WORD_ROWS + PART_ROWS
TABLE_ROWS: Final = FIRST_PAUSE_ROW + PAUSE_CLASSES
WORD_COLUMNS: Final = 4  # the word, its first three letters, its last three, its last two
COLUMNS: Final = WORD_COLUMNS + 1

Features = NDArray[np.int64]  # [words, COLUMNS]: rows of the table, whose sum stands for a word


@lru_cache(maxsize=1 << 16)
def word_rows(word: str) -> tuple[int, ...]:
    """Return the rows [WORD_COLUMNS] of a word in lower case."""
    parts = (f"{word[:3]}-", f"-{word[-3:]}", f"-{word[-2:]}/2")
    return (_hash(word) % WORD_ROWS, *(WORD_ROWS + _hash(part) % PART_ROWS for part in parts))


def pause_class(seconds: float) -> int:
    """Return the class of a pause between two words of a segment."""
    return 1 + int(np.searchsorted(PAUSE_SECONDS, seconds, side="right"))


def features(words: Sequence[str], pauses: Sequence[int]) -> Features:
    """Return the features of words, each with the class of the pause after it."""
    rows = [(*word_rows(word), FIRST_PAUSE_ROW + pause) for word, pause in zip(words, pauses, strict=True)]
    return np.array(rows, np.int64).reshape(-1, COLUMNS)


def _hash(text: str) -> int:
    return zlib.crc32(text.encode())
