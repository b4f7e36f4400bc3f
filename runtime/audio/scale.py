"""Samples whose scale cannot be right: integers in floating point, or 16 bits at the low end of 32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import AudioError

MAX_PEAK = 16.0  # of full scale, 24 dB; louder music in floating point is clipped
_INTEGER_SCALES = (2.0**15, 2.0**23, 2.0**31)
_LOW_PEAKS = (2.0**11, 2.0**15)  # in units of the last bit of 32; speech in 16 bits exceeds the first
_JUDGED_SECONDS = 1.0


class ScaleCheck:
    """Watches the peak of one stream of samples and refuses it once its scale cannot be right.

    Args:
        name: What the error message begins with.
        rate: Hz of the samples.
        is_32_bit: Whether the samples were 32-bit integers.
    """

    def __init__(self, name: str, rate: float, is_32_bit: bool = False) -> None:
        self._name, self._rate, self._is_32_bit = name, rate, is_32_bit
        self._count, self._peak, self._low_bits = 0, 0.0, False

    def step(self, frames: NDArray[np.floating], last: bool = False) -> None:
        """Check float [n, channels], where 1 is full scale; ``last`` also judges a stream that is short.

        Raises:
            AudioError: The samples are far above full scale, or 32-bit integers that never leave the lowest 16 bits.
        """
        peak = float(np.abs(frames).max()) if frames.size else 0.0
        if peak > MAX_PEAK:
            raise AudioError(_too_large(self._name, peak))
        if not self._is_32_bit or self._peak > _LOW_PEAKS[1]:
            return
        integers = frames.astype(np.float64) * 2.0**31
        self._count += len(frames)
        self._peak = max(self._peak, peak * 2.0**31)
        self._low_bits = self._low_bits or bool(np.any(integers % 256))  # 24-bit devices leave these empty
        enough = last or self._count >= _JUDGED_SECONDS * self._rate
        if enough and self._low_bits and _LOW_PEAKS[0] < self._peak <= _LOW_PEAKS[1]:
            raise AudioError(
                f"{self._name}: 32-bit samples of at most {self._peak:.0f}, which looks like 16 bits in 32 and "
                "is 65536 times too small; wanted the full range; multiply them by 65536 or convert them to int16"
            )


def _too_large(name: str, peak: float) -> str:
    factor = next((scale for scale in _INTEGER_SCALES if peak <= scale), _INTEGER_SCALES[-1])
    return (
        f"{name}: samples of up to {peak:.0f}, which looks like integers stored as floating point, {factor:.0f} times "
        f"too large; wanted [-1, 1]; divide them by {factor:.0f}"
    )
