"""Closed grammars: only the given phrases, and a mark for all other speech, can be recognised.

Every letter outside the phrases costs a fixed score; the letters of a phrase are free. A hypothesis that consists of
phrases competes by its acoustic score alone, and other speech is recognised where phrases would cost more. Among all
ways to split a text into phrases and other words, the cheapest counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgespeech.errors import UsageError
from edgespeech.runtime.decoder.hot_words import HotWords, read_phrases, spell
from edgespeech.runtime.decoder.options import DEFAULT_FILLER_SCORE, MIN_FILLER_SCORE
from edgespeech.runtime.decoder.word_times import Span

UNKNOWN = "<unknown>"


class Grammar:
    """The phrases that can be recognised, as hot words that are boosted by what their letters cost.

    Args:
        phrases: Words separated by white space.
        filler_score: Natural log, below 0, added for each letter outside the phrases; with lower values fewer
            utterances are rejected.
        labels: Labels that spell the phrases, in their own case; None if the phrases are in that case.
        characters: Whether each character is a word, because no label contains a space.

    Attributes:
        phrases: The phrases as hypotheses have them, each once.

    Raises:
        UsageError: There are no phrases, one is empty or cannot be spelled, or the score is out of range.
    """

    def __init__(
        self,
        phrases: Iterable[str],
        filler_score: float = DEFAULT_FILLER_SCORE,
        labels: Sequence[str] | None = None,
        characters: bool = False,
    ) -> None:
        if isinstance(phrases, str):
            phrases = [phrases]
        phrases = [phrase if labels is None else spell(phrase, labels) for phrase in phrases]
        if not MIN_FILLER_SCORE <= filler_score < 0.0:
            raise UsageError(
                f"filler_score is {filler_score:g}; wanted a number below 0, at least {MIN_FILLER_SCORE:g}"
            )
        self._filler_score = filler_score
        gap = "" if characters else " "
        self.phrases = frozenset(gap.join(phrase.split()) for phrase in phrases)
        boosts = {phrase: -filler_score * _letters(phrase) for phrase in phrases}
        self.hot_words = HotWords(boosts, characters, limited=False)
        if not self.hot_words:
            raise UsageError("the grammar has no phrases; wanted at least one")

    def label_scores(self, labels: Sequence[str], blank: int) -> npt.NDArray[np.float64]:
        """Return the cost of each label outside the phrases."""
        scores = np.array([self._filler_score * _letters(text) for text in labels])
        scores[blank] = 0.0
        return scores

    def apply(self, words: Sequence[Span]) -> list[Span]:
        """Replace each run of words outside the phrases by one mark; a single letter counts as noise and is dropped."""
        applied: list[Span] = []
        end = 0
        for first, last in [*self.hot_words.find([span.word for span in words]), (len(words), len(words))]:
            if sum(len(span.word) for span in words[end:first]) > 1:
                applied.append(Span(UNKNOWN, words[end].first, words[first - 1].last))
            applied.extend(words[first:last])
            end = last
        return applied


def read_grammar(path: Path) -> list[str]:
    """Read a file with one phrase per line; blank lines and lines that begin with # are ignored.

    Raises:
        UsageError: The file cannot be read, or contains no phrase.
    """
    return [line for _, line in read_placed_phrases(path)]


def read_placed_phrases(path: Path) -> list[tuple[str, str]]:
    """Read a file as `read_grammar` does, and return places such as ``commands.txt:3`` and phrases."""
    return read_phrases(path, "phrases of a grammar")


def _letters(text: str) -> int:
    return len("".join(text.split()))
