"""Causal log-spectrogram: frame t ends with sample ``(t + 1) * hop``.

The Fourier transform is a fixed convolution, so the ONNX graph does the same arithmetic.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgespeech.reference.model.config import FeatureConfig

State = dict[str, Tensor]


def mel_filters(sample_rate: int, transform_length: int, bins: int) -> Tensor:
    """Return triangular mel filters (2595 log10(1 + f / 700)), float32 [bins, transform_length // 2 + 1].

    Every filter is at least as wide as the spacing of the transform bins, so none is empty.
    """
    top = 2595.0 * math.log10(1.0 + sample_rate / 2 / 700.0)
    mels = torch.linspace(0.0, top, bins + 2, dtype=torch.float64)
    edges = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    frequencies = torch.linspace(0.0, sample_rate / 2, transform_length // 2 + 1, dtype=torch.float64)
    spacing = sample_rate / transform_length
    centre = edges[1:-1, None]
    left = (centre - edges[:-2, None]).clamp(min=spacing)
    right = (edges[2:, None] - centre).clamp(min=spacing)
    distance = frequencies[None, :] - centre
    filters = torch.where(distance < 0, 1.0 + distance / left, 1.0 - distance / right).clamp(min=0.0)
    return filters.float()


def fourier_kernels(config: FeatureConfig) -> Tensor:
    """Return windowed Fourier kernels, cosines first: float32 [2 * (window_samples // 2 + 1), 1, window_samples]."""
    length = config.window_samples
    time = torch.arange(length, dtype=torch.float64)
    frequency = torch.arange(length // 2 + 1, dtype=torch.float64)
    angle = 2.0 * math.pi * torch.outer(frequency, time) / length
    shape = torch.hann_window if config.window == "hann" else torch.hamming_window
    window = shape(length, periodic=True, dtype=torch.float64)
    return (torch.cat([angle.cos(), angle.sin()]) * window).float().unsqueeze(1)


class Features(nn.Module):
    """Framing, window, power spectrum, mel or linear bins, logarithm, and global normalisation.

    The buffers ``mean`` and ``inverse_deviation`` [width] are statistics of the training speech.
    """

    kernels: Tensor
    filters: Tensor
    mean: Tensor
    inverse_deviation: Tensor

    def __init__(self, config: FeatureConfig) -> None:
        super().__init__()
        self.config = config
        filters = (
            mel_filters(config.sample_rate, config.window_samples, config.bins)
            if config.scale == "mel"
            else torch.eye(config.width)
        )
        self.register_buffer("kernels", fourier_kernels(config), persistent=False)
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("mean", torch.zeros(config.width))
        self.register_buffer("inverse_deviation", torch.ones(config.width))

    def initial_state(self, batch: int) -> State:
        """Return ``context``, zeros before the first sample: float32 [batch, window - hop]."""
        length = self.config.window_samples - self.config.hop_samples
        return {"context": self.mean.new_zeros(batch, length)}

    def log_spectrogram(self, framed: Tensor) -> Tensor:
        """Compute unnormalised features [batch, width, frames] of samples with left context [batch, samples]."""
        spectrum = functional.conv1d(framed.unsqueeze(1), self.kernels, stride=self.config.hop_samples)
        real, imaginary = spectrum.square().chunk(2, dim=1)
        return torch.log(torch.matmul(self.filters, real + imaginary) + self.config.floor)

    def forward(self, samples: Tensor) -> Tensor:
        """Compute features of whole recordings: float32 [batch, samples] to [batch, width, samples // hop]."""
        return self.step(samples, self.initial_state(len(samples)))[0]

    def step(self, samples: Tensor, state: State) -> tuple[Tensor, State]:
        """Process any number of new samples [batch, samples] and return the complete frames [batch, width, frames]."""
        window, hop = self.config.window_samples, self.config.hop_samples
        buffer = torch.cat([state["context"], samples], dim=1)
        frames = max(0, (buffer.shape[1] - window) // hop + 1)
        if not frames:
            return buffer.new_zeros(len(buffer), self.config.width, 0), {"context": buffer}
        features = self.log_spectrogram(buffer[:, : (frames - 1) * hop + window])
        normal = (features - self.mean[:, None]) * self.inverse_deviation[:, None]
        return normal, {"context": buffer[:, frames * hop :]}
