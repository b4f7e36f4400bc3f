"""Sounds, files and a check of refusals for the tests of audio."""

from __future__ import annotations

import inspect
import io
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.errors import AudioError, DamagedAudioError
from edgespeech.runtime.audio import read_blocks


def tone(rate: int, channels: int = 1, seconds: float = 2.0, amplitude: float = 0.5) -> NDArray[np.float64]:
    """Return 440 Hz at the same phase in every channel, [n, channels]."""
    time = np.arange(round(rate * seconds)) / rate
    return np.repeat(amplitude * np.sin(2 * np.pi * 440 * time)[:, None], channels, axis=1)


def write(path: Path, samples: NDArray[np.float64], rate: int, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(AudioError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message and ";" in message
    return message


def babble(rate: int, channels: int = 1, seconds: float = 3.0) -> NDArray[np.float64]:
    """Return noise between 200 and 2000 Hz, [n, channels]; all channels are equal, and no two seconds are."""
    count = round(rate * seconds)
    frequencies = np.fft.rfftfreq(48000 * math.ceil(seconds), 1 / 48000)
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(48000 * math.ceil(seconds)))
    noise = np.fft.irfft(spectrum * ((frequencies > 200) & (frequencies < 2000)))
    sound = np.interp(np.arange(count) / rate, np.arange(len(noise)) / 48000, noise)
    return np.repeat(0.3 * (sound / np.abs(sound).max())[:, None], channels, axis=1)


def encode(container: str, subtype: str, samples: NDArray[np.float64], rate: int, **options: Any) -> bytes:
    """Return an audio file as bytes; the writers of libsndfile overflow if all of it comes at once."""
    file = io.BytesIO()
    channels = samples.shape[1]
    known = inspect.signature(soundfile.SoundFile.__init__).parameters  # older versions have no bit rates
    options = {name: value for name, value in options.items() if name in known}
    with soundfile.SoundFile(file, "w", rate, channels, format=container, subtype=subtype, **options) as sound:
        for part in np.array_split(samples, 20):
            sound.write(part)
    return file.getvalue()


def put(content: bytes, offset: int, form: str, value: int) -> bytes:
    """Return bytes with a number written over those at an offset."""
    changed = bytearray(content)
    struct.pack_into(form, changed, offset, value)
    return bytes(changed)


def read_all(path: Path, **options: Any) -> tuple[NDArray[np.float32], DamagedAudioError | None]:
    """Return everything that can be read of a file, and its damage."""
    blocks: list[NDArray[np.float32]] = []
    try:
        blocks.extend(read_blocks(path, **options))
    except DamagedAudioError as error:
        return np.concatenate([np.zeros(0, np.float32), *blocks]), error
    return np.concatenate([np.zeros(0, np.float32), *blocks]), None


def likeness(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """Return the correlation of two sounds over the length of the shorter one."""
    length = min(len(found), len(wanted))
    return float(np.corrcoef(found[:length], wanted[:length])[0, 1])
