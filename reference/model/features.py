"""Log-spectrogram of a stream; by default it is causal, and frame t ends with sample ``(t + 1) * hop``.

The Fourier transform is a fixed convolution, so the ONNX graph does the same arithmetic.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgespeech.reference.model.alignment import Alignment
from edgespeech.reference.model.config import FeatureConfig
from edgespeech.reference.model.edges import Span
from edgespeech.reference.model.filters import filter_bank, fourier_kernels
from edgespeech.reference.model.normalisation import RunningStatistics

State = dict[str, Tensor]


class Features(nn.Module):
    """Framing, window, spectrum, mel or linear bins, logarithm, and global normalisation.

    The buffers ``mean`` and ``inverse_deviation`` [width] are statistics of the training speech.
    """

    kernels: Tensor
    filters: Tensor
    mean: Tensor
    inverse_deviation: Tensor

    def __init__(self, config: FeatureConfig) -> None:
        super().__init__()
        self.config = config
        left, right = config.padding or (config.window_samples - config.hop_samples, 0)
        self.alignment = Alignment(config.window_samples, config.hop_samples, left, right)
        # The mirrored samples behind the end are one more than the padding away from what they mirror.
        self.context = max(self.alignment.context, right + 1 if config.reflect else 0)
        fixed = config.normalisation == "fixed"
        self.running = None if fixed else RunningStatistics(config.prior_frames, config.memory_frames)
        self.register_buffer("kernels", fourier_kernels(config), persistent=False)
        self.register_buffer("filters", filter_bank(config), persistent=False)
        self.register_buffer("mean", torch.zeros(config.width))
        self.register_buffer("inverse_deviation", torch.ones(config.width))

    @property
    def hold(self) -> int:
        """Samples that must have come before the first frame, because they are mirrored at the beginning."""
        return self.alignment.left + 1 if self.config.reflect else 0

    def initial_state(self, batch: int) -> State:
        """Return ``context``, zeros before the first sample: float32 [batch, context], and that of the statistics."""
        running = {} if self.running is None else self.running.initial_state(batch)
        return {"context": self.mean.new_zeros(batch, self.context), **running}

    def log_spectrogram(self, framed: Tensor) -> Tensor:
        """Compute unnormalised features [batch, width, frames] of samples with left context [batch, samples]."""
        config = self.config
        spectrum = functional.conv1d(framed.unsqueeze(1), self.kernels, stride=config.hop_samples)
        real, imaginary = spectrum.square().chunk(2, dim=1)
        power = real + imaginary
        x = torch.matmul(self.filters, power if config.spectrum == "power" else power.sqrt())
        if config.logarithm == "log1p":
            return torch.log1p(x)
        return torch.log(x + config.floor if config.logarithm == "add_floor" else x.clamp(min=config.floor))

    def forward(self, samples: Tensor, span: Span | None = None, mask: Tensor | None = None) -> Tensor:
        """Compute features of whole recordings: float32 [batch, samples] to [batch, width, samples // hop]."""
        return self.step(samples, self.initial_state(len(samples)), span, mask)[0]

    def step(
        self, samples: Tensor, state: State, span: Span | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Process any number of new samples [batch, samples] and return the complete frames [batch, width, frames].

        ``span`` tells where the recording begins and ends, if that is known. ``mask``, bool [batch, frames], keeps all
        other frames than those of the recording out of running statistics.
        """
        window, hop = self.config.window_samples, self.config.hop_samples
        buffer = torch.cat([state["context"], samples], dim=1)
        if span is not None and span.before + samples.shape[1] < self.hold:
            return buffer.new_zeros(len(buffer), self.config.width, 0), {**state, "context": buffer[:, -self.context :]}
        buffer, framed = (buffer, buffer) if span is None else self._padded(buffer, state["context"].shape[1], span)
        framed = framed[:, self.context - self.alignment.context : framed.shape[1] - self.alignment.shift]
        frames = max(0, (framed.shape[1] - window) // hop + 1)
        after = {**state, "context": buffer[:, frames * hop :]}
        if not frames:
            return buffer.new_zeros(len(buffer), self.config.width, 0), after
        features = self.log_spectrogram(framed[:, : (frames - 1) * hop + window])
        normal = (features - self.mean[:, None]) * self.inverse_deviation[:, None]
        if self.running is None:
            return normal, after
        normal, running = self.running.step(normal, state, mask)
        return normal, {**after, **running}

    def _padded(self, buffer: Tensor, origin: int, span: Span) -> tuple[Tensor, Tensor]:
        """Return a buffer, whose new samples begin at ``origin``, and a copy with the padding of the recording."""
        left, begins = span.left[:, None], span.before < self.hold
        if begins:  # the samples before were held back, and are in the buffer
            buffer, left = functional.pad(buffer, (span.before, 0)), left + span.before
        if not self.alignment.right:
            return buffer, buffer
        place = torch.arange(buffer.shape[1], device=buffer.device) - origin
        if not self.config.reflect:
            return buffer, torch.where(place < left, buffer, 0.0)
        place = place.abs() if begins else place
        place = torch.where(place < left, place, 2 * left - 2 - place)
        return buffer, buffer.gather(1, (place + origin).clamp(0, buffer.shape[1] - 1))
