"""Noise at a given level, room responses, and the files that contain them; needs neither torch nor scipy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import ConfigError

Samples = NDArray[np.float32]
AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3"}


def audio_files(folders: Sequence[Path]) -> list[Path]:
    """List the audio files below the folders in a fixed order; a folder without any is a ConfigError."""
    found: list[Path] = []
    for folder in folders:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
        if not files:
            raise ConfigError(f"{folder} has no audio files ({', '.join(sorted(AUDIO_SUFFIXES))}); correct the path")
        found += files
    return found


def reverberate(samples: Samples, response: Samples) -> Samples:
    """Convolve with a room response, keeping the timing and loudness of the dry sound."""
    if not len(samples) or not np.any(response):
        return samples
    direct = int(np.argmax(np.abs(response)))
    wet = _convolve(samples, response)[direct : direct + len(samples)]
    level = float(np.sqrt(np.mean(np.square(samples))) / (np.sqrt(np.mean(np.square(wet))) + 1e-9))
    return np.asarray(wet * level, np.float32)


def _convolve(samples: Samples, response: Samples) -> NDArray[np.floating]:
    """Convolve by Fourier transform, whose length is a power of two."""
    length = len(samples) + len(response) - 1
    padded = 1 << (length - 1).bit_length()
    product = np.fft.rfft(samples, padded) * np.fft.rfft(response, padded)
    return np.fft.irfft(product, padded)[:length]


def add_noise(samples: Samples, noise: Samples, snr_db: float, random: np.random.Generator) -> Samples:
    """Add noise [m] from a random position to speech [n] at a signal-to-noise ratio of mean powers.

    Short noise is repeated; silent noise changes nothing.
    """
    if not len(samples) or not np.any(noise):
        return samples
    piece = np.take(noise, np.arange(len(samples)) + random.integers(len(noise)), mode="wrap")
    power = float(np.mean(np.square(piece)))
    if power < 1e-12:
        return samples
    wanted = float(np.mean(np.square(samples))) / 10.0 ** (snr_db / 10.0)
    return np.asarray(samples + piece * np.sqrt(wanted / power), np.float32)
