"""Weights as integers: 8 bits with one scale for each output, 4 bits with one for each block; and balanced inputs.

Folding the batch norm leaves the channels' scales in the weights: channels that hardly move have large ones, and one
step for all channels would be much of all that they ever say. Balanced, each channel is centred and has steps of its
own, which go into the weights.

Inputs go together, so most of what rounding one input's weights does wrong can be undone by those of the others
(Frantar et al., GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers, 2022). Rounded
weights shift the mean of a product, for its inputs have means; the shift is known and goes into the bias (Nagel et al.,
Data-Free Quantization Through Weight Equalization and Bias Correction, 2019, section 4.2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgespeech.quantization.graph.activation_ranges import Channels

Floats = NDArray[np.float32]
Moments = NDArray[np.float64]

SMALLEST_WEIGHT = 1e-8
# 255 * 128 is less than 2^15.
MOST_PAIR = 128
BLOCK = 32
# Of the mean power of the inputs, so that those that hardly moved in the speech heard are not free to do anything.
DAMPING = 0.01
# Room beyond what calibration saw, and the least that a channel is taken to move.
CHANNEL_MARGIN = 1.1
SMALLEST_REACH = 1e-3


@dataclass(frozen=True)
class Integers:
    """Symmetric int8 weights [.., outputs] or [outputs, ..] and one float32 scale per output."""

    values: NDArray[np.int8]
    scales: Floats


def matrix_integers(weight: Floats, moments: Moments | None = None) -> Integers:
    """Round a matrix [inputs, outputs] to at most 127, one scale for each output.

    x86 processors without VNNI multiply unsigned by signed bytes in pairs of neighbouring inputs, and saturate the sum
    at 16 bits. A pair's weights of one sign add up to `MOST_PAIR` at most, which cannot.

    Args:
        weight: Of a product.
        moments: Mean products of its inputs with each other [inputs, inputs]; None if nothing is known of them.
    """
    pairs = np.pad(weight, ((0, len(weight) % 2), (0, 0))).reshape(-1, 2, weight.shape[1])
    largest = np.maximum(np.maximum(pairs, 0.0).sum(axis=1), np.maximum(-pairs, 0.0).sum(axis=1)).max(axis=0)
    # Each of the two may be rounded up by a half.
    scales = (np.maximum(largest, SMALLEST_WEIGHT) / (MOST_PAIR - 1)).astype(np.float32)
    values = np.zeros(weight.shape, np.int8)

    def rounded(i: int, left: Floats) -> Floats:
        partner = values[i - 1].astype(np.float32) if i % 2 else np.zeros_like(scales)
        least = np.maximum(-MOST_PAIR - np.minimum(partner, 0.0), 1 - MOST_PAIR)
        most = np.minimum(MOST_PAIR - np.maximum(partner, 0.0), MOST_PAIR - 1)
        values[i] = np.clip(np.round(left[i] / scales), least, most)
        return np.asarray(values[i] * scales)

    _round_in_turn(weight, moments, rounded)
    return Integers(values, scales)


def convolution_integers(weight: Floats) -> Integers:
    """Round kernels [outputs, inputs, kernel...] to half of `MOST_PAIR`, for any two may meet in a pair."""
    flat = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    scales = np.maximum(flat, SMALLEST_WEIGHT) / (MOST_PAIR // 2)
    column = scales.reshape(-1, *(1 for _ in weight.shape[1:]))
    return Integers(np.round(weight / column).astype(np.int8), scales.astype(np.float32))


@dataclass(frozen=True)
class Blocks:
    """4-bit weights, two in a byte [outputs, blocks, BLOCK / 2]; 8 stands for zero; scales [outputs, blocks]."""

    values: NDArray[np.uint8]
    scales: Floats

    def matrix(self, inputs: int) -> Floats:
        """The weights [inputs, outputs] that they stand for."""
        levels = np.stack([self.values & 15, self.values >> 4], axis=-1).reshape(*self.scales.shape, BLOCK)
        rounded = (levels.astype(np.float32) - 8.0) * self.scales[..., None]
        return np.asarray(rounded.reshape(len(levels), -1)[:, :inputs].T)


def matrix_blocks(weight: Floats, moments: Moments | None = None) -> Blocks:
    """Round a matrix [inputs, outputs] to -8 to 7, one scale for each `BLOCK` inputs of an output.

    Args:
        weight: Of a product.
        moments: As in `matrix_integers`.
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
    """Round the weights of one input after the other; those still to come make up for the error as well as they can.

    Args:
        weight: [inputs, outputs].
        moments: Mean products of the inputs.
        rounded: Takes the number of an input, a multiple of `BLOCK` with all errors before made up for, and the weights
            as they are by now; gives what this input's become [outputs].
    """
    inputs = len(weight)
    known = np.eye(inputs) if moments is None else moments
    damped = known + DAMPING * max(float(np.trace(known)) / inputs, SMALLEST_REACH) * np.eye(inputs)
    share = np.linalg.cholesky(np.linalg.inv(damped)).T
    share = (share / share.diagonal()[:, None]).astype(np.float32)
    left, errors = weight.astype(np.float32), np.zeros(weight.shape, np.float32)
    for start in range(0, inputs, BLOCK):
        stop = min(start + BLOCK, inputs)
        for i in range(start, stop):
            errors[i] = left[i] - rounded(i, left)
            left[i + 1 : stop] -= np.outer(share[i, i + 1 : stop], errors[i])
        left[stop:] -= share[start:stop, stop:].T @ errors[start:stop]


@dataclass(frozen=True)
class Balance:
    """Centre, reach and mean of each channel of an input [channels], which becomes (x - centre) / reach."""

    centre: Floats
    reach: Floats
    mean: Floats

    @classmethod
    def within_one(cls, channels: Channels) -> Balance:
        """What was seen comes to lie in [-1, 1], with a margin: for inputs that are integers themselves."""
        reach = np.maximum((channels.high - channels.low) / 2 * CHANNEL_MARGIN, SMALLEST_REACH)
        centre = (channels.high + channels.low) / 2
        return cls(centre.astype(np.float32), reach.astype(np.float32), channels.mean)

    @classmethod
    def of_deviations(cls, channels: Channels) -> Balance:
        """Channels come to have deviation one, so that the noise of each weight counts alike: for inputs in float32."""
        return cls(channels.mean, np.maximum(channels.deviation, SMALLEST_REACH), channels.mean)

    def moments(self, channels: Channels) -> Moments:
        """Mean products of the channels with each other, once they are balanced."""
        gap = channels.mean.astype(np.float64) - self.centre
        return (channels.covariance + np.outer(gap, gap)) / np.outer(self.reach, self.reach)

    def weights(self, weight: Floats) -> Floats:
        """Of a matrix [inputs, outputs], for balanced inputs."""
        return weight * self.reach[:, None]

    def bias(self, weight: Floats, rounded: Floats) -> Floats:
        """What a bias must take up: the centre, and what the mean loses by rounding `weights` to ``rounded``."""
        lost = ((self.mean - self.centre) / self.reach) @ (self.weights(weight) - rounded)
        return np.asarray(self.centre @ weight + lost, np.float32)
