"""The sentences to read: chosen so that all letters and pairs of letters occur early and often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

from edgespeech.errors import UsageError
from edgespeech.runtime.measure.normalisation import scoring_text

LETTERS_PER_SECOND = 13.0  # of reading aloud, spaces included
PAUSE_SECONDS = 0.8  # before and behind a sentence
MIN_WORDS, MAX_WORDS = 3, 25


def package_sentences() -> list[str]:
    """Read the sentences that are part of the package; they are English and in the public domain."""
    return _lines(resources.files(__package__).joinpath("sentences.txt").read_text(encoding="utf-8"))


def read_sentences(path: Path) -> list[str]:
    """Read a text file with one sentence per line; blank lines and those that begin with # are left out.

    Raises:
        UsageError: The file cannot be read, is not UTF-8 text, or has no sentence of 3 to 25 words.
    """
    try:
        found = _lines(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "not UTF-8 text"
        raise UsageError(
            f"--sentences {path} cannot be read ({reason}); give a text file, one sentence a line"
        ) from None
    usable = [line for line in found if MIN_WORDS <= len(scoring_text(line).split()) <= MAX_WORDS]
    if not usable:
        raise UsageError(
            f"--sentences {path} has {len(found)} lines, none of {MIN_WORDS} to {MAX_WORDS} words; "
            "write one sentence a line"
        )
    return usable


def _lines(text: str) -> list[str]:
    lines = (" ".join(line.split()) for line in text.splitlines())
    return list(dict.fromkeys(line for line in lines if line and not line.startswith("#")))


def speaking_seconds(sentence: str) -> float:
    """Estimate how long the recording of a sentence is."""
    return PAUSE_SECONDS + len(sentence) / LETTERS_PER_SECOND


def units(sentence: str) -> Counter[str]:
    """Count the letters of a sentence and the pairs of neighbours within its words, whose ends are spaces."""
    found: Counter[str] = Counter()
    for word in scoring_text(sentence).split():
        found.update(word)
        found.update(left + right for left, right in zip(f" {word}", f"{word} ", strict=True))
    return found


def choose_sentences(sentences: Sequence[str], minutes: float) -> list[str]:
    """Choose sentences of together about ``minutes`` in reading, in an order whose beginning covers most.

    Each is the one that adds most, for its length, to what those before it contain: every unit counts by how rare it is
    in all the sentences, and half as much with each time that it occurred before.
    """
    counted = {sentence: units(sentence) for sentence in sentences}
    total: Counter[str] = sum(counted.values(), Counter())
    rarity = {unit: count**-0.5 for unit, count in total.items()}
    covered: Counter[str] = Counter()
    left, chosen, seconds = list(counted), [], 0.0
    while left and seconds < 60.0 * minutes:
        best = max(left, key=lambda one: _gain(counted[one], covered, rarity) / speaking_seconds(one))
        left.remove(best)
        chosen.append(best)
        seconds += speaking_seconds(best)
        covered.update(counted[best])
    return chosen


def _gain(found: Counter[str], covered: Counter[str], rarity: dict[str, float]) -> float:
    return sum(rarity[unit] * 0.5 ** min(covered[unit], 30) for unit in found)


def covered_fraction(chosen: Iterable[str], sentences: Iterable[str]) -> float:
    """Return the fraction of the letters and pairs of some sentences that others contain."""
    wanted = {unit for one in sentences for unit in units(one)}
    found = {unit for one in chosen for unit in units(one)}
    return len(wanted & found) / max(1, len(wanted))
