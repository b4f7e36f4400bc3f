"""Speech in noise and in rooms, the same in every run; for evaluation, not for training."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from edgespeech.errors import UsageError
from edgespeech.reference.data.acoustics import add_noise, audio_files, reverberate
from edgespeech.runtime import audio
from edgespeech.runtime.manifest import Utterance
from edgespeech.runtime.measure.evaluation import AS_RECORDED, Condition, Samples


@dataclass(frozen=True)
class AcousticsRequest:
    """Folders of noise and of room impulse responses, and levels in decibels with commas between them."""

    noise: tuple[Path, ...] = ()
    snr: str = "20,10,5,0"
    rooms: tuple[Path, ...] = ()

    def conditions(self) -> list[Condition]:
        """Return the recording conditions.

        Raises:
            UsageError: The levels are not numbers.
            ConfigError: A folder has no audio.
        """
        if not self.noise and not self.rooms:
            return [AS_RECORDED]
        return make_conditions(self.noise, _parse_decibels(self.snr), self.rooms)

    def absolute(self) -> AcousticsRequest:
        """Return the request with absolute paths, for workers in other folders."""
        return AcousticsRequest(tuple(map(Path.absolute, self.noise)), self.snr, tuple(map(Path.absolute, self.rooms)))


def make_conditions(noise: Sequence[Path], snrs_db: Sequence[float], rooms: Sequence[Path]) -> list[Condition]:
    """Make the recording conditions: as recorded, with noise at each level, in rooms.

    The folders hold recordings of noise and room impulse responses. A level is mean power of the speech over that of
    the noise, in decibels.

    Raises:
        ConfigError: A folder has no audio.
    """
    noises, responses = audio_files(noise), audio_files(rooms)
    chosen = [AS_RECORDED]
    chosen += [_in_noise(noises, snr_db) for snr_db in snrs_db if noises]
    return chosen + ([_in_room(responses)] if responses else [])


def _in_noise(files: Sequence[Path], snr_db: float) -> Condition:
    def change(samples: Samples, utterance: Utterance, sample_rate: int) -> Samples:
        random = _random(utterance)
        noise = _read(files[int(random.integers(len(files)))], sample_rate)
        return _avoid_clipping(add_noise(samples, noise, snr_db, random))

    return Condition(f"noise, {snr_db:g} dB", change)


def _in_room(files: Sequence[Path]) -> Condition:
    def change(samples: Samples, utterance: Utterance, sample_rate: int) -> Samples:
        response = _read(files[int(_random(utterance).integers(len(files)))], sample_rate)
        return _avoid_clipping(reverberate(samples, response))

    return Condition("rooms", change)


def _random(utterance: Utterance) -> np.random.Generator:
    # Seeded by the utterance alone, so that the levels of noise differ in nothing but the level.
    return np.random.default_rng(zlib.crc32(f"{utterance.audio_filepath} {utterance.offset}".encode()))


def _avoid_clipping(samples: Samples) -> Samples:
    return np.asarray(samples / max(1.0, float(np.abs(samples).max(initial=0.0))), np.float32)


@lru_cache(maxsize=512)
def _read(path: Path, sample_rate: int) -> Samples:
    return audio.read(path, sample_rate)


def _parse_decibels(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--snr {text!r}: wanted decibels with commas between them, such as 20,10,5,0") from None
