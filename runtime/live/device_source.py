"""Audio from a device as a live source: a queue, counts of what was lost, and silence while the device is gone."""

from __future__ import annotations

import math
import queue
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from edgespeech.runtime.audio import MIX, Channel, ChannelResampler, parse_channel
from edgespeech.runtime.live.sources import BLOCK_SECONDS, Block

QUEUE_SECONDS = 30.0
DEAD_SECONDS = 5.0  # without a block from an open device
RETRY_SECONDS = 1.0  # between two attempts to reopen a device that is gone
QUEUED_SECONDS = 1.0  # of audio at the end of a session from which a message says so
MESSAGE_SECONDS = 5.0  # between two messages about lost audio
_POLL_SECONDS = 0.25
_GAP_SECONDS = 0.1  # by which audio that is missing moves the arrival of all blocks behind it
_WINDOW_SECONDS = 1.0


class DeviceSource(ABC):
    """A device that records from its creation until `close`; a subclass opens it.

    Blocks have ``sample_rate``, whatever the rate of the device. The channel is that of
    `edgespeech.runtime.audio.read`. While the device is gone, silence takes its place in real time, except for hours in
    which the process did not run.

    Attributes:
        rate, channels: Hertz and number of channels that the device is open with.
    """

    dead_seconds = DEAD_SECONDS
    is_microphone = True

    def __init__(
        self,
        sample_rate: int,
        channel: Channel,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.sample_rate, self._channel = sample_rate, parse_channel(channel)
        self._clock, self._sleep = clock, sleep
        self._blocks: queue.Queue[tuple[NDArray[np.float32], float]] = queue.Queue(round(QUEUE_SECONDS / BLOCK_SECONDS))
        self._stopping = self._ended = False
        self._overflows = self._dropped_blocks = self._unplugged = 0
        self._clock_watch = ClockWatch()
        self._reported_losses, self._reported_at = (0, 0), -MESSAGE_SECONDS
        self._messages: list[str] = []

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the device, which tells sources apart."""

    @property
    @abstractmethod
    def device_seconds(self) -> float:
        """Length of the sound system's buffers, as it states itself."""

    @abstractmethod
    def close(self) -> None:
        """End the source and release the device."""

    @abstractmethod
    def _abort(self) -> None:
        """Let no further blocks arrive; may be called again, and when the device is gone."""

    @abstractmethod
    def _reopen(self) -> bool:
        """Open the device again after it was gone, and return whether that worked."""

    @property
    def description(self) -> str:
        """Name, rate and channels of the device."""
        channels = "1 channel" if self.channels == 1 else f"{self.channels} channels"
        if isinstance(self._channel, int):
            channels = f"channel {self._channel} of {self.channels}"
        elif self._channel == MIX and self.channels > 1:
            channels = f"the mean of {channels}"
        return f"listening to {self.name!r} at {self.rate} Hz, {channels}"

    def counts(self) -> dict[str, int]:
        """Return counts of lost audio: overflows reported by the device, dropped blocks, clock gaps, unpluggings."""
        return {
            "overflows": self._overflows,
            "blocks dropped": self._dropped_blocks,
            "clock gaps": self._clock_watch.gaps,
            "unplugged": self._unplugged,
        }

    def __iter__(self) -> Iterator[Block]:
        while True:
            yield from self._read()
            if self._stopping:
                return
            self._unplugged += 1
            yield from self._wait_for_device()
            if self._stopping:
                return
            self._messages.append(f"{self.name!r} is back")

    def take_messages(self) -> list[str]:
        """Return new messages about lost audio and about a device that is gone or back."""
        losses = (self._overflows, self._dropped_blocks)
        too_soon = self._clock() < self._reported_at + MESSAGE_SECONDS
        if losses != self._reported_losses and (not too_soon or self._stopping or self._ended):
            if losses[0] > self._reported_losses[0]:
                self._messages.append(f"the device lost audio (overflows so far: {losses[0]})")
            if losses[1] > self._reported_losses[1]:
                seconds = losses[1] * BLOCK_SECONDS
                self._messages.append(f"recognition is too slow: {seconds:.1f} s of audio dropped so far")
            self._reported_losses, self._reported_at = losses, self._clock()
        messages, self._messages = self._messages, []
        return messages

    def stop(self) -> None:
        """End after the audio that has arrived by now."""
        self._stopping = True

    def _opened(self, rate: int, channels: int) -> None:
        """Begin to read from a device that has just been opened."""
        self.rate, self.channels = rate, channels
        self._resampler = ChannelResampler(self._channel, repr(self.name), rate, self.sample_rate)
        self._clock_watch.begin()

    def _put(self, samples: NDArray[np.float32]) -> None:
        """Queue a block, [n, channels], on the thread of the device."""
        try:
            self._blocks.put_nowait((samples, self._clock()))
        except queue.Full:
            self._dropped_blocks += 1

    def _read(self) -> Iterator[Block]:
        last_block = self._clock()
        reported = False
        while True:
            stopping, ended = self._stopping, self._ended  # before the queue is found empty, not after
            if stopping:
                self._abort()  # what is queued arrived before the stop; what would follow did not
                queued = self._blocks.qsize() * BLOCK_SECONDS
                if queued > QUEUED_SECONDS and not reported:
                    self._messages.append(
                        f"stopping: {queued:.1f} s of audio are still to be recognised; Ctrl-C again ends at once"
                    )
                reported = True
            try:
                samples, arrived = self._blocks.get(timeout=0.0 if stopping or ended else _POLL_SECONDS)
            except queue.Empty:
                if stopping:
                    break
                if ended:
                    self._messages.append(
                        f"{self.name!r} stopped: unplugged, or taken by another program? waiting for it"
                    )
                    break
                if self._clock() - last_block > self.dead_seconds:
                    self._messages.append(
                        f"{self.name!r} gave no audio for {self.dead_seconds:g} s: unplugged? waiting for it"
                    )
                    break
                continue
            last_block = self._clock()
            if gap := self._clock_watch.step(len(samples) / self.rate, arrived):
                self._messages.append(f"the device's clock jumped: {gap:.1f} s of audio are missing")
            # Some drivers hand over memory that they have not filled.
            resampled = self._resampler.step(np.nan_to_num(samples, posinf=0.0, neginf=0.0))
            yield Block(resampled, arrived, held_seconds=self._resampler.delay_seconds)
        yield Block(self._resampler.step(np.zeros((0, self.channels), np.float32), last=True), self._clock())
        self._messages += self._resampler.messages()

    def _wait_for_device(self) -> Iterator[Block]:
        lost_at, given, next_attempt = self._clock(), 0, self._clock()
        while not self._stopping:
            if self._clock() >= next_attempt:
                if self._reopen():
                    return
                next_attempt = self._clock() + RETRY_SECONDS
            self._sleep(BLOCK_SECONDS)
            missing = round((self._clock() - lost_at) * self.sample_rate) - given
            given += missing
            silence = min(missing, round(QUEUE_SECONDS * self.sample_rate))
            if silence < missing:  # the process was stopped, or the machine suspended
                seconds = (missing - silence) / self.sample_rate
                self._messages.append(f"the clock jumped: {seconds:.1f} s without {self.name!r} are left out")
            yield Block(np.zeros(silence, np.float32), self._clock(), absent=True)


class ClockWatch:
    """Detects that a device skipped audio without reporting it, as after a lost USB packet or a suspended machine.

    A late block is not a gap: the blocks behind it come sooner. So the minimum lateness within each second counts, and
    a gap is a jump of this minimum from one second to the next. A sample clock that is slightly off moves it far less.
    """

    def __init__(self) -> None:
        self.gaps = 0
        self.begin()

    def begin(self) -> None:
        """Start again with a device that was just opened; the gaps so far stay counted."""
        self._received = self._window_end = 0.0
        self._min_lateness, self._previous_min = math.inf, math.inf
        self._began = math.nan

    def step(self, seconds: float, arrived: float) -> float:
        """Return the seconds of audio that are missing, nearly always 0, given a block's length and time of arrival."""
        if math.isnan(self._began):
            self._began, self._window_end = arrived, _WINDOW_SECONDS
        self._min_lateness = min(self._min_lateness, arrived - self._began - self._received)
        self._received += seconds
        if self._received < self._window_end:
            return 0.0
        jump = self._min_lateness - self._previous_min
        self._previous_min, self._min_lateness = self._min_lateness, math.inf
        self._window_end = self._received + _WINDOW_SECONDS
        if jump <= _GAP_SECONDS:
            return 0.0
        self.gaps += 1
        return jump
