"""Sample rates, and the conversion of one stream to another rate."""

from __future__ import annotations

import numbers

import numpy as np
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.errors import AudioError

SAMPLE_RATE = 16000  # Hz, of the acoustic models
MIN_RATE, MAX_RATE = 1000, 768000  # Hz
RESAMPLING_QUALITY = "HQ"


class Resampler:
    """Converts the sample rate of one mono stream.

    The filter's state is inside the soxr library and cannot be copied, so an instance serves one stream, from its first
    sample to ``last``. The output does not depend on how the input is cut into steps. Equal rates change nothing.

    Args:
        from_rate: Hz of the input.
        to_rate: Hz of the output.
        quality: One of soxr's qualities: QQ, LQ, MQ, HQ or VHQ.

    Raises:
        AudioError: A rate is outside 1000 to 768000 Hz.
    """

    def __init__(self, from_rate: float, to_rate: float = SAMPLE_RATE, quality: str = RESAMPLING_QUALITY) -> None:
        check_rate(from_rate, "input")
        check_rate(to_rate, "output")
        self._stream = None
        if from_rate != to_rate:
            self._stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality=quality)
        self._to_rate = to_rate

    @property
    def delay_seconds(self) -> float:
        """Seconds of audio that the filter holds at this moment, because it needs the audio that follows."""
        return 0.0 if self._stream is None else float(self._stream.delay()) / self._to_rate

    def step(self, samples: NDArray[np.float32], last: bool = False) -> NDArray[np.float32]:
        """Convert float32 [n] in [-1, 1] to the samples that are ready, float32 [m].

        Over the whole stream, m is within one sample of ceil(n * to_rate / from_rate). ``last``, allowed once, returns
        what the filter still holds.
        """
        samples = np.ascontiguousarray(samples, dtype=np.float32)
        if self._stream is None:
            return samples
        # The filter overshoots at steep edges.
        resampled: NDArray[np.float32] = self._stream.resample_chunk(samples, last=last)
        return resampled.clip(-1.0, 1.0)


def resampling_delay(from_rate: float, to_rate: float = SAMPLE_RATE, quality: str = RESAMPLING_QUALITY) -> float:
    """Return the mean delay of a `Resampler` in seconds, measured while silence arrives in blocks of 30 ms."""
    resampler = Resampler(from_rate, to_rate, quality)
    block = np.zeros(max(1, round(0.03 * from_rate)), np.float32)
    delays = []
    for _ in range(100):
        resampler.step(block)
        delays.append(resampler.delay_seconds)
    return float(np.mean(delays[20:]))  # the first blocks fill the filter


def check_rate(rate: float, name: str) -> None:
    """Refuse a sample rate outside 1000 to 768000 Hz with an AudioError that begins with ``name``."""
    if not isinstance(rate, numbers.Real) or not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(f"{name}: sample rate {rate!r} Hz; wanted {MIN_RATE} to {MAX_RATE}; correct it")
