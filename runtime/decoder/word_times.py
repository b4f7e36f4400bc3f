"""Words of a label sequence: their times, their certainty, and the probability of the hypotheses that contain them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """A word with the output frames of its first and its last label."""

    word: str
    first: int
    last: int
    labels: int = 0  # number of them
    log_prob: float = 0.0  # natural log, summed over the labels, each in its own frame

    def certainty(self, power: float) -> float:
        """Return the geometric mean of the labels' probabilities, to a power."""
        return math.exp(power * self.log_prob / self.labels) if self.labels else 1.0


NO_WORD = Span("", 0, 0)


def any_space(labels: Iterable[str]) -> bool:
    """Return whether a label contains a space; where none does, each character is a word."""
    return any(" " in text for text in labels)


def separate_words(text: str, by_characters: bool) -> tuple[str, ...]:
    """Divide the text of a label where words end: at its spaces, or behind each character.

    Each part but the last one ends a word, and may be empty.
    """
    return (*text, "") if by_characters else tuple(text.split(" "))


def split_words(labels: Iterable[Sequence[str]], frames: Iterable[int], log_probs: Iterable[float]) -> list[Span]:
    """Join labels, as `separate_words` has divided them, to words; none is empty, and the last may be incomplete."""
    spans, last = split_complete_words(labels, frames, log_probs, NO_WORD)
    return [*spans, last] if last.word else spans


def split_complete_words(
    labels: Iterable[Sequence[str]], frames: Iterable[int], log_probs: Iterable[float], begin: Span
) -> tuple[list[Span], Span]:
    """Continue an incomplete word by labels; return the words that they complete, and the incomplete one."""
    spans: list[Span] = []
    for pieces, frame, log_prob in zip(labels, frames, log_probs, strict=True):
        begin = append_label(begin, pieces, frame, log_prob, spans)
    return spans, begin


class Agreement:
    """Total probability of the hypotheses that contain the same word at the same time.

    Two hypotheses agree on a word if both contain it in overlapping frames. Its position in the sentence does not
    count, so that an inserted word does not spoil the confidence of the words after it.
    """

    def __init__(self) -> None:
        self._masses: dict[str, dict[tuple[int, int], float]] = defaultdict(lambda: defaultdict(float))

    def add(self, span: Span, mass: float) -> None:
        """Add a word of hypotheses that together have this probability."""
        self._masses[span.word][span.first, span.last] += mass

    def mass(self, span: Span) -> float:
        """Return the total probability, in [0, 1], of the hypotheses that agree on this word."""
        total = sum(
            mass for (first, last), mass in self._masses[span.word].items() if first <= span.last and span.first <= last
        )
        return min(1.0, total)


def append_label(word: Span, pieces: Sequence[str], frame: int, log_prob: float, ended: list[Span]) -> Span:
    """Append a label to an incomplete word, and the words that it ends to ``ended``."""
    first, *rest = pieces
    if first:
        start = word.first if word.word else frame
        word = Span(word.word + first, start, frame, word.labels + 1, word.log_prob + log_prob)
    for piece in rest:
        if word.word:
            ended.append(word)
        word = Span(piece, frame, frame, 1, log_prob) if piece else NO_WORD
    return word
