"""Calibrate batch norm: measure the statistics of a trained model exactly on speech; its weights stay as they are.

Training leaves a moving average over augmented speech and changing weights. Calibration replaces it with mean and
variance of all valid frames. A layer's input depends on the layers below, so the layers are measured from the bottom
up, with one pass over the speech for each, which stops at its batch norm.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgespeech.errors import UsageError, VerificationError
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.reference.model.layers import MaskedBatchNorm
from edgespeech.runtime.measure.tables import Table

Samples = NDArray[np.float32]
BATCH_SECONDS = 60.0


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of values in each channel, float64 [channels]."""

    count: int
    mean: Tensor
    squares: Tensor

    @classmethod
    def of(cls, values: Tensor) -> Moments:
        """Compute the moments of values [n, channels]."""
        values = values.double()
        mean = values.sum(0) / max(1, len(values))
        return cls(len(values), mean, (values - mean).square().sum(0))

    def __add__(self, other: Moments) -> Moments:
        # Chan, Golub and LeVeque (1979): no cancellation, unlike E[x^2] - E[x]^2.
        count = self.count + other.count
        gap, fraction = other.mean - self.mean, other.count / max(1, count)
        squares = self.squares + other.squares + gap.square() * (self.count * fraction)
        return Moments(count, self.mean + gap * fraction, squares)

    @property
    def variance(self) -> Tensor:
        """Population variance: squared deviations divided by the count."""
        return self.squares / max(1, self.count)


@dataclass(frozen=True)
class LayerMovement:
    """Change of the statistics of one batch norm, over channels.

    Attributes:
        frames: Number of valid frames, at the rate of this layer.
        mean_rms, mean_largest: Shift of the mean in old deviations.
        deviation_rms, deviation_largest: Absolute ln(new deviation / old deviation).
    """

    layer: str
    frames: int
    mean_rms: float
    mean_largest: float
    deviation_rms: float
    deviation_largest: float


def count_batch_norms(model: DeepSpeech2) -> int:
    """Count the batch norms of a model; calibration processes the speech once for each."""
    return sum(isinstance(module, MaskedBatchNorm) for module in model.modules())


def calibrate_batch_norm(
    model: DeepSpeech2,
    recordings: Iterable[Samples],
    advance: Callable[[int], None] = lambda count: None,
    batch_seconds: float = BATCH_SECONDS,
) -> tuple[DeepSpeech2, list[LayerMovement]]:
    """Measure mean and variance of every batch norm over all valid frames (Deep Speech 2, section 3.2).

    Frames are valid as in `DeepSpeech2.forward`: those of each recording and of the zeros that flush its last outputs,
    but not the padding to the longest recording of a batch. The recordings, float32 [samples] in [-1, 1] at the model's
    rate, are iterated once for each batch norm, and may be read from disk each time; sorted by length, less is padded.
    Batches have ``batch_seconds`` of audio with padding, which does not change the result. ``advance`` is called with
    the number of recordings just processed. The model stays as it is; the result is a copy in evaluation mode and the
    movements from the bottom up, none for a model without batch norm.

    Raises:
        UsageError: The recordings hold no samples.
        VerificationError: A layer's input is not finite.
    """
    calibrated = copy.deepcopy(model).eval()
    max_samples = round(batch_seconds * model.config.features.sample_rate)
    movements = []
    for name, norm in calibrated.named_modules():  # in the order of the forward pass
        if not isinstance(norm, MaskedBatchNorm):
            continue
        layer = name.removesuffix(".batch_norm")
        moments, frames = _population(calibrated, norm, _batches(recordings, max_samples), advance)
        if not frames:
            raise UsageError("the calibration speech has no samples; give recordings of speech")
        if not bool((moments.mean + moments.variance).isfinite().all()):
            raise VerificationError(
                f"{layer}: its input on the calibration speech is not finite; fix the model or the speech"
            )
        movements.append(_movement(layer, frames, norm, moments))
        norm.running_mean.copy_(moments.mean)
        norm.running_variance.copy_(moments.variance)
    return calibrated, movements


class _ReachedBatchNorm(Exception):
    """Stops a forward pass whose remaining layers are not needed."""


@torch.no_grad()
def _population(
    model: DeepSpeech2, norm: MaskedBatchNorm, batches: Iterator[list[Samples]], advance: Callable[[int], None]
) -> tuple[Moments, int]:
    nothing = norm.running_mean.double() * 0.0
    moments, frames = Moments(0, nothing, nothing), 0

    def collect(_: nn.Module, inputs: tuple[Tensor, Tensor]) -> None:
        nonlocal moments, frames
        x, mask = inputs
        moments += Moments.of(_valid_values(x, mask, norm.channel_dim))
        frames += int(mask.sum())
        raise _ReachedBatchNorm

    hook = norm.register_forward_pre_hook(collect)
    try:
        for batch in batches:
            samples = nn.utils.rnn.pad_sequence([torch.tensor(one) for one in batch], batch_first=True)
            lengths = torch.tensor([len(one) for one in batch])
            with suppress(_ReachedBatchNorm):
                model(samples.to(nothing.device), lengths.to(nothing.device))
            advance(len(batch))
    finally:
        hook.remove()
    return moments, frames


def _batches(recordings: Iterable[Samples], max_samples: int) -> Iterator[list[Samples]]:
    batch: list[Samples] = []
    for recording in recordings:
        longest = max(len(one) for one in (*batch, recording))
        if batch and longest * (len(batch) + 1) > max_samples:
            yield batch
            batch = []
        if len(recording):
            batch.append(recording)
    if batch:
        yield batch


def _valid_values(x: Tensor, mask: Tensor, channel_dim: int) -> Tensor:
    """Select the valid frames of [batch, channels, (frequencies,) time] or [batch, time, channels] as [n, channels]."""
    time_dim = 1 if channel_dim == x.dim() - 1 else x.dim() - 1
    packed = x.movedim((time_dim, channel_dim), (1, -1))[mask]
    return packed.reshape(-1, x.shape[channel_dim])


def _movement(layer: str, frames: int, norm: MaskedBatchNorm, moments: Moments) -> LayerMovement:
    # The layer divides by this; epsilon bounds the weight of a channel that hardly varies.
    old = (norm.running_variance.double().clamp(min=0.0) + norm.epsilon).sqrt()
    shift = (moments.mean - norm.running_mean.double()).abs() / old
    stretch = ((moments.variance + norm.epsilon).sqrt() / old).log().abs()
    return LayerMovement(layer, frames, _rms(shift), float(shift.max()), _rms(stretch), float(stretch.max()))


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def largest_movement(movements: Iterable[LayerMovement]) -> float:
    """Return the largest root mean square movement of any layer, of its means or of its deviations."""
    return max((max(one.mean_rms, one.deviation_rms) for one in movements), default=0.0)


def movement_table(movements: Sequence[LayerMovement]) -> Table:
    """Lay out the movements, one row for each batch norm."""
    headings = (
        "layer", "frames", "mean moved by (deviations), rms", "largest", "deviation changed by (factor), rms", "largest"
    )  # fmt: skip
    rows = []
    for movement in movements:
        rms, largest = np.exp([movement.deviation_rms, movement.deviation_largest])
        figures = (movement.mean_rms, movement.mean_largest, rms, largest)
        rows.append((movement.layer, f"{movement.frames}", *(f"{figure:.3f}" for figure in figures)))
    return Table(headings, rows)
