"""A microphone as a live source: opened at its own rate, resampled as a stream, reopened after being unplugged."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import DeviceError
from edgespeech.runtime.audio import EACH, MAX_CHANNELS, MIX, Channel, ChannelResampler, parse_channel
from edgespeech.runtime.live.microphone import (
    RATES,
    choose_microphone,
    find_again,
    import_portaudio,
    input_devices,
    no_native_messages,
)
from edgespeech.runtime.live.microphone_clock import ClockWatch
from edgespeech.runtime.live.sources import BLOCK_SECONDS, Block

QUEUE_SECONDS = 30.0
DEAD_SECONDS = 5.0  # without a block from an open device
RETRY_SECONDS = 1.0  # between two attempts to reopen a device that is gone
QUEUED_SECONDS = 1.0  # of audio at the end of a session from which a message says so
MESSAGE_SECONDS = 5.0  # between two messages about lost audio
_POLL_SECONDS = 0.25

_portaudio_lock = threading.RLock()  # PortAudio opens and closes streams on one thread at a time
_open_sources: set[int] = set()


class MicrophoneSource:
    """A microphone that records from its creation until `close`.

    The device is a part of a name, an index, or None for the default. It is opened at ``rate``, or else at the rate it
    prefers or another that works, because drivers convert rates badly or not at all; blocks have ``sample_rate``. The
    channel is that of `edgespeech.runtime.audio.read`. While the device is unplugged, silence takes its place in real
    time.

    Raises:
        MissingDependencyError: sounddevice or PortAudio is not installed.
        DeviceError: No or several microphones match, or the microphone does not open.
    """

    def __init__(
        self,
        device: str | int | None = None,
        sample_rate: int = 16000,
        rate: int | None = None,
        channel: Channel = MIX,
        *,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._portaudio = import_portaudio()
        self.microphone = choose_microphone(input_devices(self._portaudio), device)
        self.sample_rate, self._channel = sample_rate, parse_channel(channel)
        self._clock, self._sleep = clock, sleep
        self._blocks: queue.Queue[tuple[NDArray[np.float32], float]] = queue.Queue(round(QUEUE_SECONDS / BLOCK_SECONDS))
        self._stopping = self._ended = False
        self._overflows = self._dropped_blocks = self._unplugged = 0
        self._clock_watch = ClockWatch()
        self._reported_losses, self._reported_at = (0, 0), -MESSAGE_SECONDS
        self._messages: list[str] = []
        self._stream: Any = None
        self._open(rate)

    @property
    def description(self) -> str:
        """Name, rate and channels of the device."""
        channels = "1 channel" if self.channels == 1 else f"{self.channels} channels"
        if isinstance(self._channel, int):
            channels = f"channel {self._channel} of {self.channels}"
        elif self._channel == MIX and self.channels > 1:
            channels = f"the mean of {channels}"
        return f"listening to {self.microphone.name!r} at {self.rate} Hz, {channels}"

    @property
    def name(self) -> str:
        """Name of the device in the system."""
        return self.microphone.name

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
            self._messages.append(f"{self.microphone.name!r} is back")

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

    def close(self) -> None:
        """Close the stream and release the device."""
        self._stopping = True
        with _portaudio_lock:
            stream, self._stream = self._stream, None
            _open_sources.discard(id(self))
            if stream is not None:
                with contextlib.suppress(self._portaudio.PortAudioError):  # it may be unplugged
                    stream.close()

    def _read(self) -> Iterator[Block]:
        last_block = self._clock()
        reported = False
        while True:
            stopping, ended = self._stopping, self._ended  # before the queue is found empty, not after
            if stopping:
                with contextlib.suppress(self._portaudio.PortAudioError):  # it may be unplugged
                    self._stream.abort()  # what is queued arrived before the stop; what would follow did not
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
                if self._clock() - last_block > DEAD_SECONDS:
                    self._messages.append(
                        f"{self.name!r} gave no audio for {DEAD_SECONDS:g} s: unplugged? waiting for it"
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
            yield Block(np.zeros(missing, np.float32), self._clock(), absent=True)

    def _reopen(self) -> bool:
        stopping = self._stopping
        self.close()
        self._stopping = stopping
        with _portaudio_lock, contextlib.suppress(self._portaudio.PortAudioError, DeviceError), no_native_messages():
            if not _open_sources:  # a restart closes all streams, and without it PortAudio sees no new devices
                self._portaudio._terminate()
                self._portaudio._initialize()
            found = find_again(input_devices(self._portaudio), self.microphone)
            if found is not None:
                self.microphone = found
                self._open(self.rate)
                return True
        return False

    def _on_block(self, samples: NDArray[np.float32], frames: int, times: Any, status: Any) -> None:
        # On PortAudio's thread, with the next block already on its way.
        if status.input_overflow:
            self._overflows += 1
        try:
            self._blocks.put_nowait((samples.copy(), self._clock()))
        except queue.Full:
            self._dropped_blocks += 1

    def _on_finished(self) -> None:
        self._ended = True

    def _channel_counts(self) -> tuple[int, ...]:
        """Return the channel counts to open the device with, best first."""
        available = min(self.microphone.channels, MAX_CHANNELS)
        if self._channel == MIX:
            return self.microphone.channel_counts
        wanted = available if self._channel == EACH else int(self._channel)
        if wanted > available:
            raise DeviceError(
                f"microphone {self.name!r} has {available} channel{'s' * (available > 1)}; wanted channel {wanted}; "
                "choose another --channel"
            )
        return tuple(dict.fromkeys((wanted, available)))

    def _open(self, rate: int | None) -> None:
        preferred = self.microphone.default_rate
        reason = ""
        rates = (preferred, self.sample_rate, *sorted(RATES, reverse=True)) if rate is None else (rate,)
        self._ended = False
        with _portaudio_lock:
            for hertz, channels in product(dict.fromkeys(rates), self._channel_counts()):
                try:
                    with no_native_messages():
                        stream = self._portaudio.InputStream(
                            samplerate=hertz,
                            blocksize=round(hertz * BLOCK_SECONDS),
                            device=self.microphone.index,
                            channels=channels,
                            dtype="float32",
                            callback=self._on_block,
                            finished_callback=self._on_finished,
                        )
                        stream.start()
                except self._portaudio.PortAudioError as error:
                    reason = reason or str(error)
                    continue
                self._stream, self.rate, self.channels = stream, hertz, channels
                self._resampler = ChannelResampler(self._channel, repr(self.name), hertz, self.sample_rate)
                self._clock_watch.begin()
                _open_sources.add(id(self))
                return
        raise DeviceError(
            f"microphone {self.name!r} does not open{'' if rate is None else f' at {rate} Hz'} ({reason}); "
            "close the program that uses it, or choose another with --device"
        )
