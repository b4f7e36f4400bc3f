"""The rule by which references and hypotheses are normalised before their words are compared."""

from __future__ import annotations

import re
import unicodedata

RULE = (
    "lower case, no punctuation but the apostrophes inside words, spaces for hyphens, dashes and slashes, and around "
    "Chinese and Japanese characters"
)

_APOSTROPHES = re.compile("[\u2018\u2019\u201b\u02bc\u02b9\u2032\uff07`\u00b4]")
_PLAIN = re.compile(r"[a-z0-9 ]*")
# Han characters with their extensions, and both syllabaries of Japanese.
_IDEOGRAPHS = "\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_IDEOGRAPH = re.compile(f"[{_IDEOGRAPHS}]")
_GAP = re.compile(f"(?<=[{_IDEOGRAPHS}]) (?=[{_IDEOGRAPHS}])")
_SPACES = re.compile(r"\.{2,}|[\u2026\u2212/\\]")
_OUTER_APOSTROPHE = re.compile(r"(?<!\w)'+|'+(?!\w)")


def scoring_text(text: str) -> str:
    """Normalise a text for scoring: lower case, single spaces, composed characters (NFC), no punctuation.

    Quotation marks and accents that look like apostrophes are apostrophes; those between two letters stay. Hyphens,
    dashes, slashes, underscores and dots in a row separate words. All other punctuation, symbols and invisible
    characters are removed. Each Chinese or Japanese character is a word, so that word errors are character errors.
    """
    if _PLAIN.fullmatch(text):  # most hypotheses
        return " ".join(text.split())
    text = _SPACES.sub(" ", _APOSTROPHES.sub("'", unicodedata.normalize("NFC", text).lower()))
    text = "".join(map(_without_punctuation, text))
    return " ".join(_IDEOGRAPH.sub(r" \g<0> ", _OUTER_APOSTROPHE.sub("", text)).split())


def separate_characters(text: str) -> str:
    """Put a space between all characters, so that each of them is counted as a word."""
    return " ".join("".join(text.split()))


def without_gaps(text: str) -> str:
    """Remove the spaces between Chinese or Japanese characters, before characters are counted."""
    return _GAP.sub("", text)


def _without_punctuation(character: str) -> str:
    category = unicodedata.category(character)
    if category in {"Pd", "Pc"}:
        return " "
    return "" if category[0] in "PS" and character != "'" or category == "Cf" else character
