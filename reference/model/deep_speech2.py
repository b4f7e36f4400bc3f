"""Deep Speech 2: samples to natural-log CTC probabilities, for whole recordings or in steps.

``forward`` does the streaming computation: it pads the delay with zeros and drops as many outputs at the beginning,
because output t of the row convolution belongs to frame t - tau.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgespeech.reference.model.config import ModelConfig
from edgespeech.reference.model.edges import Bounds, Edges, Layer, Span
from edgespeech.reference.model.features import Features
from edgespeech.reference.model.labels import BLANK, Labels
from edgespeech.reference.model.layers import (
    CausalConvolution,
    Connected,
    MaskedBatchNorm,
    Recurrent,
    RowConvolution,
    dropout,
)

State = dict[str, Tensor]
IMPOSSIBLE = -100.0  # log-probability of all labels but the blank, behind the end of a recording


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
    """Features, convolutions, recurrent stack, row convolution, fully connected layers, output.

    Streaming states are named ``<stage>_<state>``, as in ``features_context``, ``convolution0_context``,
    ``recurrent0_hidden`` or ``lookahead_context``; the exported ONNX graph has the same names. With zeros at the edges
    there are also those of `Edges`, ``edges_before`` and ``edges_left``.
    """

    def __init__(self, config: ModelConfig, labels: Labels) -> None:
        super().__init__()
        self.config = config
        self.labels = labels
        self.features = Features(config.features)
        height, delay = config.features.width, self.features.alignment.delay
        channels, frequencies = (1, height) if config.front_end == "2d" else (height, None)
        convolutions = []
        for layer in config.convolutions:
            convolution = CausalConvolution(layer, channels, frequencies, config.batch_norm, delay)
            channels, frequencies, delay = layer.channels, convolution.out_frequencies, convolution.alignment.delay
            convolutions.append(convolution)
        self.convolutions = nn.ModuleList(convolutions)
        width, hidden = channels * (frequencies or 1), config.hidden
        self.recurrents = nn.ModuleList(
            # The input of the first layer is normalised already, before its clipped ReLU.
            Recurrent(config.cell, hidden if i else width, hidden, config.batch_norm and i > 0, config.layer_norm)
            for i in range(config.layers)
        )
        self.lookahead = RowConvolution(hidden, config.lookahead_frames, delay) if config.lookahead_frames else None
        widths = [hidden, *config.fully_connected]
        self.connected = nn.ModuleList(Connected(one, two) for one, two in zip(widths, widths[1:], strict=False))
        self.output = Output(widths[-1], len(labels), config.batch_norm)
        self.layers = self._aligned()
        self.edges = Edges(self.layers, self.features.hold) if config.edges == "zeros" else None

    @property
    def delay_frames(self) -> int:
        """Output frames by which the streamed output lags behind the audio."""
        return self.layers["output"].delay

    @property
    def recurrent_extra_frames(self) -> int:
        """Frames of a recurrent layer behind those of a recording, which the delay of the layers above needs."""
        return self.delay_frames - (self.layers["recurrent0"].delay if self.edges is not None else 0)

    def _aligned(self) -> dict[str, Layer]:
        samples, delay = self.config.features.hop_samples, 0
        layers: dict[str, Layer] = {}
        for name, stage in self.stages().items():
            if (alignment := getattr(stage, "alignment", None)) is not None:
                delay = alignment.delay
                samples *= alignment.stride if layers else 1
            layers[name] = Layer(alignment, samples, delay)
        return layers

    def output_frames(self, samples: int) -> int:
        """Return the output frames of a recording; a partial last frame counts as one, unless its edges are zeros."""
        if self.edges is None:
            return -(-samples // self.config.frame_samples)
        return int(self.edges.frames(torch.tensor(samples))["output"])

    def stages(self) -> dict[str, nn.Module]:
        """Return the streaming layers by name, from the input to the output."""
        stages: dict[str, nn.Module] = {"features": self.features}
        stages.update({f"convolution{i}": layer for i, layer in enumerate(self.convolutions)})
        stages.update({f"recurrent{i}": layer for i, layer in enumerate(self.recurrents)})
        if self.lookahead is not None:
            stages["lookahead"] = self.lookahead
        stages.update({f"connected{i}": layer for i, layer in enumerate(self.connected)})
        stages["output"] = self.output
        return stages

    def enters_window(self, name: str) -> bool:
        """Whether the output of a stage is padded, because that of the next one sees a window of it."""
        names = list(self.layers)
        following = names[names.index(name) + 1 :][:1]
        return any(self.layers[one].alignment is not None for one in following)

    def initial_state(self, batch: int) -> State:
        """Return the state before the first sample."""
        state = {} if self.edges is None else _named(self.edges.initial_state(batch), "edges")
        for name, stage in self.stages().items():
            state.update(_named(stage.initial_state(batch), name))  # type: ignore[operator]
        return state

    def step(self, samples: Tensor, state: State) -> tuple[Tensor, State]:
        """Process new samples, float32 [batch, any number], to log-probabilities [batch, new frames, labels].

        The first `delay_frames` outputs of a stream must be dropped.
        """
        x, bounds, new_state = samples, None, {}
        if self.edges is not None:
            bounds, edges = self.edges.step(samples.shape[1], _own(state, "edges"))
            new_state = _named(edges, "edges")
        for name, stage in self.stages().items():
            own = _own(state, name)
            if isinstance(stage, Features):
                x, own = stage.step(x, own, *self._recording(bounds))
            else:
                x, own = stage.step(self._enter(name, x, bounds), own)  # type: ignore[operator]
            x = self._leave(name, x, bounds)
            new_state.update(_named(own, name))
        return x, new_state

    def ending(self, state: State, samples_left: int) -> State:
        """Return the state of streams whose recording ends after this many samples of the next step, or before it."""
        if self.edges is None:
            return state
        return {**state, "edges_left": torch.full_like(state["edges_left"], samples_left)}

    def padded_samples(self, samples: int) -> int:
        """Return the length of a recording after padding the look-ahead with zeros."""
        size = self.config.frame_samples
        return max(self.output_frames(samples) + self.delay_frames, -(-samples // size)) * size

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
        total = self.padded_samples(samples.shape[1])
        if self.edges is None:
            bounds, frames = None, -(-lengths // self.config.frame_samples)
            masks = self._masks(frames + self.delay_frames, total, samples.device)
        else:
            bounds, frames = self.edges.whole(lengths.to(samples.device), total), self.edges.frames(lengths)["output"]
            masks = bounds.masks
        with torch.autocast(samples.device.type, enabled=False):
            x = self.features(functional.pad(samples, (0, total - samples.shape[1])), *self._recording(bounds))
            if augment is not None:
                x = augment(x)
        x = self._leave("features", x, bounds)
        for name, stage in list(self.stages().items())[1:]:
            x = self._enter(name, x, bounds)
            if isinstance(stage, CausalConvolution):
                x = stage(x, masks[name])
            elif isinstance(stage, Recurrent):
                skipped = 0 if bounds is None else bounds.skipped
                x = stage(x, masks[name][:, skipped:], dropped if name != "recurrent0" else 0.0)
            else:
                x = stage(x, masks[name], dropped) if isinstance(stage, Output) else stage(x)
            x = self._leave(name, x, bounds)
        return x[:, self.delay_frames :], frames

    def _masks(self, frames: Tensor, total: int, device: torch.device) -> dict[str, Tensor]:
        """Return for each layer which of its frames belong to the first output frames [batch] of a recording."""
        size = self.config.frame_samples
        return {
            name: frame_mask(frames * (size // layer.samples), total // layer.samples, device)
            for name, layer in self.layers.items()
        }

    def _recording(self, bounds: Bounds | None) -> tuple[Span | None, Tensor | None]:
        return (None, None) if bounds is None else (bounds.span, bounds.masks["features"])

    def _enter(self, name: str, x: Tensor, bounds: Bounds | None) -> Tensor:
        """Arrange the input of a layer; recurrent layers skip the frames before the beginning of a recording."""
        if name == "convolution0" and self.config.front_end == "2d":
            return x.unsqueeze(1)
        if name == "recurrent0":
            x = as_sequence(x)
            return x if bounds is None else x[:, bounds.skipped :]
        return x

    def _leave(self, name: str, x: Tensor, bounds: Bounds | None) -> Tensor:
        """Arrange the output of a layer: outside of the recording zeros enter windows, and the output is the blank."""
        if bounds is None:
            return x
        is_last_recurrent = name == f"recurrent{self.config.layers - 1}"
        if is_last_recurrent:
            x = functional.pad(x, (0, 0, bounds.skipped, 0))
        if self.enters_window(name):
            return bounds.zeros_outside(name, x, 1 if is_last_recurrent else x.dim() - 1)
        if name == "output":
            blank = torch.full_like(x[:1, :1], IMPOSSIBLE)
            blank[..., BLANK] = 0.0
            return torch.where(bounds.masks[name][:, :, None], x, blank)
        return x


def _own(state: State, name: str) -> State:
    return {key.removeprefix(f"{name}_"): value for key, value in state.items() if key.startswith(f"{name}_")}


def _named(state: State, name: str) -> State:
    return {f"{name}_{key}": value for key, value in state.items()}


def frame_mask(frames: Tensor, total: int, device: torch.device) -> Tensor:
    """Return bool [batch, total] on a device, true for the first ``frames`` [batch] of each recording."""
    return torch.arange(total, device=device) < frames.to(device)[:, None]


def as_sequence(x: Tensor) -> Tensor:
    """Reshape [batch, channels, (frequencies,) time] to [batch, time, channels * frequencies]."""
    return x.flatten(1, -2).transpose(1, 2)
