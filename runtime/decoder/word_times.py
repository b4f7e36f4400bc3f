"""Words of a label sequence: when they were said, how surely, and how many hypotheses agree on them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from edgespeech.runtime.decoder.prefix_trie import Branches


class Span(NamedTuple):
    """A word with the output frames of its first and its last label.

    Attributes:
        word: The text.
        first: Output frame of its first label.
        last: Output frame of its last label.
        labels: Their number.
        heard: Sum of their natural-log probabilities, each in its own frame.
    """

    word: str
    first: int
    last: int
    labels: int = 0
    heard: float = 0.0

    def certainty(self, power: float) -> float:
        """Return the geometric mean of the labels' probabilities, to a power."""
        return math.exp(power * self.heard / self.labels) if self.labels else 1.0


NO_WORD = Span("", 0, 0)


def split_words(
    texts: Iterable[str], frames: Iterable[int], heard: Iterable[float], begin: Span = NO_WORD
) -> list[Span]:
    """Join label texts to words at their spaces.

    Args:
        texts: Text of each label.
        frames: Output frame of each label.
        heard: Natural-log probability of each label in its frame.
        begin: A word that the labels go on with.

    Returns:
        The words; two spaces in a row make no empty word. The last one is that after the last space, if there is one.
    """
    spans: list[Span] = []
    for text, frame, log_prob in zip(texts, frames, heard, strict=True):
        begin = _append(begin, text, frame, log_prob, spans)
    return [*spans, begin] if begin.word else spans


class Agreement:
    """The share of probability of the hypotheses that hear the same word at the same time.

    Two hypotheses agree on a word when both have it in overlapping frames; the position in the sentence is not asked,
    so that one word more or less does not spoil the confidence of all that follow.
    """

    def __init__(self) -> None:
        """Nobody has heard anything yet."""
        self._shares: dict[str, dict[tuple[int, int], float]] = defaultdict(lambda: defaultdict(float))

    def add(self, span: Span, share: float) -> None:
        """Count a word of a hypothesis with this share of probability."""
        self._shares[span.word][span.first, span.last] += share

    def share(self, span: Span) -> float:
        """Return the share, in [0, 1], of the hypotheses that agree on this word."""
        total = sum(
            share
            for (first, last), share in self._shares[span.word].items()
            if first <= span.last and span.first <= last
        )
        return min(1.0, total)


def agree(branches: Branches, shares: Sequence[float], labels: Sequence[str], begin: Span) -> Agreement:
    """Count the words of all beams, each once for every place in the trie where it ends.

    Args:
        branches: The trie above what is committed.
        shares: Probability of each beam; they sum to 1.
        labels: Text of each label.
        begin: What is committed of a word that is not complete.
    """
    agreement = Agreement()
    masses = [0.0] * branches.leaves.start + list(shares)
    for column in reversed(range(len(masses))):
        if branches.parents[column] >= 0:
            masses[branches.parents[column]] += masses[column]
    words = [begin] * len(masses)
    frames = branches.frames
    for column, mass in enumerate(masses):
        if not mass or branches.depths[column] <= branches.base:
            continue
        parent = branches.parents[column]
        ended: list[Span] = []
        before = words[parent] if parent >= 0 else begin
        words[column] = _append(before, labels[branches.labels[column]], frames[column], 0.0, ended)
        for span in ended:
            agreement.add(span, mass)
    for column in branches.leaves:
        if words[column].word:
            agreement.add(words[column], masses[column])
    return agreement


def _append(word: Span, text: str, frame: int, heard: float, ended: list[Span]) -> Span:
    """Append a label's text to a word that is not complete; what a space ends goes to ``ended``."""
    first, *rest = text.split(" ")
    if first:
        start = word.first if word.word else frame
        word = Span(word.word + first, start, frame, word.labels + 1, word.heard + heard)
    for piece in rest:
        if word.word:
            ended.append(word)
        word = Span(piece, frame, frame, 1, heard) if piece else NO_WORD
    return word
