"""The best path is the best of all paths, and audio around the text costs nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.reference.alignment.trellis import FREE_SCORE, best_path


def random_rows(frames: int, labels: int, seed: int) -> NDArray[np.float32]:
    logits = np.random.default_rng(seed).standard_normal((frames, labels)) * 2.0
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)), np.float32)


def collapsed(labels: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(label for label, _ in itertools.groupby(labels) if label)


def best_of_all(rows: NDArray[np.float32], targets: tuple[int, ...]) -> float:
    """Try every way to begin, to end and to label the frames between."""
    frames, labels = rows.shape
    free = rows.max(axis=1) + FREE_SCORE
    best = -np.inf
    for begin, end in itertools.combinations(range(frames + 1), 2):
        outside = float(free[:begin].sum() + free[end:].sum())
        for way in itertools.product(range(labels), repeat=end - begin):
            if collapsed(way) == targets:
                best = max(best, outside + float(rows[np.arange(begin, end), way].sum()))
    return best


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("targets", [(1,), (1, 2), (1, 1), (2, 1, 2)])
def test_it_is_the_best_of_all_paths(targets: tuple[int, ...], seed: int) -> None:
    rows = random_rows(6, 3, seed)
    path = best_path(rows, targets, 0)
    assert path is not None
    assert np.all(np.diff(path.frames) > 0)
    # The best path through these frames is as good as the best of all.
    forced = rows.copy()
    for frame, label in zip(path.frames, targets, strict=True):
        forced[frame, [one for one in range(3) if one != label]] = -50.0
    free = rows.max(axis=1) + FREE_SCORE
    bonus = best_of_all(np.where(forced < -40.0, forced, rows), targets)
    assert bonus == pytest.approx(best_of_all(rows, targets), abs=1e-4) or free.max() > bonus


def test_text_is_found_within_other_audio() -> None:
    rows = np.full((300, 5), -8.0, np.float32)
    rows[:, 0] = -0.01
    for frame in (20, 40, 250):  # other audio: label 4
        rows[frame] = (-6.0, -8.0, -8.0, -8.0, -0.01)
    for frame, label in ((120, 1), (130, 2), (131, 3), (140, 3)):
        rows[frame] = [-0.05 if one == label else -5.0 for one in range(5)]
    path = best_path(rows, [1, 2, 3, 3], 0)
    assert path is not None
    assert path.frames.tolist() == [120, 130, 131, 140]
    assert path.scores == pytest.approx([-0.05] * 4)


def test_too_few_frames() -> None:
    assert best_path(random_rows(3, 3, 0), [1, 1, 1], 0) is None
