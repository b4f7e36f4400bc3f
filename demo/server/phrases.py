"""Phrases of clients as the bundle spells them: names of lamps, contacts and commands."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Collection, Iterable, Sequence

from edgespeech.errors import UsageError
from edgespeech.runtime.measure.normalisation import scoring_text

# A search with 1000 phrases takes a quarter of a second to make, in which other streams wait.
MAX_PHRASES = 1000
MAX_LETTERS = 200  # of a phrase


def check_phrases(phrases: Collection[str]) -> None:
    """Check how many phrases a client sent, and how long they are.

    Raises:
        UsageError: There are too many, or one is too long.
    """
    if len(phrases) > MAX_PHRASES:
        raise UsageError(f"{len(phrases)} phrases; wanted at most {MAX_PHRASES}")
    if (longest := max(map(len, phrases), default=0)) > MAX_LETTERS:
        raise UsageError(f"a phrase of {longest} characters; wanted at most {MAX_LETTERS}")


def spell(phrase: str, labels: Sequence[str]) -> str | None:
    """Return a phrase in the letters of the labels: their case, no punctuation, no accents that they lack.

    None if a letter or digit has no spelling, because the rest would be another phrase, or if nothing is left.
    """
    alphabet = set("".join(labels)) | {" "}
    spelled: list[str] = []
    for character in scoring_text(phrase):
        letters = _spell_letter(character, alphabet)
        if not letters and character.isalnum():
            return None
        spelled.append(letters)
    return " ".join("".join(spelled).split()) or None


def spell_all(phrases: Iterable[str], labels: Sequence[str]) -> list[str]:
    """Return those phrases that can be spelled, each once, in their order."""
    spelled = (spell(phrase, labels) for phrase in phrases)
    return list(dict.fromkeys(phrase for phrase in spelled if phrase))


def spell_hot_words(phrases: Iterable[str], labels: Sequence[str]) -> list[str]:
    """Return phrases as `spell_all` does, but in the case that they came in, which written text keeps."""
    found = ((spell(phrase, labels), _bare(phrase)) for phrase in phrases)
    kept: dict[str, str] = {}
    for spelled, bare in found:
        if spelled:
            kept.setdefault(spelled, bare if bare.lower() == spelled.lower() else spelled)
    return list(kept.values())


def _bare(phrase: str) -> str:
    return " ".join(filter(None, (word.strip(string.punctuation) for word in phrase.split())))


def _spell_letter(character: str, alphabet: set[str]) -> str:
    parts = character if character in alphabet else unicodedata.normalize("NFKD", character)
    forms = (part if part in alphabet else part.upper() for part in parts)
    return "".join(form for form in forms if form in alphabet)
