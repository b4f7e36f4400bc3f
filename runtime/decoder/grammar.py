"""Closed grammars: only the given phrases can come out, and a mark for all other speech.

Every letter of other speech costs a fixed score; the letters of a phrase are free. So a reading of nothing but phrases
competes by its acoustic score alone, and other speech comes out where hearing it as phrases would cost more than that.
The cover that costs least counts, and phrases may follow each other or stand between other words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgespeech.errors import UsageError
from edgespeech.runtime.decoder.hot_words import HotWords, phrase_lines
from edgespeech.runtime.decoder.options import DEFAULT_FILLER_SCORE, MIN_FILLER_SCORE
from edgespeech.runtime.decoder.word_times import Span

UNKNOWN = "<unknown>"


class Grammar:
    """The phrases that can come out.

    Args:
        phrases: Words separated by white space.
        filler_score: Natural log, below 0, added for each letter outside the phrases; the lower, the fewer
            utterances are rejected.

    Attributes:
        hot_words: The phrases, boosted by what their letters cost.

    Raises:
        UsageError: There is no phrase, one is empty, or the score is out of range.
    """

    def __init__(self, phrases: Iterable[str], filler_score: float = DEFAULT_FILLER_SCORE) -> None:
        """Weigh the phrases."""
        if isinstance(phrases, str):
            phrases = [phrases]
        if not MIN_FILLER_SCORE <= filler_score < 0.0:
            raise UsageError(
                f"filler_score is {filler_score:g}; wanted a number below 0, at least {MIN_FILLER_SCORE:g}"
            )
        self._filler_score = filler_score
        self.hot_words = HotWords({phrase: -filler_score * _letters(phrase) for phrase in phrases}, limited=False)
        if not self.hot_words:
            raise UsageError("the grammar has no phrases; wanted at least one")

    def label_scores(self, labels: Sequence[str], blank: int) -> npt.NDArray[np.float64]:
        """Return what each label costs outside the phrases."""
        scores = np.array([self._filler_score * _letters(text) for text in labels])
        scores[blank] = 0.0
        return scores

    def read(self, words: Sequence[Span]) -> list[Span]:
        """Replace each stretch of words outside the phrases by one mark; a single letter is noise and goes."""
        read: list[Span] = []
        end = 0
        for first, last in [*self.hot_words.find([span.word for span in words]), (len(words), len(words))]:
            if sum(len(span.word) for span in words[end:first]) > 1:
                read.append(Span(UNKNOWN, words[end].first, words[first - 1].last))
            read.extend(words[first:last])
            end = last
        return read


def read_grammar(path: Path) -> list[str]:
    """Read a file with one phrase a line; empty lines and lines that begin with # say nothing.

    Raises:
        UsageError: The file cannot be read, or has no phrase.
    """
    return [line for _, line in phrase_lines(path, "phrases of a grammar")]


def _letters(text: str) -> int:
    return len("".join(text.split()))
