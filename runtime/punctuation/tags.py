"""What the tagger decides about a word: the mark that follows it, and its case."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple


class Mark(IntEnum):
    """The mark behind a word, in the order of the tagger's first outputs."""

    NONE = 0
    COMMA = 1
    PERIOD = 2
    QUESTION = 3
    EXCLAMATION = 4


class Case(IntEnum):
    """The case of a word by itself, in the order of the tagger's last outputs."""

    LOWER = 0
    CAPITAL = 1
    CAPITALS = 2


MARKS: Final = {Mark.NONE: "", Mark.COMMA: ",", Mark.PERIOD: ".", Mark.QUESTION: "?", Mark.EXCLAMATION: "!"}


class Tag(NamedTuple):
    """The mark behind a word, and the word's case."""

    mark: Mark
    case: Case


OUTPUTS: Final = len(Mark) + len(Case)
