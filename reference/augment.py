"""What a clip goes through before it is heard: speed, room, noise, bandwidth, gain; and SpecAugment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soxr  # type: ignore[import-untyped]
import torch
from torch import Tensor, nn

from edgespeech.reference.acoustics import Samples, add_noise, reverberate
from edgespeech.reference.config import AugmentationConfig
from edgespeech.runtime import audio


class WaveAugmenter:
    """Changes samples at random; holds the noises and room responses it has read."""

    def __init__(
        self, config: AugmentationConfig, sample_rate: int, noise: Sequence[Path], rooms: Sequence[Path]
    ) -> None:
        """Take lists of audio files; an empty list turns that change off."""
        self.config = config
        self.sample_rate = sample_rate
        self.noise = list(noise)
        self.rooms = list(rooms)
        self._read: dict[Path, Samples] = {}

    def __call__(self, samples: Samples, random: np.random.Generator) -> Samples:
        """Samples [n] to changed samples within [-1, 1]; of another length where speed changed it."""
        config = self.config
        if random.random() < config.speed_share:
            samples = change_speed(samples, random.uniform(*config.speed_range), self.sample_rate)
        if self.rooms and random.random() < config.room_share:
            samples = reverberate(samples, self._samples(self.rooms[random.integers(len(self.rooms))]))
        if self.noise and random.random() < config.noise_share:
            noise = self._samples(self.noise[random.integers(len(self.noise))])
            samples = add_noise(samples, noise, random.uniform(*config.noise_snr_db), random)
        if random.random() < config.band_limit_share:
            samples = limit_band(samples, random.uniform(*config.band_limit_hz), self.sample_rate)
        gain = 10.0 ** (random.uniform(*config.gain_db) / 20.0)
        louder: Samples = np.clip(samples * np.float32(gain), -1.0, 1.0)
        return louder

    def _samples(self, path: Path) -> Samples:
        if path not in self._read:
            self._read[path] = audio.read(path, self.sample_rate)
        return self._read[path]


def change_speed(samples: Samples, factor: float, sample_rate: int) -> Samples:
    """Play ``factor`` times as fast (pitch and tempo together, as a tape)."""
    changed: Samples = soxr.resample(samples, sample_rate * factor, sample_rate, quality="LQ")
    return changed


def limit_band(samples: Samples, hertz: float, sample_rate: int) -> Samples:
    """Take away what lies above a frequency, by way of a lower sample rate."""
    narrow = soxr.resample(samples, sample_rate, 2.0 * hertz, quality="LQ")
    limited: Samples = soxr.resample(narrow, 2.0 * hertz, sample_rate, quality="LQ")
    return limited


class SpecAugment(nn.Module):
    """Sets bands of frequency and stretches of time of normalised features to their mean, zero (arXiv 1904.08779)."""

    def __init__(self, config: AugmentationConfig) -> None:
        """Take the number and the width of the masks."""
        super().__init__()
        self.config = config

    def forward(self, features: Tensor) -> Tensor:
        """[batch, bins, frames] to the same; every recording has its own masks."""
        batch, bins, frames = features.shape
        keep = torch.ones_like(features, dtype=torch.bool)
        for _ in range(self.config.frequency_masks):
            keep &= ~self._stretches(batch, bins, self.config.frequency_mask_bins, features.device)[:, :, None]
        for _ in range(self.config.time_masks):
            longest = min(int(frames * self.config.time_mask_share), 60)
            keep &= ~self._stretches(batch, frames, longest, features.device)[:, None, :]
        return features * keep

    @staticmethod
    def _stretches(batch: int, length: int, longest: int, device: torch.device) -> Tensor:
        width = torch.randint(0, longest + 1, (batch, 1), device=device)
        start = (torch.rand(batch, 1, device=device) * (length - width)).long()
        position = torch.arange(length, device=device)[None, :]
        return (position >= start) & (position < start + width)
