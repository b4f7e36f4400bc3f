"""Speech as it is heard in noise and in rooms, the same in every run; for evaluation, not for training."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from edgespeech.reference.data.acoustics import add_noise, audio_files, reverberate
from edgespeech.runtime import audio
from edgespeech.runtime.manifest import Utterance
from edgespeech.runtime.measure.evaluation import AS_RECORDED, Condition, Samples


def conditions(noise: Sequence[Path], snrs_db: Sequence[float], rooms: Sequence[Path]) -> list[Condition]:
    """As recorded, then with noise at each level, then in rooms.

    Args:
        noise: Folders of noise; none for no such condition.
        snrs_db: Levels: mean power of the speech over that of the noise, in decibels.
        rooms: Folders of room responses; none for no such condition.

    Raises:
        ConfigError: A folder has no audio.
    """
    noises, responses = audio_files(noise), audio_files(rooms)
    chosen = [AS_RECORDED]
    chosen += [_in_noise(noises, snr_db) for snr_db in snrs_db if noises]
    return chosen + ([_in_room(responses)] if responses else [])


def _in_noise(files: Sequence[Path], snr_db: float) -> Condition:
    def change(samples: Samples, utterance: Utterance, sample_rate: int) -> Samples:
        chance = _chance(utterance)
        noise = _read(files[int(chance.integers(len(files)))], sample_rate)
        return _within_range(add_noise(samples, noise, snr_db, chance))

    return Condition(f"noise, {snr_db:g} dB", change)


def _in_room(files: Sequence[Path]) -> Condition:
    def change(samples: Samples, utterance: Utterance, sample_rate: int) -> Samples:
        response = _read(files[int(_chance(utterance).integers(len(files)))], sample_rate)
        return _within_range(reverberate(samples, response))

    return Condition("rooms", change)


def _chance(utterance: Utterance) -> np.random.Generator:
    """The same for an utterance in every run, and at every level: levels differ in level only."""
    return np.random.default_rng(zlib.crc32(f"{utterance.audio_filepath} {utterance.offset}".encode()))


def _within_range(samples: Samples) -> Samples:
    """Quieter where it would be clipped."""
    return np.asarray(samples / max(1.0, float(np.abs(samples).max(initial=0.0))), np.float32)


@lru_cache(maxsize=512)
def _read(path: Path, sample_rate: int) -> Samples:
    return audio.read(path, sample_rate)
