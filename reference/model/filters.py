"""The fixed matrices of the front end: windows, Fourier kernels and filter banks."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from edgespeech.reference.model.config import FeatureConfig


def filter_bank(config: FeatureConfig) -> Tensor:
    """Return the filters of a front end, float32 [width, transform_length // 2 + 1]."""
    if config.scale == "mel":
        return mel_filters(config.sample_rate, config.transform_length, config.bins)
    if config.scale == "kaldi_mel":
        return kaldi_filters(config.sample_rate, config.transform_length, config.bins, config.lowest_hz)
    return torch.eye(config.width)


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


def kaldi_filters(sample_rate: int, transform_length: int, bins: int, lowest_hz: float) -> Tensor:
    """Return Kaldi's filters, triangles over mel (1127 ln(1 + f / 700)): float32 [bins, transform_length // 2 + 1].

    A narrow filter may be empty, and the last bin of the transform is in none. The arithmetic is in float32, as in
    Kaldi's ``feat/mel-computations``: narrow filters differ by 3e-5 in float64.
    """
    low, top = (1127.0 * math.log1p(hz / 700.0) for hz in (lowest_hz, sample_rate / 2))
    edges = (low + torch.arange(bins + 2) * ((top - low) / (bins + 1)))[:, None]
    frequencies = torch.arange(transform_length // 2) * (sample_rate / transform_length)
    mels = 1127.0 * torch.log(1.0 + frequencies / 700.0)
    rising = (mels - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mels) / (edges[2:] - edges[1:-1])
    return torch.nn.functional.pad(torch.minimum(rising, falling).clamp(min=0.0), (0, 1))


def window_shape(config: FeatureConfig) -> Tensor:
    """Return the analysis window, float64 [window_samples]."""
    make = torch.hamming_window if config.window == "hamming" else torch.hann_window
    window = make(config.window_samples, periodic=not config.symmetric_window, dtype=torch.float64)
    return window**0.85 if config.window == "povey" else window


def fourier_kernels(config: FeatureConfig) -> Tensor:
    """Return windowed Fourier kernels, cosines first: float32 [2 * (transform_length // 2 + 1), 1, window_samples].

    What is linear and done before the window is part of them: pre-emphasis, the mean of the frame, and the gain.
    """
    length = config.transform_length
    time = torch.arange(config.window_samples, dtype=torch.float64)
    frequency = torch.arange(length // 2 + 1, dtype=torch.float64)
    angle = 2.0 * math.pi * torch.outer(frequency, time) / length
    kernels = torch.cat([angle.cos(), angle.sin()]) * window_shape(config)
    if config.pre_emphasis:
        # The sum of k[i] (x[i] - c x[i - 1]) gives x[i] the factor k[i] - c k[i + 1]; x[-1] is x[0].
        following = torch.nn.functional.pad(kernels[:, 1:], (0, 1))
        following[:, 0] += kernels[:, 0]
        kernels = kernels - config.pre_emphasis * following
    if config.remove_mean:
        kernels = kernels - kernels.mean(dim=1, keepdim=True)
    return (kernels * config.gain).float().unsqueeze(1)
