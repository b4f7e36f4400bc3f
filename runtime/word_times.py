"""Words of a label sequence: when they were said, and how many hypotheses agree on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """A word with the output frames of its first and its last label."""

    word: str
    first: int
    last: int


def split_words(texts: Iterable[str], frames: Iterable[int]) -> list[Span]:
    """Join label texts to words at their spaces.

    Args:
        texts: Text of each label.
        frames: Output frame of each label.

    Returns:
        The words; two spaces in a row make no empty word.
    """
    spans = []
    word, first, last = "", 0, 0
    for text, frame in zip(texts, frames, strict=True):
        for index, piece in enumerate(text.split(" ")):
            if index and word:
                spans.append(Span(word, first, last))
                word = ""
            if piece:
                first = first if word else frame
                word, last = word + piece, frame
    if word:
        spans.append(Span(word, first, last))
    return spans


class Agreement:
    """The share of probability of the hypotheses that hear the same word at the same time.

    Two hypotheses agree on a word when both have it in overlapping frames; the position in the sentence is not asked,
    so that one word more or less does not spoil the confidence of all that follow.

    Args:
        hypotheses: The words of each hypothesis.
        shares: Probability of each hypothesis; they sum to 1.
    """

    def __init__(self, hypotheses: Sequence[Sequence[Span]], shares: Sequence[float]) -> None:
        """Sum the shares of equal spans."""
        self._shares: dict[str, dict[Span, float]] = defaultdict(lambda: defaultdict(float))
        for spans, share in zip(hypotheses, shares, strict=True):
            for span in spans:
                self._shares[span.word][span] += share

    def confidence(self, span: Span) -> float:
        """Return the share, in [0, 1], of the hypotheses that agree on this word."""
        total = sum(
            share
            for other, share in self._shares[span.word].items()
            if other.first <= span.last and span.first <= other.last
        )
        return min(1.0, total)
