"""Numbers and abbreviations as they may be read aloud, by num2words; without it, texts with digits have no reading."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

from edgespeech.errors import UsageError
from edgespeech.reference.language_model.text import spoken_line

MAX_READINGS = 8  # of a sentence with several numbers
_MAX_DIGITS = 15
_NUMBER = re.compile(
    r"(?P<money>[$£€])?(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?P<ending>st|nd|rd|th|s|%)?(?![\w])",
    re.IGNORECASE,
)
_ROMAN = re.compile(r"\b(?=[IVXLCDM]{2})M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})\b")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_MONEY = {"$": "dollars", "£": "pounds", "€": "euros"}
_SIGNS = {"&": " and ", "+": " plus ", "@": " at "}  # of English


def check_language(language: str) -> None:
    """Check that numbers of a language can be spelled, if num2words is installed.

    Raises:
        UsageError: They cannot.
    """
    if find_spec("num2words") is None:
        return
    try:
        _spell(1, "cardinal", language)
    except NotImplementedError:
        raise UsageError(
            f"language {language!r}: num2words cannot spell its numbers; give another --language"
        ) from None


def spoken_readings(text: str, alphabet: frozenset[str], language: str) -> tuple[str, ...]:
    """Return the ways in which a text may be read aloud, in words of the alphabet; none if that is uncertain.

    1984 is a year or a number, and XIV is fourteen or the fourteenth: whoever knows the recording chooses.
    """
    if language == "en":
        text = "".join(_SIGNS.get(character, character) for character in text)
    parts: list[tuple[str, ...]] = []
    end = 0
    for start, stop, readings in _numbers(text, language):
        parts += [(text[end:start],), readings]
        end = stop
    parts.append((text[end:],))
    found: dict[str, None] = {}
    for choice in itertools.islice(itertools.product(*parts), MAX_READINGS):
        spoken = spoken_line("".join(choice), alphabet)
        if spoken:
            found[spoken] = None
    return tuple(found)


def _numbers(text: str, language: str) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Yield where numbers are, and their readings; those that cannot be spelled are left as they are."""
    if find_spec("num2words") is None:
        return
    readers: list[tuple[re.Match[str], Callable[[re.Match[str], str], list[str]]]] = [
        *((one, _readings) for one in _NUMBER.finditer(text)),
        *((one, _roman) for one in _ROMAN.finditer(text)),
    ]
    for match, read in sorted(readers, key=lambda one: one[0].start()):
        readings = tuple(dict.fromkeys(f" {one} " for one in read(match, language)))
        if readings:
            yield match.start(), match.end(), readings


def _readings(match: re.Match[str], language: str) -> list[str]:
    digits, ending = match["number"].replace(",", ""), (match["ending"] or "").lower()
    if len(digits) > _MAX_DIGITS:
        return []
    value: int | float = float(digits) if "." in digits else int(digits)
    if ending in ("st", "nd", "rd", "th"):
        return [_spell(value, "ordinal", language)]
    forms = [_spell(value, "cardinal", language)]
    if isinstance(value, int) and len(digits) == 4 and "," not in match["number"]:
        forms.insert(0, _spell(value, "year", language))
    if isinstance(value, int) and language == "en" and value >= 100:
        forms.append(forms[-1].replace(" and ", " "))  # one hundred (and) one
    if ending == "s":
        return [f"{form[:-1]}ies" if form.endswith("y") else f"{form}s" for form in forms]
    if ending == "%":
        return [f"{form} percent" for form in forms]
    return [f"{form} {_MONEY[match['money']]}" if match["money"] else form for form in forms]


def _roman(match: re.Match[str], language: str) -> list[str]:
    values = [_ROMAN_VALUES[letter] for letter in match.group()]
    total = sum(-one if one < after else one for one, after in zip(values, [*values[1:], 0], strict=True))
    ordinal = _spell(total, "ordinal", language)
    return [_spell(total, "cardinal", language), *([f"the {ordinal}"] if language == "en" else []), ordinal]


def _spell(value: float, form: str, language: str) -> str:
    import num2words  # type: ignore[import-untyped]

    convert: Any = num2words.num2words
    try:
        spelled: str = convert(value, to=form, lang=language)
    except (TypeError, ValueError, OverflowError, ArithmeticError):  # a form that the language lacks
        spelled = convert(value, lang=language)
    return spelled
