"""Printed words as a recogniser would return them: with word errors, pauses and ends of segments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgespeech.reference.punctuation.printed_text import PrintedWord
from edgespeech.runtime.punctuation.features import (
    COLUMNS,
    FIRST_PAUSE_ROW,
    SEGMENT_END,
    UNKNOWN_PAUSE,
    WORD_COLUMNS,
    word_rows,
)
from edgespeech.runtime.punctuation.tags import Mark

Integers = NDArray[np.int64]
UNKNOWN: Final = -1  # of a mark or a case: no score is asked for
VARIANTS: Final = 4  # misspelled forms of a word

# Fraction of words that end a segment, and of pauses in each class of `PAUSE_SECONDS` otherwise, by the mark that is
# printed there: `docs/results/punctuation.md` has the measurement.
SEGMENT_ENDS: Final = (0.0005, 0.04, 0.25, 0.25, 0.25)
PAUSES: Final = (
    (0.802, 0.159, 0.022, 0.011, 0.005, 0.001),
    (0.107, 0.109, 0.152, 0.288, 0.248, 0.096),
    (0.008, 0.009, 0.025, 0.144, 0.392, 0.422),
    (0.008, 0.009, 0.025, 0.144, 0.392, 0.422),
    (0.008, 0.009, 0.025, 0.144, 0.392, 0.422),
)


@dataclass(frozen=True)
class ErrorRates:
    """Probabilities with which a word is misspelled, replaced by a frequent word, left out, or followed by one more."""

    misspelled: float = 0.03
    replaced: float = 0.02
    deleted: float = 0.01
    inserted: float = 0.01


NO_ERRORS: Final = ErrorRates(0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Text:
    """Words [n] as indices of ``vocabulary``, with their marks and cases, `UNKNOWN` where none is known."""

    vocabulary: tuple[str, ...]
    words: Integers
    marks: Integers
    cases: Integers

    @classmethod
    def of(cls, runs: Iterable[list[PrintedWord]]) -> Text:
        """Join runs of printed words."""
        indices: dict[str, int] = {}
        words, marks, cases = [], [], []
        for run in runs:
            for one in run:
                words.append(indices.setdefault(one.word, len(indices)))
                marks.append(UNKNOWN if one.mark is None else int(one.mark))
                cases.append(UNKNOWN if one.case is None else int(one.case))
        return cls(tuple(indices), np.array(words, np.int64), np.array(marks, np.int64), np.array(cases, np.int64))

    def __len__(self) -> int:
        return len(self.words)

    def part(self, first: int, behind: int) -> Text:
        """Return some of the words, with the same vocabulary."""
        span = slice(first, behind)
        return Text(self.vocabulary, self.words[span], self.marks[span], self.cases[span])


@dataclass(frozen=True)
class Speech:
    """What the tagger is trained on.

    Attributes:
        words: Indices [n] of the simulation's ``forms``.
        pauses: Classes [n] of the pauses behind the words.
        features: int64 [n, COLUMNS].
        marks: [n], `UNKNOWN` where none is known; so are the cases.
        cases: [n].
        ends: Indices of the last words of segments, ascending.
    """

    words: Integers
    pauses: Integers
    features: Integers
    marks: Integers
    cases: Integers
    ends: Integers

    def __len__(self) -> int:
        return len(self.marks)


class Simulation:
    """Makes speech of a text, another one each time; ``forms`` are the words of the text and their misspelled forms."""

    def __init__(self, text: Text, seed: int, rates: ErrorRates = ErrorRates()) -> None:  # noqa: B008 (frozen)
        self._text, self._rates, self._random = text, rates, np.random.default_rng(seed)
        forms = [*text.vocabulary]
        if rates.misspelled:
            forms += [form for word in text.vocabulary for form in self._misspell(word)]
        self.forms = tuple(forms)
        self._rows = np.array([word_rows(form) for form in forms], np.int64).reshape(-1, WORD_COLUMNS)

    def speak(
        self, known_pauses: float = 0.75, hesitation: float = 0.08, unit: int = 64, part: Text | None = None
    ) -> Speech:
        """Return speech.

        Args:
            known_pauses: Fraction of all stretches of ``unit`` words in which the pauses are known.
            hesitation: Fraction of pauses, and of ends of segments, that have nothing to do with the mark.
            unit: Words of a stretch.
            part: Part of the text that is spoken; None for all of it.
        """
        words, marks, cases = self._with_errors(self._text if part is None else part)
        causes = np.where(self._random.random(len(marks)) < hesitation, self._random.permutation(marks), marks)
        ends = self._random.random(len(words)) < np.take(SEGMENT_ENDS, np.maximum(causes, 0))
        ends[-1:] = True
        pauses = self._pauses(causes, known_pauses, unit)
        pauses[ends] = SEGMENT_END
        features = np.empty((len(words), COLUMNS), np.int64)
        features[:, :WORD_COLUMNS] = self._rows[words]
        features[:, WORD_COLUMNS] = FIRST_PAUSE_ROW + pauses
        return Speech(words, pauses, features, marks, cases, np.flatnonzero(ends))

    def _pauses(self, marks: Integers, known: float, unit: int) -> Integers:
        sums = np.cumsum(PAUSES, axis=1)
        classes = 1 + (self._random.random(len(marks))[:, None] >= sums[np.maximum(marks, 0), :-1]).sum(axis=1)
        stretches = self._random.random(len(marks) // unit + 1) < known
        return np.where(np.repeat(stretches, unit)[: len(marks)], classes, UNKNOWN_PAUSE)

    def _with_errors(self, text: Text) -> tuple[Integers, Integers, Integers]:
        words, marks, cases = text.words.copy(), text.marks.copy(), text.cases.copy()
        chance, size = self._random.random((2, len(words))), len(text.vocabulary)
        rates = self._rates
        bad = chance[0] < rates.misspelled
        words[bad] = size + VARIANTS * words[bad] + self._random.integers(VARIANTS, size=int(bad.sum()))
        replaced = (chance[0] >= rates.misspelled) & (chance[0] < rates.misspelled + rates.replaced)
        words[replaced] = self._any_words(int(replaced.sum()))
        cases[replaced] = UNKNOWN
        kept = chance[1] >= rates.deleted
        for index in np.flatnonzero(~kept[1:]) + 1:  # the mark stays where it was printed
            if marks[index] > 0 and marks[index - 1] == 0:
                marks[index - 1] = marks[index]
        words, marks, cases = words[kept], marks[kept], cases[kept]
        places = np.flatnonzero(self._random.random(len(words)) < rates.inserted)
        new = self._any_words(len(places))
        return (
            np.insert(words, places, new),
            np.insert(marks, places, int(Mark.NONE)),
            np.insert(cases, places, UNKNOWN),
        )

    def _any_words(self, count: int) -> Integers:
        """Return words as frequent as in the text."""
        return self._text.words[self._random.integers(max(1, len(self._text)), size=count)]

    def _misspell(self, word: str) -> Iterator[str]:
        """Yield forms with a letter left out, replaced, doubled or moved."""
        letters = "abcdefghijklmnopqrstuvwxyz"
        for kind in range(VARIANTS):
            at = int(self._random.integers(len(word)))
            letter = letters[int(self._random.integers(len(letters)))]
            middle = ("" if len(word) > 1 else letter, letter, word[at] * 2, word[at : at + 2][::-1])[kind]
            yield word[:at] + middle + word[at + (2 if kind == 3 else 1) :]
