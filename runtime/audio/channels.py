"""Channels: the mean of all, one of them, or each by itself."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import AudioError, UsageError
from edgespeech.runtime.audio.resampler import Resampler

MAX_CHANNELS = 64  # more columns suggest an array [channels, n]
MIX: Literal["mix"] = "mix"
EACH: Literal["each"] = "each"
Channel = int | str

_WINDOW_SECONDS = 1.0
_SOUNDING_POWER = 1e-6  # mean square of a window in which channels are compared: -60 dB
_CANCELLED_POWER = 0.1  # of the sum of the channels' powers, where channels without a relation keep all of it
_UNRELATED = 0.1  # correlation
_COMPARABLE_POWER = 0.003  # of the strongest channel, -25 dB: noise that is weaker costs no words
_JUDGED_SECONDS = 2.0


def parse_channel(text: str | int) -> Channel:
    """Read ``mix``, ``each`` or the number of a channel, counted from 1.

    Raises:
        UsageError: The text is something else.
    """
    if isinstance(text, str) and text in (MIX, EACH):
        return text
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= MAX_CHANNELS:
        raise UsageError(f"channel {text!r}; wanted mix, each, or a number from 1 to {MAX_CHANNELS}")
    return number


class ChannelChooser:
    """Reduces the frames of one source to the channels that are wanted, and watches channels that are mixed.

    Args:
        channel: ``mix``, ``each`` or a number from 1.
        name: What error messages begin with.
        rate: Hz of the frames.

    Raises:
        UsageError: The channel is invalid.
    """

    def __init__(self, channel: Channel, name: str, rate: float) -> None:
        self._channel, self._name = parse_channel(channel), name
        self._watch = _MixWatch(rate)

    def step(self, frames: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return float32 [n, 1], or [n, channels] for ``each``, clipped to [-1, 1].

        Raises:
            AudioError: The channel does not exist.
        """
        count = frames.shape[1]
        if self._channel == EACH:
            return frames.clip(-1.0, 1.0).astype(np.float32)
        if isinstance(self._channel, int):
            if self._channel > count:
                has = "1 channel" if count == 1 else f"{count} channels"
                raise AudioError(f"{self._name} has {has}; wanted channel {self._channel}; choose another --channel")
            return frames[:, self._channel - 1 : self._channel].clip(-1.0, 1.0).astype(np.float32)
        clipped = frames.clip(-1.0, 1.0)
        if count > 1:
            self._watch.step(clipped)
        mono: NDArray[np.float32] = clipped.mean(axis=1, keepdims=True).astype(np.float32)
        return mono

    def messages(self) -> list[str]:
        """Return what to know about the mix of the channels so far; call it at the end."""
        return [f"{self._name}: {message}" for message in self._watch.messages()]


class ChannelResampler:
    """Chooses the channels of one source and converts their sample rate.

    Args:
        channel: ``mix``, ``each`` or a number from 1.
        name: What error messages begin with.
        from_rate: Hz of the frames.
        to_rate: Hz of the result.

    Raises:
        UsageError: The channel is invalid.
        AudioError: A rate is out of range.
    """

    def __init__(self, channel: Channel, name: str, from_rate: float, to_rate: float) -> None:
        self._chooser = ChannelChooser(channel, name, from_rate)
        self._is_each = channel == EACH
        self._rates = from_rate, to_rate
        self._resamplers = [Resampler(*self._rates)]

    @property
    def delay_seconds(self) -> float:
        """Seconds of audio that the filter holds at this moment."""
        return self._resamplers[0].delay_seconds

    def step(self, frames: NDArray[np.floating], last: bool = False) -> NDArray[np.float32]:
        """Convert [n, channels] to the samples that are ready, float32 [m], or [m, channels] for ``each``.

        Raises:
            AudioError: The channel does not exist.
        """
        columns = self._chooser.step(frames).T
        while len(self._resamplers) < len(columns):
            self._resamplers.append(Resampler(*self._rates))
        resampled = [one.step(column, last) for one, column in zip(self._resamplers, columns, strict=True)]
        return np.stack(resampled, axis=1) if self._is_each else resampled[0]

    def messages(self) -> list[str]:
        """Return what to know about the mix of the channels so far; call it at the end."""
        return self._chooser.messages()


class _MixWatch:
    """Compares channels second by second: covariances, with DC offsets removed."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._length = max(1, round(_WINDOW_SECONDS * rate))
        self._products = self._sums = np.zeros(0)
        self._covariance = np.zeros((0, 0))
        self._count = self._sounding = self._cancelled = 0

    def step(self, frames: NDArray[np.floating]) -> None:
        channels = frames.shape[1]
        if self._covariance.shape[0] != channels:
            self._clear(channels)
            self._covariance = np.zeros((channels, channels))
        begin = 0
        while begin < len(frames):
            piece = frames[begin : begin + self._length - self._count].astype(np.float64)
            self._products = self._products + piece.T @ piece
            self._sums = self._sums + piece.sum(axis=0)
            self._count += len(piece)
            begin += len(piece)
            if self._count == self._length:
                self._judge()
                self._clear(channels)

    def messages(self) -> list[str]:
        if self._count > self._length // 2:
            self._judge()
        self._count = 0
        if self._cancelled and self._cancelled >= 0.1 * self._sounding:
            return [
                f"channels cancel each other in {self._cancelled} of {self._sounding} s when they are mixed; "
                "read one of them with --channel 1, or all with --channel each"
            ]
        if self._sounding * _WINDOW_SECONDS >= _JUDGED_SECONDS and self._are_unrelated():
            return [
                "the channels that are mixed have nothing in common; if one is unused, or each has a speaker of its "
                "own, read one with --channel 1 or all with --channel each"
            ]
        return []

    def _clear(self, channels: int) -> None:
        self._products, self._sums, self._count = np.zeros((channels, channels)), np.zeros(channels), 0

    def _judge(self) -> None:
        mean = self._sums / self._count
        covariance = self._products / self._count - np.outer(mean, mean)
        power = float(np.trace(covariance))
        if power < _SOUNDING_POWER * len(mean):
            return
        self._sounding += 1
        self._cancelled += bool(covariance.sum() < _CANCELLED_POWER * power)
        self._covariance = self._covariance + covariance

    def _are_unrelated(self) -> bool:
        powers = np.diag(self._covariance)
        strongest = int(np.argmax(powers))
        comparable = [
            channel
            for channel in range(len(powers))
            if channel != strongest and powers[channel] > _COMPARABLE_POWER * powers[strongest]
        ]
        scale = [np.sqrt(powers[strongest] * powers[channel]) for channel in comparable]
        related = [abs(self._covariance[strongest, one]) / by for one, by in zip(comparable, scale, strict=True)]
        return bool(comparable) and max(related) < _UNRELATED
