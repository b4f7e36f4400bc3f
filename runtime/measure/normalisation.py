"""The rule by which references and hypotheses are normalised before their words are compared."""

from __future__ import annotations

import re
import unicodedata

RULE = "lower case, no punctuation but the apostrophes inside words, spaces for hyphens, dashes and slashes"

_APOSTROPHES = re.compile("[\u2018\u2019\u201b\u02bc\u02b9\u2032\uff07`\u00b4]")
_PLAIN = re.compile(r"[a-z0-9 ]*")
_SPACES = re.compile(r"\.{2,}|[\u2026\u2212/\\]")
_OUTER_APOSTROPHE = re.compile(r"(?<!\w)'+|'+(?!\w)")


def scoring_text(text: str) -> str:
    """Normalise a text for scoring: lower case, single spaces, composed characters (NFC), no punctuation.

    Quotation marks and accents that look like apostrophes are apostrophes; those between two letters stay. Hyphens,
    dashes, slashes, underscores and dots in a row separate words. All other punctuation, symbols and invisible
    characters are removed.
    """
    if _PLAIN.fullmatch(text):  # most hypotheses
        return " ".join(text.split())
    text = _SPACES.sub(" ", _APOSTROPHES.sub("'", unicodedata.normalize("NFC", text).lower()))
    text = "".join(map(_without_punctuation, text))
    return " ".join(_OUTER_APOSTROPHE.sub("", text).split())


def _without_punctuation(character: str) -> str:
    category = unicodedata.category(character)
    if category in {"Pd", "Pc"}:
        return " "
    return "" if category[0] in "PS" and character != "'" or category == "Cf" else character
