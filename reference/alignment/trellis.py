"""CTC forced alignment of a text to a stretch of a recording, which may begin before it and end behind it.

The trellis is that of Graves and others (2006), with one free state at either end that takes any audio; the best path
through it is the most probable alignment (Viterbi).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FREE_SCORE = -0.1  # natural log per frame of a free state, over that of the frame's best label; text is preferred


@dataclass(frozen=True, eq=False)
class Path:
    """The best path of a text.

    Attributes:
        frames: First frame of each label of the text, int64 [labels].
        scores: Log-probability of each label at its most probable frame, float32 [labels].
    """

    frames: NDArray[np.int64]
    scores: NDArray[np.float32]


def best_path(log_probs: NDArray[np.floating], targets: Sequence[int], blank: int) -> Path | None:
    """Find the best path of a text.

    Args:
        log_probs: Natural-log probabilities, [frames, labels].
        targets: Label indices of the text, at least one.
        blank: Index of the blank.

    Returns:
        The path, or None if the stretch has too few frames for the text.
    """
    rows = np.asarray(log_probs, np.float32)
    states = np.full(2 * len(targets) + 1, blank)
    states[1::2] = targets
    scores = np.column_stack([rows[:, states], rows.max(axis=1) + np.float32(FREE_SCORE)])
    steps = _forward(scores, _may_skip(states, blank))
    if steps is None:
        return None
    back, state = steps
    visited = np.empty(len(rows), np.int64)
    for frame in range(len(rows) - 1, -1, -1):
        visited[frame] = state
        state -= int(back[frame, state])
    # State 0 is the free one before the text, and 1 + s is state s of the text.
    found = visited - 1
    inside = (found >= 0) & (found < 2 * len(targets)) & (found % 2 == 1)
    frames, places = np.flatnonzero(inside), (found[inside] - 1) // 2
    values = rows[frames, np.asarray(targets)[places]]
    best = np.full(len(targets), -np.inf, np.float32)
    np.maximum.at(best, places, values)
    return Path(frames[np.searchsorted(places, np.arange(len(targets)))], best)


def _may_skip(states: NDArray[np.int64], blank: int) -> NDArray[np.bool_]:
    """Return for each state whether a path may come from the one before the last: over a blank, to another label."""
    skip = np.zeros(len(states), bool)
    skip[2:] = (states[2:] != blank) & (states[2:] != states[:-2])
    return skip


def _forward(scores: NDArray[np.float32], skip: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], int] | None:
    """Return how many states back each state's best predecessor is, [frames, states + 2], and the last state.

    The states are: free before, those of the text, free behind. ``scores`` [frames, states + 1] has the free score in
    its last column.
    """
    frames, count = scores.shape[0], scores.shape[1] + 1
    emitted = np.concatenate([scores[:, -1:], scores[:, :-1], scores[:, -1:]], axis=1)
    may_skip = np.concatenate([[False], skip, [True]])
    may_skip[2] = True  # the first label, from the free state
    back = np.zeros((frames, count), np.uint8)
    total = np.full(count, -np.inf, np.float32)
    total[:3] = emitted[0, :3]
    options = np.full((3, count), -np.inf, np.float32)
    for frame in range(1, frames):
        options[0] = total
        options[1, 1:] = total[:-1]
        options[2, 2:] = np.where(may_skip[2:], total[:-2], -np.inf)
        step = options.argmax(axis=0)
        back[frame] = step
        total = options[step, np.arange(count)] + emitted[frame]
    ends = total[-3:]  # the last label, the blank behind it, the free state
    last = int(ends.argmax())
    return (back, count - 3 + last) if np.isfinite(ends[last]) else None
