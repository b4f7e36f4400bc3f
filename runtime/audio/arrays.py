"""Samples in memory become float32 mono in [-1, 1]."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgespeech.errors import AudioError
from edgespeech.runtime.audio.channels import EACH, MAX_CHANNELS, MIX, Channel, ChannelChooser
from edgespeech.runtime.audio.resampler import Resampler, check_rate
from edgespeech.runtime.audio.scale import ScaleCheck

log = logging.getLogger(__name__)

_INFINITE = 2.2e9  # beyond 32-bit integers that are stored as floating point
_TYPES = ("float32", "float64", "int16", "int32", "uint8")


class ArrayInput:
    """Samples in memory that arrive piece by piece and belong to one recording.

    Args:
        sample_rate: Hz of the samples.
        channel: ``mix`` for the mean of the channels, the number of one (from 1), or ``each``.

    Raises:
        UsageError: The channel is invalid.
    """

    def __init__(self, sample_rate: float, channel: Channel = MIX) -> None:
        self._rate = sample_rate
        self._chooser = ChannelChooser(channel, "samples", sample_rate)
        self._checks = {is_32_bit: ScaleCheck("samples", sample_rate, is_32_bit) for is_32_bit in (False, True)}

    def step(self, samples: ArrayLike, last: bool = False) -> NDArray[np.float32]:
        """Check and convert samples as `from_array` does, without a change of rate, to float32 [n, 1 or channels].

        Raises:
            AudioError: As for `from_array`.
        """
        frames, is_32_bit = _as_frames(samples, self._rate)
        self._checks[is_32_bit].step(frames, last)
        return self._chooser.step(frames)

    def finish(self) -> None:
        """Log what is to know about the mix of the channels."""
        for message in self._chooser.messages():
            log.warning("%s", message)


def from_array(
    samples: ArrayLike, sample_rate: float, to_rate: float | None = None, channel: Channel = MIX
) -> NDArray[np.float32]:
    """Check and convert samples in memory.

    Args:
        samples: [n] or [n, channels]; float32 or float64 in [-1, 1] (clipped), int16, int32, or uint8 around 128.
        sample_rate: Hz of ``samples``.
        to_rate: Hz of the result; the rate of ``samples`` when None.
        channel: ``mix`` for the mean of the channels, the number of one (from 1), or ``each``.

    Returns:
        float32 [m] in [-1, 1], [m, channels] for ``each``; a copy.

    Raises:
        AudioError: A wrong dtype, shape, rate or channel; NaN or infinity; a scale that cannot be right.
        UsageError: The channel is invalid.
    """
    check_rate(sample_rate, "array")
    array_input = ArrayInput(sample_rate, channel)
    chosen = array_input.step(samples, last=True)
    array_input.finish()
    target = sample_rate if to_rate is None else to_rate
    resampled = [Resampler(sample_rate, target).step(column, last=True) for column in chosen.T]
    return np.stack(resampled, axis=1) if channel == EACH else resampled[0]


def _as_frames(samples: ArrayLike, sample_rate: float) -> tuple[NDArray[np.floating], bool]:
    """Return samples as float [n, channels] where 1 is full scale, and whether they were 32-bit integers."""
    check_rate(sample_rate, "array")
    if isinstance(samples, (bytes, bytearray, memoryview)):
        raise AudioError(
            "samples as bytes; wanted an array: numpy.frombuffer(data, dtype='<i2') for 16-bit samples, "
            "or pass them to Stream.accept_pcm16"
        )
    try:
        array = np.asarray(samples)
        if array.dtype == object:  # numpy before 1.24 makes this of rows of different lengths
            raise TypeError
    except (TypeError, ValueError):
        raise AudioError(f"samples of type {type(samples).__name__}; wanted numbers [n] or [n, channels]") from None
    if array.dtype.name not in _TYPES:
        raise AudioError(f"samples of dtype {array.dtype}; wanted {', '.join(_TYPES)}; convert them first")
    if array.ndim not in (1, 2) or (array.ndim == 2 and not 1 <= array.shape[1] <= MAX_CHANNELS):
        shape = list(array.shape)
        raise AudioError(
            f"samples of shape {shape}; wanted [n] or [n, channels], at most {MAX_CHANNELS}; transpose them"
        )
    frames = to_float(array[:, None] if array.ndim == 1 else array)
    count = finite_frames(frames)
    if count < len(frames):
        second = count / sample_rate
        raise AudioError(f"samples: NaN or infinity at {second:.3f} s; wanted samples in [-1, 1]; repair the source")
    return frames, array.dtype.name == "int32"


def to_float(samples: NDArray[np.generic]) -> NDArray[np.floating]:
    """Scale integers to [-1, 1], uint8 around 128; return floating point as it is, in this machine's byte order."""
    name = samples.dtype.name
    if name.startswith("float"):
        return samples.astype(name, copy=False)
    rest = np.float32(128.0 if name == "uint8" else 0.0)
    return (samples.astype(np.float32) - rest) / np.float32(2.0 ** (8 * samples.dtype.itemsize - 1))


def finite_frames(frames: NDArray[np.floating]) -> int:
    """Return the number of frames of [n, channels] before the first NaN, infinity, or value beyond any integer."""
    finite = (np.abs(frames) < _INFINITE).all(axis=1)
    return len(frames) if finite.all() else int(np.argmin(finite))
