"""Where a recording begins and ends in every layer of a stream, for models that were trained with zeros there.

Such a model pads each convolution and the look-ahead with zeros at both ends of the recording. A stream reaches the
same result if each of these layers gets zeros for the frames that its input lags behind at the beginning, and for those
behind the end. The end is a value that the caller sets: the samples that are left of the recording.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from edgespeech.reference.model.alignment import Alignment

State = dict[str, Tensor]
UNKNOWN = 1e30  # samples left of a stream whose end is not known; nothing that is subtracted changes it
_FAR = 2**40


@dataclass(frozen=True)
class Span:
    """The samples of a step within a recording: ``before`` them, and ``left`` from the first of them to the end.

    ``left`` is int64 [batch] and may be negative. ``before`` is exact up to some frames behind the beginning, and then
    stays there, except for its remainder of a frame.
    """

    before: int
    left: Tensor


@dataclass(frozen=True)
class Layer:
    """A layer's window, or None if it has none, the samples in one of its outputs, and the outputs it lags behind."""

    alignment: Alignment | None
    samples: int
    delay: int


@dataclass(frozen=True)
class Bounds:
    """Which outputs of a step belong to the recording.

    Attributes:
        span: The samples of the step.
        masks: For each layer bool [batch, outputs of the step], true for those of the recording.
        skipped: Inputs of the recurrent layers before the beginning, which must not change their state.
    """

    span: Span
    masks: dict[str, Tensor]
    skipped: int

    def zeros_outside(self, layer: str, x: Tensor, time: int) -> Tensor:
        """Put zeros into the output of a layer outside of the recording; ``time`` is its dimension."""
        mask = self.masks[layer]
        return x * mask.reshape(len(mask), *(mask.shape[1] if dim == time else 1 for dim in range(1, x.dim())))


class Edges:
    """Finds the frames of a recording among those of a step, in every layer.

    Args:
        layers: The layers from the features to the output.
        hold: Samples that the features wait for before their first frame.
    """

    def __init__(self, layers: Mapping[str, Layer], hold: int) -> None:
        self.layers = layers
        self.hold = hold
        name, last = list(layers.items())[-1]
        padding = max(0, int(self._counts(torch.tensor(0, device="cpu"))[name]))
        self.limit = (last.delay + padding + 1) * last.samples  # behind all outputs that the beginning matters for
        self._frame = last.samples

    def initial_state(self, batch: int) -> State:
        """Return ``before`` and ``left``, float32 [batch, 1]: no samples, and an unknown number."""
        return {"before": torch.zeros(batch, 1), "left": torch.full((batch, 1), UNKNOWN)}

    def step(self, samples: int, state: State) -> tuple[Bounds, State]:
        """Return the bounds of a step of new samples, and the state behind them."""
        before, left = int(state["before"].max()), state["left"]
        after = before + samples
        after -= -(-max(0, after - self.limit) // self._frame) * self._frame
        bounds = self._bounds(Span(before, left.clamp(-_FAR, _FAR).long()[:, 0]), samples)
        return bounds, {"before": torch.full_like(left, after), "left": left - samples}

    def whole(self, lengths: Tensor, samples: int) -> Bounds:
        """Return the bounds of recordings, int64 [batch] samples long, in one step of samples from the beginning on."""
        return self._bounds(Span(0, lengths), samples)

    def frames(self, lengths: Tensor) -> dict[str, Tensor]:
        """Return the frames that each layer has for recordings of these lengths in samples, int64 [batch]."""
        counts = self._counts(lengths)
        return {name: torch.where(lengths > 0, count, 0).clamp(min=0) for name, count in counts.items()}

    def _counts(self, lengths: Tensor) -> dict[str, Tensor]:
        count, counts = lengths, {}
        for name, layer in self.layers.items():
            if (window := layer.alignment) is not None:
                reach = count + window.left + window.right - window.kernel
                count = torch.div(reach, window.stride, rounding_mode="floor") + 1
            counts[name] = count
        return counts

    def _bounds(self, span: Span, samples: int) -> Bounds:
        counts, masks = self.frames(span.left + span.before), {}
        for name, layer in self.layers.items():
            index = torch.arange(*self._outputs(layer, span, samples), device=span.left.device) - layer.delay
            masks[name] = (index >= 0) & (index < counts[name][:, None])
        recurrent = self.layers["recurrent0"]
        first, last = self._outputs(recurrent, span, samples)
        return Bounds(span, masks, max(0, min(recurrent.delay, last) - first))

    def _outputs(self, layer: Layer, span: Span, samples: int) -> tuple[int, int]:
        """Return the number of the first output of a step, and of that behind its last one."""
        seen = (span.before, span.before + samples)
        first, last = (0 if count < self.hold else count // layer.samples for count in seen)
        return first, last
