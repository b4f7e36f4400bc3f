"""Sounds, and a check of refusals, for the tests of audio."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.errors import AudioError


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
