"""Where speech is heard: noise at a level, rooms, and the files that hold them; needs no torch, draws no lots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from edgespeech.errors import ConfigError

Samples = NDArray[np.float32]
AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3"}


def audio_files(folders: Sequence[Path]) -> list[Path]:
    """All audio files below the folders, in a fixed order.

    Raises:
        ConfigError: A folder does not exist or has no audio file.
    """
    found: list[Path] = []
    for folder in folders:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
        if not files:
            raise ConfigError(f"{folder} has no audio files ({', '.join(sorted(AUDIO_SUFFIXES))}); mend the path")
        found += files
    return found


def reverberate(samples: Samples, response: Samples) -> Samples:
    """Convolve with a room response, in time with the dry sound and as loud as it."""
    if not len(samples) or not np.any(response):
        return samples
    direct = int(np.argmax(np.abs(response)))
    wet = fftconvolve(samples, response)[direct : direct + len(samples)]
    level = float(np.sqrt(np.mean(np.square(samples))) / (np.sqrt(np.mean(np.square(wet))) + 1e-9))
    return np.asarray(wet * level, np.float32)


def add_noise(samples: Samples, noise: Samples, snr_db: float, random: np.random.Generator) -> Samples:
    """Add noise from a random position.

    Args:
        samples: Speech [n].
        noise: Noise [m], begun again when it ends; silence is left out.
        snr_db: Mean power of speech over mean power of noise, in decibels.
        random: Chooses the position.
    """
    if not len(samples) or not np.any(noise):
        return samples
    piece = np.take(noise, np.arange(len(samples)) + random.integers(len(noise)), mode="wrap")
    power = float(np.mean(np.square(piece)))
    if power < 1e-12:
        return samples
    wanted = float(np.mean(np.square(samples))) / 10.0 ** (snr_db / 10.0)
    return np.asarray(samples + piece * np.sqrt(wanted / power), np.float32)
