"""Round weights to integers, 8 bits with a scale per output or 4 bits with a scale per block, for balanced inputs.

Folding the batch norm leaves the scales of the channels in the weights: channels that hardly vary have large weights,
and one quantization step for all channels would be coarse for them. A balanced input is centred and scaled channel by
channel, and the scales go into the weights.

Inputs are correlated, so the weights of later inputs can compensate most of the error of rounding earlier ones (Frantar
et al., GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers, 2022). Rounding also shifts
the mean of a product, because its inputs have means; the bias absorbs this known shift (Nagel et al., Data-Free
Quantization Through Weight Equalization and Bias Correction, 2019, section 4.2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgespeech.quantization.graph.activation_ranges import Channels

Floats = NDArray[np.float32]
Moments = NDArray[np.float64]

MIN_WEIGHT = 1e-8
# 255 * 128 is less than 2^15.
MAX_PAIR = 128
BLOCK = 32
# Fraction of the inputs' mean power; it keeps the weights of inputs that hardly varied in the speech near their values.
DAMPING = 0.01
# Factor on the observed range of a channel, and the minimum range of a channel.
CHANNEL_MARGIN = 1.1
MIN_REACH = 1e-3


@dataclass(frozen=True)
class Integers:
    """Symmetric int8 weights [.., outputs] or [outputs, ..] and one float32 scale per output."""

    values: NDArray[np.int8]
    scales: Floats


def matrix_integers(weight: Floats, moments: Moments | None = None) -> Integers:
    """Round a matrix [inputs, outputs] to at most 127, with one scale for each output.

    x86 processors without VNNI multiply unsigned by signed bytes in pairs of neighbouring inputs and saturate the sum
    at 16 bits. The weights of one sign in a pair add up to at most `MAX_PAIR`, so that the sum cannot saturate.
    The ``moments`` are mean products of the inputs [inputs, inputs]; None if unknown.
    """
    pairs = np.pad(weight, ((0, len(weight) % 2), (0, 0))).reshape(-1, 2, weight.shape[1])
    largest = np.maximum(np.maximum(pairs, 0.0).sum(axis=1), np.maximum(-pairs, 0.0).sum(axis=1)).max(axis=0)
    # Each of the two may be rounded up by half a step.
    scales = (np.maximum(largest, MIN_WEIGHT) / (MAX_PAIR - 1)).astype(np.float32)
    values = np.zeros(weight.shape, np.int8)

    def rounded(i: int, left: Floats) -> Floats:
        partner = values[i - 1].astype(np.float32) if i % 2 else np.zeros_like(scales)
        low = np.maximum(-MAX_PAIR - np.minimum(partner, 0.0), 1 - MAX_PAIR)
        high = np.minimum(MAX_PAIR - np.maximum(partner, 0.0), MAX_PAIR - 1)
        values[i] = np.clip(np.round(left[i] / scales), low, high)
        return np.asarray(values[i] * scales)

    _round_in_turn(weight, moments, rounded)
    return Integers(values, scales)


def convolution_integers(weight: Floats) -> Integers:
    """Round kernels [outputs, inputs, kernel...] to at most half of `MAX_PAIR`, because any two may form a pair."""
    flat = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    scales = np.maximum(flat, MIN_WEIGHT) / (MAX_PAIR // 2)
    column = scales.reshape(-1, *(1 for _ in weight.shape[1:]))
    return Integers(np.round(weight / column).astype(np.int8), scales.astype(np.float32))


@dataclass(frozen=True)
class Blocks:
    """4-bit weights, two in a byte [outputs, blocks, BLOCK / 2], where 8 represents zero; scales [outputs, blocks]."""

    values: NDArray[np.uint8]
    scales: Floats

    def matrix(self, inputs: int) -> Floats:
        """Return the weights [inputs, outputs] that the integers represent."""
        levels = np.stack([self.values & 15, self.values >> 4], axis=-1).reshape(*self.scales.shape, BLOCK)
        rounded = (levels.astype(np.float32) - 8.0) * self.scales[..., None]
        return np.asarray(rounded.reshape(len(levels), -1)[:, :inputs].T)


def matrix_blocks(weight: Floats, moments: Moments | None = None) -> Blocks:
    """Round a matrix [inputs, outputs] to -8 to 7, with one scale for each `BLOCK` inputs of an output.

    The ``moments`` are as in `matrix_integers`.
    """
    inputs, outputs = weight.shape
    levels = np.full((inputs + -inputs % BLOCK, outputs), 8, np.uint8)
    scales = np.zeros((len(levels) // BLOCK, outputs), np.float32)

    def rounded(i: int, left: Floats) -> Floats:
        if i % BLOCK == 0:
            block = left[i : i + BLOCK]
            extreme = np.take_along_axis(block, np.abs(block).argmax(0)[None], 0)[0]
            scales[i // BLOCK] = np.where(extreme == 0.0, 1.0, extreme / -8.0)
        scale = scales[i // BLOCK]
        level = np.clip(np.round(left[i] / scale), -8, 7)
        levels[i] += level.astype(np.int8).view(np.uint8)
        return np.asarray(level * scale)

    _round_in_turn(weight, moments, rounded)
    packed = levels.T.reshape(outputs, -1, BLOCK)
    return Blocks(packed[..., 0::2] | (packed[..., 1::2] << 4), np.ascontiguousarray(scales.T))


def _round_in_turn(weight: Floats, moments: Moments | None, rounded: Callable[[int, Floats], Floats]) -> None:
    """Round the weights of one input after the other, and let those of later inputs compensate the error.

    The callback gets i and all weights, with the errors of earlier inputs compensated (at a multiple of `BLOCK` for the
    whole block), and returns the rounded weights [outputs] of input i.
    """
    inputs = len(weight)
    known = np.eye(inputs) if moments is None else moments
    damped = known + DAMPING * max(float(np.trace(known)) / inputs, MIN_REACH) * np.eye(inputs)
    factor = np.linalg.cholesky(np.linalg.inv(damped)).T
    factor = (factor / factor.diagonal()[:, None]).astype(np.float32)
    left, errors = weight.astype(np.float32), np.zeros(weight.shape, np.float32)
    for start in range(0, inputs, BLOCK):
        stop = min(start + BLOCK, inputs)
        for i in range(start, stop):
            errors[i] = left[i] - rounded(i, left)
            left[i + 1 : stop] -= np.outer(factor[i, i + 1 : stop], errors[i])
        left[stop:] -= factor[start:stop, stop:].T @ errors[start:stop]


@dataclass(frozen=True)
class Balance:
    """Centre, reach and mean [channels] of an input that becomes (x - centre) / reach."""

    centre: Floats
    reach: Floats
    mean: Floats

    @classmethod
    def within_one(cls, channels: Channels) -> Balance:
        """Map the observed range of each channel into [-1, 1] with a margin, for inputs that are quantized."""
        reach = np.maximum((channels.high - channels.low) / 2 * CHANNEL_MARGIN, MIN_REACH)
        centre = (channels.high + channels.low) / 2
        return cls(centre.astype(np.float32), reach.astype(np.float32), channels.mean)

    @classmethod
    def of_deviations(cls, channels: Channels) -> Balance:
        """Scale each channel to deviation one, so that noise counts equally in each weight, for inputs in float32."""
        return cls(channels.mean, np.maximum(channels.deviation, MIN_REACH), channels.mean)

    def moments(self, channels: Channels) -> Moments:
        """Return the mean products of the balanced channels."""
        gap = channels.mean.astype(np.float64) - self.centre
        return (channels.covariance + np.outer(gap, gap)) / np.outer(self.reach, self.reach)

    def weights(self, weight: Floats) -> Floats:
        """Scale a matrix [inputs, outputs] for balanced inputs."""
        return weight * self.reach[:, None]

    def bias(self, weight: Floats, rounded: Floats) -> Floats:
        """Return what the bias must absorb: the centre, and the mean error of rounding `weights` to ``rounded``."""
        lost = ((self.mean - self.centre) / self.reach) @ (self.weights(weight) - rounded)
        return np.asarray(self.centre @ weight + lost, np.float32)
