"""Words of a label sequence: their times, their certainty, and the probability of the hypotheses that contain them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from edgespeech.runtime.decoder.prefix_trie import Branches


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


def split_words(
    texts: Iterable[str], frames: Iterable[int], log_probs: Iterable[float], begin: Span = NO_WORD
) -> list[Span]:
    """Join label texts to words at their spaces; no word is empty, and the last may be incomplete.

    ``begin`` is an incomplete word that the labels continue.
    """
    spans: list[Span] = []
    for text, frame, log_prob in zip(texts, frames, log_probs, strict=True):
        begin = _append(begin, text, frame, log_prob, spans)
    return [*spans, begin] if begin.word else spans


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


def agree(branches: Branches, posteriors: Sequence[float], labels: Sequence[str], begin: Span) -> Agreement:
    """Add up the words of all beams by their ``posteriors``, visiting each node of the trie once.

    ``begin`` is the committed part of an incomplete word.
    """
    agreement = Agreement()
    masses = [0.0] * branches.leaves.start + list(posteriors)
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


def _append(word: Span, text: str, frame: int, log_prob: float, ended: list[Span]) -> Span:
    """Append a label's text to an incomplete word, and the words that its spaces end to ``ended``."""
    first, *rest = text.split(" ")
    if first:
        start = word.first if word.word else frame
        word = Span(word.word + first, start, frame, word.labels + 1, word.log_prob + log_prob)
    for piece in rest:
        if word.word:
            ended.append(word)
        word = Span(piece, frame, frame, 1, log_prob) if piece else NO_WORD
    return word
