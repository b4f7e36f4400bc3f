"""Printed text as the words that are spoken, each with the mark behind it and its case."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from edgespeech.runtime.punctuation.tags import Case, Mark

MAX_SHOUTED = 0.5  # fraction of words in capitals above which a line is a heading


class PrintedWord(NamedTuple):
    """A word in lower case, with what was printed; ``mark`` is None where the text does not tell it.

    ``case`` is None behind a period, where every word has a capital.
    """

    word: str
    mark: Mark | None
    case: Case | None


_TITLES = {"mr": "mister", "mrs": "missus", "dr": "doctor"}  # as `spoken_line` writes them for recognisers
_ABBREVIATIONS = frozenset(("mr", "mrs", "dr", "st", "messrs", "rev", "col", "capt", "gen", "prof", "hon", "lieut"))
_INITIAL = re.compile(r"[A-Z]")
_WORD = re.compile(r"'(?:em|tis|twas|twere|twill)\b|o'(?![\w'])|[^\W_]+(?:'[^\W\d_]+)*", re.IGNORECASE)
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u2013": " - ", "\u2014": " - ", "\u2026": "..."})
# A comma stands for semicolons, colons and dashes: no capital follows them either.
_MARKS = (("?", Mark.QUESTION), ("!", Mark.EXCLAMATION), (".", Mark.PERIOD), (",", Mark.COMMA), (";", Mark.COMMA),
          (":", Mark.COMMA), (" -", Mark.COMMA), ("--", Mark.COMMA))  # fmt: skip


def printed_words(line: str) -> Iterator[list[PrintedWord]]:
    """Yield the runs of words of a line, between those that contain a digit; a heading in capitals has none."""
    line = unicodedata.normalize("NFC", line).translate(_APOSTROPHES)
    found = list(_WORD.finditer(line))
    shouted = sum(len(match[0]) > 1 and match[0].isupper() for match in found)
    if not found or shouted > MAX_SHOUTED * len(found):
        return
    run: list[PrintedWord] = []
    period_before = True
    for match, after in zip(found, [*found[1:], None], strict=True):
        gap = line[match.end() : after.start() if after else len(line)]
        if any(character.isdigit() for character in match[0]):
            if run:
                yield [*run[:-1], run[-1]._replace(mark=None)]
            run, period_before = [], False
            continue
        mark = _mark(match[0], gap, last=after is None)
        word = match[0].lower()
        run.append(PrintedWord(_TITLES.get(word, word), mark, None if period_before else _case(match[0])))
        period_before = mark is Mark.PERIOD
    if run:
        yield run


def _mark(word: str, gap: str, last: bool) -> Mark | None:
    if gap.startswith(".") and (word.lower() in _ABBREVIATIONS or _INITIAL.fullmatch(word)) and not last:
        gap = gap[1:]
    for printed, mark in _MARKS:
        if printed in gap:
            return mark
    return None if last else Mark.NONE  # the text was cut off


def _case(word: str) -> Case:
    if word[:1].islower() or not any(map(str.isupper, word)):
        return Case.LOWER
    return Case.CAPITALS if len(word) > 1 and word.isupper() and "'" not in word else Case.CAPITAL
