"""Batch-norm calibration: the statistics of a trained model, measured exactly on speech; weights stay as they are.

Training leaves a moving average over augmented speech and over weights that were still changing. Here every batch norm
gets mean and variance of the whole population of valid frames instead. A layer's input depends on the layers below, so
this goes from the bottom up, with one pass over the speech for each batch norm that ends where this batch norm begins.
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

Samples = NDArray[np.float32]
BATCH_SECONDS = 60.0


@dataclass(frozen=True)
class Moments:
    """Number, mean and sum of squared deviations of values, each channel for itself; float64 [channels]."""

    count: int
    mean: Tensor
    squares: Tensor

    @classmethod
    def of(cls, values: Tensor) -> Moments:
        """Of values [n, channels]."""
        values = values.double()
        mean = values.sum(0) / max(1, len(values))
        return cls(len(values), mean, (values - mean).square().sum(0))

    def __add__(self, other: Moments) -> Moments:
        """Of both sets together, without the lost digits of E[x^2] - E[x]^2 (Chan, Golub and LeVeque, 1979)."""
        count = self.count + other.count
        gap, share = other.mean - self.mean, other.count / max(1, count)
        return Moments(
            count, self.mean + gap * share, self.squares + other.squares + gap.square() * (self.count * share)
        )

    @property
    def variance(self) -> Tensor:
        """Of the population: divided by the number."""
        return self.squares / max(1, self.count)


@dataclass(frozen=True)
class LayerMovement:
    """How far calibration moved the statistics of one batch norm.

    Attributes:
        layer: Name of the layer that has the batch norm, such as ``recurrents.1``.
        frames: Valid frames that were heard, at the rate of this layer.
        mean_rms: Shift of the mean in old deviations, root mean square over channels.
        mean_largest: The same, largest channel.
        deviation_rms: Size of ln(new deviation / old deviation), root mean square over channels.
        deviation_largest: The same, largest channel.
    """

    layer: str
    frames: int
    mean_rms: float
    mean_largest: float
    deviation_rms: float
    deviation_largest: float


def count_batch_norms(model: DeepSpeech2) -> int:
    """How many batch norms there are; calibration listens to each recording once for each."""
    return sum(isinstance(module, MaskedBatchNorm) for module in model.modules())


def calibrate_batch_norm(
    model: DeepSpeech2,
    recordings: Iterable[Samples],
    advance: Callable[[int], None] = lambda count: None,
    batch_seconds: float = BATCH_SECONDS,
) -> tuple[DeepSpeech2, list[LayerMovement]]:
    """Measure mean and variance of every batch norm anew, over all valid frames (Deep Speech 2, section 3.2).

    Valid is what `DeepSpeech2.forward` takes for valid: each recording and the silence that brings its last outputs
    out, without the padding to the longest of a batch.

    Args:
        model: Not changed.
        recordings: float32 [samples] in [-1, 1] at the model's rate; iterated anew for each batch norm, so they may
            come from disk each time. Neighbours of about the same length waste the least time on padding.
        advance: Called with the number of recordings just heard, `count_batch_norms` times their number in all.
        batch_seconds: Audio per batch, padding included; it makes no difference to the result.

    Returns:
        A new model in evaluation mode, and the movement of every batch norm from the bottom up; a model without batch
        norm comes back as it is, with no movement.

    Raises:
        UsageError: The recordings hold no samples.
        VerificationError: A layer's input is not finite.
    """
    calibrated = copy.deepcopy(model).eval()
    most_samples = round(batch_seconds * model.config.features.sample_rate)
    movements = []
    for name, norm in calibrated.named_modules():  # in the order of the forward pass
        if not isinstance(norm, MaskedBatchNorm):
            continue
        layer = name.removesuffix(".batch_norm")
        moments, frames = _population(calibrated, norm, _batches(recordings, most_samples), advance)
        if not frames:
            raise UsageError("the calibration speech has no samples; give recordings of speech")
        if not bool((moments.mean + moments.variance).isfinite().all()):
            raise VerificationError(f"{layer}: its input on the calibration speech is not finite; mend model or speech")
        movements.append(_movement(layer, frames, norm, moments))
        norm.running_mean.copy_(moments.mean)
        norm.running_variance.copy_(moments.variance)
    return calibrated, movements


class _ReachedBatchNorm(Exception):
    """Ends a forward pass where the rest of it is not needed."""


@torch.no_grad()
def _population(
    model: DeepSpeech2, norm: MaskedBatchNorm, batches: Iterator[list[Samples]], advance: Callable[[int], None]
) -> tuple[Moments, int]:
    """Moments of what enters a batch norm, and the number of valid frames."""
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


def _batches(recordings: Iterable[Samples], most_samples: int) -> Iterator[list[Samples]]:
    """Neighbours together, at most so many samples with padding; a longer recording alone, an empty one not at all."""
    batch: list[Samples] = []
    for recording in recordings:
        longest = max(len(one) for one in (*batch, recording))
        if batch and longest * (len(batch) + 1) > most_samples:
            yield batch
            batch = []
        if len(recording):
            batch.append(recording)
    if batch:
        yield batch


def _valid_values(x: Tensor, mask: Tensor, channel_dim: int) -> Tensor:
    """The valid frames of [batch, channels, (frequencies,) time] or [batch, time, channels] as [n, channels]."""
    time_dim = 1 if channel_dim == x.dim() - 1 else x.dim() - 1
    packed = x.movedim((time_dim, channel_dim), (1, -1))[mask]
    return packed.reshape(-1, x.shape[channel_dim])


def _movement(layer: str, frames: int, norm: MaskedBatchNorm, moments: Moments) -> LayerMovement:
    # What the layer divides by: epsilon keeps a channel that never speaks from weighing without bound.
    old = (norm.running_variance.double().clamp(min=0.0) + norm.epsilon).sqrt()
    shift = (moments.mean - norm.running_mean.double()).abs() / old
    stretch = ((moments.variance + norm.epsilon).sqrt() / old).log().abs()
    return LayerMovement(layer, frames, _rms(shift), float(shift.max()), _rms(stretch), float(stretch.max()))


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def largest_movement(movements: Iterable[LayerMovement]) -> float:
    """Root mean square over the channels of the layer that moved furthest, of means and deviations alike."""
    return max((max(one.mean_rms, one.deviation_rms) for one in movements), default=0.0)


def movement_table(movements: Sequence[LayerMovement]) -> str:
    """For people: one line for each batch norm."""
    width = max(len(movement.layer) for movement in movements)
    lines = [
        f"{'':{width}}  {'':>9}  mean moved by (deviations)  deviation changed by (factor)",
        f"{'layer':{width}}  {'frames':>9}  {'rms':>12}  {'largest':>12}  {'rms':>15}  {'largest':>12}",
    ]
    for movement in movements:
        rms, largest = np.exp([movement.deviation_rms, movement.deviation_largest])
        lines.append(
            f"{movement.layer:{width}}  {movement.frames:>9}"
            f"  {movement.mean_rms:>12.3f}  {movement.mean_largest:>12.3f}  {rms:>15.3f}  {largest:>12.3f}"
        )
    return "\n".join(lines)
