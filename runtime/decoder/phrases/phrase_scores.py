"""Exact CTC probabilities of many phrases at once: the forward algorithm over a trie of their letters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_NEVER = -np.inf


class PhraseScores:
    """Scores phrases against all frames of a segment.

    Spaces at the ends do not count: the probability of a phrase is the sum over all alignments of the phrase itself,
    and of the phrase with a space before it, behind it, or both.

    Args:
        phrases: Texts without spaces at their ends; at least one.
        labels: Text of each label, at most one character each; they spell the phrases.
        blank: Index of the blank.

    Attributes:
        phrases: The phrases.
        spelled: Labels of each phrase.
    """

    def __init__(self, phrases: Sequence[str], labels: Sequence[str], blank: int) -> None:
        self.phrases = tuple(phrases)
        self._blank = blank
        index = {text: number for number, text in enumerate(labels) if number != blank}
        self._space = index.get(" ")
        self.spelled = tuple(tuple(index[letter] for letter in phrase) for phrase in self.phrases)
        nodes: dict[
            tuple[int, int], int
        ] = {}  # beginnings, by the one before (-1 is the empty one) and their last label
        ends = []
        for spelled in self.spelled:
            node = -1
            for label in spelled:
                node = nodes.setdefault((node, label), len(nodes))
            ends.append(node)
        self._ends = np.array(ends, np.intp)
        self._parents = np.array([parent for parent, _ in nodes], np.intp)
        self._letters = np.array([label for _, label in nodes], np.intp)
        self._repeats = np.append(self._letters, blank)[self._parents] == self._letters

    @property
    def beginnings(self) -> int:
        """Number of distinct beginnings of the phrases, to which the time for a frame is proportional."""
        return len(self._letters)

    @property
    def longest(self) -> int:
        """Number of labels of the longest phrase."""
        return max(map(len, self.spelled))

    def log_probs(self, rows: Floats, least: float = _NEVER) -> Floats | None:
        """Return the natural-log probability of each phrase, [phrases]; minus infinity if there are too few frames.

        Args:
            rows: Natural-log probabilities [frames, labels], or other scores that take their place.
            least: The result is None, often after few frames, if no phrase can reach this.
        """
        best = rows.max(axis=1)
        ahead = best.sum() - best.cumsum()  # what the frames to come add at most
        # Sums over the alignments that end with the last letter of a beginning, or with a blank behind it. The last
        # entry is that of the empty beginning, with or without a space.
        letter, pause = (np.full(self.beginnings + 1, _NEVER) for _ in range(2))
        behind_letter, behind_pause = (np.full(len(self._ends), _NEVER) for _ in range(2))
        nothing, before_letter, before_pause = 0.0, _NEVER, _NEVER
        pause[-1] = 0.0
        count = math.log(2 * len(pause) + 2 * len(behind_pause))  # at most this is the sum above its largest part
        for row, rest in zip(rows, ahead, strict=True):
            blank, space = row[self._blank], _NEVER if self._space is None else row[self._space]
            before = np.where(self._repeats, _NEVER, letter[self._parents])
            entering = np.logaddexp(pause[self._parents], before)
            complete = np.logaddexp(letter[self._ends], pause[self._ends])
            behind_pause = np.logaddexp(behind_pause, behind_letter) + blank
            behind_letter = np.logaddexp(behind_letter, complete) + space
            pause = np.logaddexp(pause, letter) + blank
            letter[:-1] = np.logaddexp(letter[:-1], entering) + row[self._letters]
            before_pause = np.logaddexp(before_pause, before_letter) + blank
            before_letter = np.logaddexp(before_letter, nothing) + space
            nothing = nothing + blank
            pause[-1] = np.logaddexp(np.logaddexp(nothing, before_letter), before_pause)
            sums = (letter, pause, behind_letter, behind_pause)
            if max(float(one.max()) for one in sums) + count + rest < least:
                return None
        complete = np.logaddexp(letter[self._ends], pause[self._ends])
        scores: Floats = np.logaddexp(complete, np.logaddexp(behind_letter, behind_pause))
        return scores


def align(rows: Floats, spelled: Sequence[int], blank: int, space: int | None = None) -> list[int]:
    """Return the frame in which each label of a phrase is most probable, on its most probable alignment.

    Args:
        rows: Natural-log probabilities [frames, labels], with enough frames for the phrase.
        spelled: Labels of the phrase, at least one.
        blank: Index of the blank.
        space: Label that may stand before the phrase and behind it, as often as it likes.
    """
    states = np.array([blank, *(state for label in spelled for state in (label, blank))], np.intp)
    scores = rows[:, states]
    if space is not None:
        scores[:, [0, -1]] = np.maximum(scores[:, [0, -1]], rows[:, [space]])
    skips = np.zeros(len(states), bool)
    skips[3::2] = states[3::2] != states[1:-2:2]
    steps = np.zeros(scores.shape, np.intp)
    total = np.full(len(states), _NEVER)
    total[:2] = scores[0, :2]
    for frame in range(1, len(rows)):
        before = np.stack([total, np.append(_NEVER, total[:-1]), np.append((_NEVER, _NEVER), total[:-2])])
        before[2, ~skips] = _NEVER
        steps[frame] = before.argmax(axis=0)
        total = before.max(axis=0) + scores[frame]
    state = len(states) - 1 if total[-1] > total[-2] else len(states) - 2
    best = [-1] * len(spelled)
    for frame in range(len(rows) - 1, -1, -1):
        label = state // 2
        if state % 2 and (best[label] < 0 or scores[frame, state] > scores[best[label], state]):
            best[label] = frame
        state -= steps[frame, state]
    return best
