"""Problems that the audio itself shows: a muted microphone, clipping; and the level for the meter."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

SILENCE_DB = -90.0
MUTED_SECONDS = 5.0
MUTED_PEAK = 2.0**-15  # one step of 16 bits: a muted microphone gives zeros, or dither
CLIPPED_PEAK = 0.99
CLIPPED_FRACTION = 0.005  # of the samples of a block; a few samples at full scale are not clipping


class SoundWatch:
    """Checks every block of one source for silence and clipping; only a microphone may not be silent."""

    def __init__(self, sample_rate: int, is_microphone: bool = True) -> None:
        self._is_microphone = is_microphone
        self.clipped_blocks = 0
        self._silent_samples = 0
        self._muted_samples = MUTED_SECONDS * sample_rate

    def step(self, samples: NDArray[np.float32], absent: bool = False) -> list[str]:
        """Check float32 [n], mono in [-1, 1], and return status messages; ``absent`` marks a device that is gone.

        Silence gives one message until sound comes back, clipping one at the 1st, 10th, 100th block and so on.
        """
        if absent or not len(samples):
            self._silent_samples = 0 if absent else self._silent_samples
            return []
        messages, before = [], self._silent_samples
        highest, lowest = float(np.maximum.reduce(samples)), float(np.minimum.reduce(samples))
        # A dead microphone may still have an offset, so the spread counts.
        self._silent_samples = 0 if (highest - lowest) / 2.0 > MUTED_PEAK else before + len(samples)
        if self._is_microphone and before < self._muted_samples <= self._silent_samples:
            messages.append("no sound from the microphone: is it muted?")
        if max(highest, -lowest) >= CLIPPED_PEAK and np.mean(np.abs(samples) >= CLIPPED_PEAK) >= CLIPPED_FRACTION:
            self.clipped_blocks += 1
            if math.log10(self.clipped_blocks).is_integer():
                advice = ": lower the microphone's gain" if self._is_microphone else ""
                messages.append(f"the audio is clipped{advice} (clipped blocks so far: {self.clipped_blocks})")
        return messages


def level_db(samples: NDArray[np.float32]) -> float:
    """Return the root mean square of float32 [n] in dB below full scale, at least -90."""
    wide = samples.astype(np.float64)
    power = float(np.dot(wide, wide)) / max(1, len(wide))
    return max(SILENCE_DB, 10.0 * math.log10(power)) if power else SILENCE_DB
