"""Butterworth high-pass filter for blocks of samples: ``step(block, state) -> (block, state)``."""

from __future__ import annotations

import math
from functools import reduce

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_MAX_PART = 32  # samples between two states inside a block


class HighPass:
    """Butterworth high-pass of an even order: biquads in state-space form, computed for whole blocks at once.

    Products are computed for each block alone, so the output does not depend on how many blocks arrive together.

    Args:
        sample_rate: Hz.
        cutoff: Frequency in Hz of which half the power remains.
        block_samples: Length of a block, which should have a divisor near 32.
        order: Number of states, even.
    """

    def __init__(self, sample_rate: int, cutoff: float, block_samples: int, order: int) -> None:
        a, b, c, d = reduce(_cascade, [_biquad(sample_rate, cutoff, q) for q in _qualities(order)])
        self._order = order
        part = max(n for n in range(1, _MAX_PART + 1) if block_samples % n == 0)
        self._parts, self._part = block_samples // part, part
        self._steady = np.linalg.solve(np.eye(order) - a, b)
        powers = [np.linalg.matrix_power(a, n) for n in range(part + 1)]
        impulse = np.array([d, *(float(c @ power @ b) for power in powers[: part - 1])])
        lags = np.arange(part)[:, None] - np.arange(part)
        self._direct = np.where(lags >= 0, impulse[np.abs(lags)], 0.0).T  # [input, output]
        self._enter = np.stack([power @ b for power in powers[part - 1 :: -1]])  # [input, state]
        self._leave = np.stack([c @ power for power in powers[:part]]).T  # [state, output]
        jumps = [np.linalg.matrix_power(powers[part], n) for n in range(self._parts + 1)]
        self._from_first = np.concatenate(jumps)  # [(parts + 1) * state, state]
        blocks = [
            [jumps[to - part - 1] if part < to else np.zeros((order, order)) for part in range(self._parts)]
            for to in range(self._parts + 1)
        ]
        self._from_parts = np.block(blocks)  # [(parts + 1) * state, parts * state]

    def settled(self, sample: float) -> Doubles:
        """Return the state, float64 [order], after a constant input of this value; the output is then zero."""
        return np.asarray(self._steady * sample, np.float64)

    def step(self, samples: Floats, state: Doubles) -> tuple[Floats, Doubles]:
        """Filter whole blocks, float32 [blocks * block_samples], and return them with the next state."""
        parts = samples.reshape(-1, self._parts, self._part).astype(np.float64)
        entered = (self._from_parts @ (parts @ self._enter).reshape(len(parts), -1, 1))[:, :, 0]
        for block in entered:
            block += self._from_first @ state
            state = block[-self._order :]
        states = entered.reshape(len(parts), self._parts + 1, self._order)[:, :-1]
        return (parts @ self._direct + states @ self._leave).reshape(-1).astype(np.float32), state


System = tuple[Doubles, Doubles, Doubles, float]  # A, B, C, D of x' = A x + B u, y = C x + D u


def _qualities(order: int) -> list[float]:
    return [1.0 / (2.0 * math.cos(math.pi * (2 * k + 1) / (2 * order))) for k in range(order // 2)]


def _biquad(sample_rate: int, cutoff: float, quality: float) -> System:
    """Return a second-order high-pass by the bilinear transform (R. Bristow-Johnson, Audio EQ Cookbook)."""
    angle = 2.0 * math.pi * cutoff / sample_rate
    alpha = math.sin(angle) / (2.0 * quality)
    b0 = (1.0 + math.cos(angle)) / 2.0 / (1.0 + alpha)
    a1, a2 = -2.0 * math.cos(angle) / (1.0 + alpha), (1.0 - alpha) / (1.0 + alpha)
    a = np.array([[-a1, -a2], [1.0, 0.0]])
    return a, np.array([1.0, 0.0]), np.array([-2.0 * b0 - a1 * b0, b0 - a2 * b0]), b0


def _cascade(first: System, second: System) -> System:
    (a1, b1, c1, d1), (a2, b2, c2, d2) = first, second
    a = np.block([[a1, np.zeros((len(a1), len(a2)))], [np.outer(b2, c1), a2]])
    return a, np.concatenate([b1, b2 * d1]), np.concatenate([d2 * c1, c2]), d2 * d1
