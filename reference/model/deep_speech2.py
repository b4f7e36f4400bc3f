"""Deep Speech 2: samples to natural-log CTC probabilities, for whole recordings or in steps.

``forward`` does the streaming computation: it pads ``lookahead_frames`` of zeros and drops as many outputs at the
beginning, because output t of the row convolution belongs to frame t - tau.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgespeech.reference.model.config import ModelConfig
from edgespeech.reference.model.features import Features
from edgespeech.reference.model.labels import Labels
from edgespeech.reference.model.layers import CausalConvolution, MaskedBatchNorm, Recurrent, RowConvolution, dropout

State = dict[str, Tensor]


class Output(nn.Module):
    """Batch norm, then a linear layer to the labels, then log-softmax."""

    def __init__(self, width: int, labels: int, batch_norm: bool) -> None:
        super().__init__()
        self.batch_norm = MaskedBatchNorm(width, channel_dim=2) if batch_norm else None
        self.linear = nn.Linear(width, labels)

    def forward(self, x: Tensor, mask: Tensor | None = None, dropped: float = 0.0) -> Tensor:
        """Map [batch, time, width] to float32 log-probabilities [batch, time, labels]."""
        x = x if self.batch_norm is None else self.batch_norm(x, mask)
        x = dropout(x, dropped, self.training)
        return functional.log_softmax(self.linear(x).float(), dim=-1)

    def initial_state(self, batch: int) -> State:
        """Return an empty dict: this layer keeps no state."""
        return {}

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Process any number of new frames."""
        return self(x), state


class DeepSpeech2(nn.Module):
    """Features, convolutions, recurrent stack, row convolution, output.

    Streaming states are named ``<stage>_<state>``, as in ``features_context``, ``convolution0_context``,
    ``recurrent0_hidden`` or ``lookahead_context``; the exported ONNX graph has the same names.
    """

    def __init__(self, config: ModelConfig, labels: Labels) -> None:
        super().__init__()
        self.config = config
        self.labels = labels
        self.features = Features(config.features)
        height = config.features.width
        channels, frequencies = (1, height) if config.front_end == "2d" else (height, None)
        convolutions = []
        for layer in config.convolutions:
            convolution = CausalConvolution(layer, channels, frequencies, config.batch_norm)
            channels, frequencies = layer.channels, convolution.out_frequencies
            convolutions.append(convolution)
        self.convolutions = nn.ModuleList(convolutions)
        width = channels * (frequencies or 1)
        self.recurrents = nn.ModuleList(
            # The input of the first layer is normalised already, before its clipped ReLU.
            Recurrent(config.cell, width if i == 0 else config.hidden, config.hidden, config.batch_norm and i > 0)
            for i in range(config.layers)
        )
        self.lookahead = RowConvolution(config.hidden, config.lookahead_frames) if config.lookahead_frames else None
        self.output = Output(config.hidden, len(labels), config.batch_norm)

    @property
    def delay_frames(self) -> int:
        """Output frames by which the streamed output lags behind the audio."""
        return self.config.lookahead_frames

    def output_frames(self, samples: int) -> int:
        """Return the output frames of a recording; a partial last frame counts as one."""
        return -(-samples // self.config.frame_samples)

    def stages(self) -> dict[str, nn.Module]:
        """Return the streaming layers by name, from the input to the output."""
        stages: dict[str, nn.Module] = {"features": self.features}
        stages.update({f"convolution{i}": layer for i, layer in enumerate(self.convolutions)})
        stages.update({f"recurrent{i}": layer for i, layer in enumerate(self.recurrents)})
        if self.lookahead is not None:
            stages["lookahead"] = self.lookahead
        stages["output"] = self.output
        return stages

    def initial_state(self, batch: int) -> State:
        """Return the state before the first sample."""
        return {
            f"{name}_{key}": value
            for name, stage in self.stages().items()
            for key, value in stage.initial_state(batch).items()  # type: ignore[operator]
        }

    def step(self, samples: Tensor, state: State) -> tuple[Tensor, State]:
        """Process new samples, float32 [batch, any number], to log-probabilities [batch, new frames, labels].

        The first `delay_frames` outputs of a stream must be dropped.
        """
        x, new_state = samples, {}
        for name, stage in self.stages().items():
            if name == "recurrent0":
                x = as_sequence(x)
            own = {key.removeprefix(f"{name}_"): value for key, value in state.items() if key.startswith(f"{name}_")}
            if name == "convolution0" and self.config.front_end == "2d":
                x = x.unsqueeze(1)
            x, own = stage.step(x, own)  # type: ignore[operator]
            new_state.update({f"{name}_{key}": value for key, value in own.items()})
        return x, new_state

    def padded_samples(self, samples: int) -> int:
        """Return the length of a recording after padding the look-ahead with zeros."""
        return (self.output_frames(samples) + self.delay_frames) * self.config.frame_samples

    def forward(
        self, samples: Tensor, lengths: Tensor, augment: nn.Module | None = None, dropped: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Process whole recordings, float32 [batch, samples], padded with zeros.

        Args:
            samples: The recordings.
            lengths: int64 [batch], samples of each recording; on the CPU, where CTC needs the frame counts.
            augment: Applied to the normalised features in training (SpecAugment).
            dropped: Dropout probability.

        Returns:
            Log-probabilities float32 [batch, frames, labels], and the valid frames of each recording, int64 [batch].
        """
        frames = -(-lengths // self.config.frame_samples)
        total = self.padded_samples(samples.shape[1])
        with torch.autocast(samples.device.type, enabled=False):
            x = self.features(functional.pad(samples, (0, total - samples.shape[1])))
            if augment is not None:
                x = augment(x)
        delayed = frames + self.delay_frames
        mask = frame_mask(delayed, total // self.config.frame_samples, samples.device)
        if self.config.front_end == "2d":
            x = x.unsqueeze(1)
        ratio = self.config.time_stride
        for convolution, layer in zip(self.convolutions, self.config.convolutions, strict=True):
            ratio //= layer.stride
            x = convolution(x, mask.repeat_interleave(ratio, dim=1))
        x = as_sequence(x)
        for i, recurrent in enumerate(self.recurrents):
            x = recurrent(x, mask, dropped if i else 0.0)
        if self.lookahead is not None:
            x = self.lookahead(x)
        return self.output(x, mask, dropped)[:, self.delay_frames :], frames


def frame_mask(frames: Tensor, total: int, device: torch.device) -> Tensor:
    """Return bool [batch, total] on a device, true for the first ``frames`` [batch] of each recording."""
    return torch.arange(total, device=device) < frames.to(device)[:, None]


def as_sequence(x: Tensor) -> Tensor:
    """Reshape [batch, channels, (frequencies,) time] to [batch, time, channels * frequencies]."""
    return x.flatten(1, -2).transpose(1, 2)
