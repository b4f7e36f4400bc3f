"""Augmentation of whole batches on their device; filters and speed changes are done by Fourier transform."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from torch import Tensor, nn

from edgespeech.reference.data.config import AugmentationConfig
from edgespeech.reference.data.resident import ResidentRecordings

SPEEDS_PER_BATCH = 4
MAX_TIME_MASK = 60  # feature frames
MIN_POWER = 1e-12  # mean square; fainter recordings count as silence and are not scaled


class WaveAugmenter:
    """Changes batches of recordings at random; without ``noise`` or ``rooms``, which are audio files, neither is added.

    Raises:
        AudioError: A file cannot be read.
    """

    def __init__(
        self,
        config: AugmentationConfig,
        sample_rate: int,
        noise: Sequence[Path],
        rooms: Sequence[Path],
        device: torch.device | None = None,
    ) -> None:
        self.config = config
        self.sample_rate = sample_rate
        device = device or torch.device("cpu")
        self.noise = ResidentRecordings.read(noise, sample_rate, device) if noise and config.noise_prob else None
        self.rooms = ResidentRecordings.read(rooms, sample_rate, device) if rooms and config.room_prob else None

    def __call__(
        self, samples: Tensor, lengths: NDArray[np.int64], rng: np.random.Generator, epoch: int
    ) -> tuple[Tensor, NDArray[np.int64]]:
        """Change some recordings of a batch; ``epoch`` is counted from 0.

        ``samples`` is float32 [batch, samples], padded with zeros, ``lengths`` the number of samples of each recording.
        """
        config = self.config.in_pass(epoch)
        samples, lengths = self._change_speeds(samples, lengths, rng, config.speed_prob)
        valid = _valid(samples, lengths)
        if self.rooms is not None:
            chosen = _choose(len(samples), config.room_prob, rng)
            if len(chosen):
                which = rng.integers(len(self.rooms), size=len(chosen))
                responses = self.rooms.rows(which, int(self.rooms.lengths[which].max()))
                samples[chosen] = reverberate(samples[chosen], responses, valid[chosen])
        if self.noise is not None:
            chosen = _choose(len(samples), config.noise_prob, rng)
            if len(chosen):
                which = rng.integers(len(self.noise), size=len(chosen))
                pieces = self.noise.repeated(which, rng.integers(self.noise.lengths[which]), samples.shape[1])
                snr = rng.uniform(*config.noise_snr_db, size=len(chosen))
                samples[chosen] = add_noise(samples[chosen], pieces, snr, valid[chosen])
        chosen = _choose(len(samples), config.band_limit_prob, rng)
        if len(chosen):
            hertz = rng.uniform(*config.band_limit_hz, size=len(chosen))
            samples[chosen] = limit_band(samples[chosen], hertz, self.sample_rate)
        gain = 10.0 ** (rng.uniform(*config.gain_db, size=len(samples)) / 20.0)
        return (samples * _column(gain, samples) * valid).clamp(-1.0, 1.0), lengths

    def _change_speeds(
        self, samples: Tensor, lengths: NDArray[np.int64], rng: np.random.Generator, probability: float
    ) -> tuple[Tensor, NDArray[np.int64]]:
        chosen = _choose(len(samples), probability, rng)
        groups = [group for group in np.array_split(rng.permutation(chosen), SPEEDS_PER_BATCH) if len(group)]
        lengths, parts = lengths.copy(), []
        for group in groups:
            changed, factor = change_speed(samples[group], rng.uniform(*self.config.speed_range))
            lengths[group] = np.round(lengths[group] / factor)
            parts.append(changed)
        if not parts:
            return samples.clone(), lengths
        together = samples.new_zeros(len(samples), int(lengths.max()))
        rest = np.setdiff1d(np.arange(len(samples)), chosen)
        for group, part in zip([rest, *groups], [samples[rest], *parts], strict=True):
            width = min(part.shape[1], together.shape[1])
            together[group, :width] = part[:, :width]
        return together * _valid(together, lengths), lengths


def change_speed(samples: Tensor, factor: float) -> tuple[Tensor, float]:
    """Change tempo and pitch of [batch, samples] together by about ``factor``, as a tape does.

    Returns [batch, about samples / factor] and the exact factor, which differs by about a percent: lengths are rounded
    to those that transform fast.
    """
    before = next_fast_len(max(1, samples.shape[1]), real=True)
    after = next_fast_len(max(1, round(before / factor)), real=True)
    # irfft drops the bins that a shorter transform lacks and fills those of a longer one with zeros.
    changed = torch.fft.irfft(torch.fft.rfft(samples, before), after) * (after / before)
    actual = before / after
    return changed[:, : round(samples.shape[1] / actual)], actual


def reverberate(samples: Tensor, responses: Tensor, valid: Tensor) -> Tensor:
    """Convolve [batch, samples] with room responses [batch, taps], keeping timing and loudness.

    Taps before the direct sound are ignored; ``valid`` is bool [batch, samples], false in the padding.
    """
    direct = responses.abs().argmax(1, keepdim=True)
    tap = torch.arange(responses.shape[1], device=responses.device)
    responses = responses * (tap >= direct)
    length = next_fast_len(samples.shape[1] + responses.shape[1], real=True)
    spectrum = torch.fft.rfft(samples, length) * torch.fft.rfft(responses, length)
    wet = torch.fft.irfft(spectrum, length)
    starts = direct + torch.arange(samples.shape[1], device=samples.device)
    wet = wet.gather(1, starts) * valid
    power = _power(wet, valid)
    level = torch.sqrt(_power(samples, valid) / power.clamp(min=MIN_POWER))
    return torch.where(power > MIN_POWER, wet * level, samples)


def add_noise(samples: Tensor, noise: Tensor, snr_db: NDArray[np.float64], valid: Tensor) -> Tensor:
    """Add noise [batch, samples] at a signal-to-noise ratio [batch] in decibels; silent noise is not scaled."""
    power = _power(noise, valid)
    wanted = _power(samples, valid) / _column(10.0 ** (snr_db / 10.0), samples)
    return samples + noise * torch.where(power > MIN_POWER, wanted / power.clamp(min=MIN_POWER), 0.0).sqrt()


def limit_band(samples: Tensor, hertz: NDArray[np.float64], sample_rate: int) -> Tensor:
    """Remove the frequencies above a limit, [batch] in hertz, from recordings [batch, samples]."""
    length = next_fast_len(samples.shape[1], real=True)
    spectrum = torch.fft.rfft(samples, length)
    frequency = torch.fft.rfftfreq(length, 1.0 / sample_rate, device=samples.device)
    limited: Tensor = torch.fft.irfft(spectrum * (frequency <= _column(hertz, samples)), length)
    return limited[:, : samples.shape[1]]


def _choose(count: int, probability: float, rng: np.random.Generator) -> NDArray[np.int64]:
    return np.flatnonzero(rng.random(count) < probability)


def _valid(samples: Tensor, lengths: NDArray[np.int64]) -> Tensor:
    limit = torch.as_tensor(lengths, device=samples.device)[:, None]
    return torch.arange(samples.shape[1], device=samples.device) < limit


def _column(values: NDArray[np.float64], like: Tensor) -> Tensor:
    return torch.as_tensor(values, dtype=like.dtype).to(like.device)[:, None]


def _power(samples: Tensor, valid: Tensor) -> Tensor:
    return (samples.square() * valid).sum(1, keepdim=True) / valid.sum(1, keepdim=True).clamp(min=1)


class SpecAugment(nn.Module):
    """Sets frequency bands and time spans of normalised features to their mean, zero (arXiv 1904.08779)."""

    def __init__(self, config: AugmentationConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, features: Tensor) -> Tensor:
        """Mask features [batch, bins, frames]; every recording has its own masks."""
        batch, bins, frames = features.shape
        keep = torch.ones_like(features, dtype=torch.bool)
        for _ in range(self.config.frequency_masks):
            keep &= ~self._spans(batch, bins, self.config.frequency_mask_bins, features.device)[:, :, None]
        for _ in range(self.config.time_masks):
            max_width = min(int(frames * self.config.time_mask_fraction), MAX_TIME_MASK)
            keep &= ~self._spans(batch, frames, max_width, features.device)[:, None, :]
        return features * keep

    @staticmethod
    def _spans(batch: int, length: int, max_width: int, device: torch.device) -> Tensor:
        width = torch.randint(0, max_width + 1, (batch, 1), device=device)
        start = (torch.rand(batch, 1, device=device) * (length - width)).long()
        position = torch.arange(length, device=device)[None, :]
        return (position >= start) & (position < start + width)
