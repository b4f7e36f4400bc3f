"""Spoken English numbers as people write them: text2num finds them, and rules join them to years, times and money.

A number stays in words where digits could be wrong: alone below ten, beside another one that it does not join, in
"half past nine" and in "double o seven".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple

from edgespeech.errors import MissingDependencyError
from edgespeech.runtime.punctuation.writing import Numerals

LARGEST_IN_WORDS: Final = 9
MIN_WITH_COMMAS: Final = 10_000
MIN_DIGITS: Final = 3  # single ones in a row are a number that is read digit by digit
HOURS: Final = 12

_MONTHS = frozenset("january february march april may june july august september october november december".split())
_SCALES = frozenset(("hundred", "thousand", "million", "billion"))
_PLURALS = frozenset(f"{scale}s" for scale in _SCALES)
_SCALE_NAMES = {1e6: "million", 1e9: "billion"}
_BEHIND_SECOND = frozenset(("of", "street", "avenue", "floor", "century", "birthday", "regiment"))
_BEFORE_TIME = frozenset(("at", "by", "until", "till", "before", "after", "from", "around", "about"))
_CURRENCIES = {"dollar": "$", "dollars": "$", "euro": "\u20ac", "euros": "\u20ac"}
_SMALL = frozenset("one two three four five six seven eight nine ten eleven twelve".split())
_TO_THE_HOUR = _SMALL | {"quarter", "twenty"}
_UNITS = frozenset(("cent", "cents", "degrees", "kilometers", "kilometres", "kilograms", "megabytes", "gigabytes"))


class Token(NamedTuple):
    """A word as text2num wants it; ``barred`` words are part of no number."""

    word: str
    barred: bool = False

    def text(self) -> str:
        """Return the word as it was recognised."""
        return self.word

    def nt_separated(self, previous: Token) -> bool:
        """Return False: pauses do not separate numbers."""
        return False

    def not_a_number_part(self) -> bool:
        """Return whether the word is barred."""
        return self.barred


class Number(NamedTuple):
    """A number in words ``first`` to ``behind`` - 1."""

    first: int
    behind: int
    text: str
    value: float
    ordinal: bool = False


Written = tuple[int, int, str]


def load_numerals() -> Numerals:
    """Return what finds the numbers in English words.

    Raises:
        MissingDependencyError: text2num is not installed.
    """
    try:
        find_numbers = import_module("text_to_num").find_numbers
    except ImportError:
        raise MissingDependencyError(
            "numbers as digits need text2num; install it: pip install 'edgespeech[numerals]'"
        ) from None
    return lambda words: written_numbers(words, find_numbers)


def written_numbers(words: Sequence[str], find: Callable[..., Sequence[Any]]) -> list[Written]:
    """Return the numbers that are written as digits: first word, word behind the last, and text.

    Args:
        words: Words in lower case.
        find: ``text_to_num.find_numbers``.
    """
    tokens = [Token(word, _is_barred(words, index)) for index, word in enumerate(words)]
    numbers = [
        _with_article(words, Number(one.start, one.end, one.text, one.value, one.is_ordinal))
        for one in find(tokens, "en", 0)
    ]
    found: list[Written] = []
    index = 0
    while index < len(numbers):
        group = _group(numbers, index)
        written = _written(words, group)
        if written is not None:
            found.append(written)
        index += len(group)
    return _with_cents(words, found)


def _is_barred(words: Sequence[str], index: int) -> bool:
    """Return whether "second" is a time, and "o" no zero."""
    word, after = words[index], _word(words, index + 1)
    if word == "second":
        return after not in _BEHIND_SECOND
    return (
        word in _PLURALS
        or after.endswith("ties")
        or (word == "o" and _word(words, index - 1) in {"double", "triple", ""})
    )


def _with_article(words: Sequence[str], number: Number) -> Number:
    """Take the article of "a hundred and five" into the number."""
    more = number.behind - number.first > 1 and words[number.first] in _SCALES
    if more and number.first and words[number.first - 1] == "a":
        return number._replace(first=number.first - 1)
    return number


def _group(numbers: Sequence[Number], index: int) -> Sequence[Number]:
    """Return the numbers from ``index`` on that follow each other without a word between them."""
    behind = index + 1
    while (
        behind < len(numbers)
        and numbers[behind].first == numbers[behind - 1].behind
        and not numbers[behind].ordinal
        and not numbers[behind - 1].ordinal
    ):
        behind += 1
    return numbers[index:behind]


def _written(words: Sequence[str], group: Sequence[Number]) -> Written | None:
    first, behind = group[0].first, group[-1].behind
    before, after = _word(words, first - 1), _word(words, behind)
    to_hour = before == "to" and group[0].value <= HOURS and _word(words, first - 2) in _TO_THE_HOUR
    before_hour = before == "past" or to_hour
    if before_hour or before in {"double", "triple"} or after in {"past", "something"}:
        return None
    half_day = " ".join(words[behind : behind + 2]) if after in {"a", "p"} else after
    if half_day in {"a m", "p m", "am", "pm"} and (clock := _clock(group)):
        return first, behind + len(half_day.split()), f"{clock} {half_day[0]}.m."
    if len(group) > 1:
        text = _joined(group, before)
        return None if text is None else (first, behind, text)
    return _alone(words, group[0], before, after)


def _joined(group: Sequence[Number], before: str) -> str | None:
    values = [number.value for number in group]
    if len(group) == 2 and values[0] % 1 and (scale := _SCALE_NAMES.get(values[1])):
        return f"{group[0].text} {scale}"
    if any(value % 1 for value in values):
        return None
    digits = "".join(number.text for number in group)
    if len(digits) >= MIN_DIGITS and all(len(one.text) == 1 or one.text[0] == "0" for one in group):
        return digits
    if len(group) != 2:
        return None
    if before in _BEFORE_TIME and (clock := _clock(group)):
        return clock
    is_year = 13 <= values[0] <= 20 and (10 <= values[1] <= 99 or len(group[1].text) == 2)
    return digits if is_year else None


def _clock(group: Sequence[Number]) -> str | None:
    """Return a time of the day for an hour alone, or for an hour and minutes."""
    if len(group) > 2 or any(one.ordinal or one.value % 1 for one in group) or not 1 <= group[0].value <= HOURS:
        return None
    if len(group) == 1:
        return group[0].text
    minutes = group[1]
    fits = 10 <= minutes.value <= 59 or (minutes.value < 10 and len(minutes.text) == 2)
    return f"{group[0].text}:{minutes.text}" if fits else None


def _alone(words: Sequence[str], number: Number, before: str, after: str) -> Written | None:
    first, behind, text = number.first, number.behind, number.text
    if number.ordinal:
        dated = before in _MONTHS or (before == "the" and _word(words, first - 2) in _MONTHS)
        dated = dated or (after == "of" and _word(words, behind + 1) in _MONTHS)
        fraction = words[first] in {"one", "a"} and behind - first == 2
        return (first, behind, text) if dated or (number.value > LARGEST_IN_WORDS and not fraction) else None
    if after == "to" and _word(words, behind + 1) in _SMALL:
        return None
    text = f"{int(number.value):,}" if number.value >= MIN_WITH_COMMAS and "." not in text else text
    if symbol := _CURRENCIES.get(after):
        return first, behind + 1, symbol + text
    if after == "percent" or words[behind : behind + 2] == ["per", "cent"]:
        return first, behind + (1 if after == "percent" else 2), f"{text}%"
    is_scale = behind - first == 1 and words[first] in _SCALES
    large = text[:-1].startswith("0") or number.value > LARGEST_IN_WORDS or "." in text or after in _UNITS
    return (first, behind, text) if large and not is_scale else None


def _with_cents(words: Sequence[str], found: Sequence[Written]) -> list[Written]:
    """Write "five dollars and fifty cents" as one sum."""
    joined: list[Written] = []
    for first, behind, text in found:
        cents = _word(words, behind) in {"cent", "cents"} and text.isdigit() and len(text) <= 2
        gap = list(words[joined[-1][1] : first]) if joined else [""]
        if cents and gap in ([], ["and"]) and joined[-1][2].startswith("$") and "." not in joined[-1][2]:
            joined[-1] = (joined[-1][0], behind + 1, f"{joined[-1][2]}.{int(text):02d}")
        else:
            joined.append((first, behind, text))
    return joined


def _word(words: Sequence[str], index: int) -> str:
    return words[index] if 0 <= index < len(words) else ""
