"""What the sound itself says about the microphone: how loud it is, whether it is muted, whether it is clipped."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

SILENCE = -90.0  # dB
MUTED_SECONDS = 5.0
MUTED_PEAK = 2.0**-15  # one step of 16 bits: a muted microphone gives zeros, or dither
CLIPPED_PEAK = 0.99
CLIPPED_SHARE = 0.005  # of the samples of a block; one that only touches the limit is not clipped


class SoundWatch:
    """Looks at every block of one source.

    Args:
        sample_rate: Hertz.
    """

    def __init__(self, sample_rate: int) -> None:
        """Nothing heard yet."""
        self.clipped_blocks = 0
        self._silent_samples = 0
        self._muted_samples = MUTED_SECONDS * sample_rate

    def step(self, samples: NDArray[np.float32], absent: bool = False) -> list[str]:
        """Look at float32 [n].

        Args:
            samples: Mono, in [-1, 1].
            absent: The silence is ours.

        Returns:
            Remarks for people: on silence once until sound comes back; on clipping at the 1st, 10th, 100th block etc.
        """
        if absent or not len(samples):
            self._silent_samples = 0 if absent else self._silent_samples
            return []
        remarks, loudness = [], np.abs(samples)
        before = self._silent_samples
        self._silent_samples = 0 if float(loudness.max()) > MUTED_PEAK else before + len(samples)
        if before < self._muted_samples <= self._silent_samples:
            remarks.append("the microphone hears nothing: muted?")
        if float(np.mean(loudness >= CLIPPED_PEAK)) >= CLIPPED_SHARE:
            self.clipped_blocks += 1
            if math.log10(self.clipped_blocks).is_integer():
                remarks.append(f"the sound is clipped: turn the microphone down (blocks so far: {self.clipped_blocks})")
        return remarks


def level(samples: NDArray[np.float32]) -> float:
    """Root mean square of float32 [n] in dB below full scale, at least -90."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return max(SILENCE, 10.0 * math.log10(power)) if power else SILENCE
