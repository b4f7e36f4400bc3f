"""A microphone as a live source: opened at its own rate, resampled as a stream, waited for when it is unplugged."""

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
from edgespeech.runtime.audio import Resampler
from edgespeech.runtime.live.microphone import (
    RATES,
    choose_microphone,
    import_portaudio,
    inputs,
    no_native_messages,
    one_line,
    same_microphone,
)
from edgespeech.runtime.live.microphone_clock import ClockWatch
from edgespeech.runtime.live.sources import BLOCK_SECONDS, Block

QUEUE_SECONDS = 30.0
DEAD_SECONDS = 5.0  # without a block from an open device
RETRY_SECONDS = 1.0  # between two looks for a device that is gone
REMARK_SECONDS = 5.0  # between two remarks about lost sound
_POLL_SECONDS = 0.25

_one_at_a_time = threading.RLock()  # PortAudio opens and closes on one thread only
_listening: set[int] = set()  # sources with an open stream


class MicrophoneSource:
    """A microphone that is open and listening, from here until `close`.

    It is opened at the rate it prefers, because drivers convert rates badly or not at all. If it goes away, silence
    takes its place, in real time, until it comes back.

    Args:
        device: Part of a name, an index, or None for the default.
        sample_rate: Hertz of the blocks; the recognizer's.
        rate: Hertz to open the device at; None for its own, or another one that it takes.
        clock: Seconds, rising; the clock that blocks are stamped with.
        sleep: Waits for a number of seconds.

    Raises:
        MissingDependencyError: sounddevice or PortAudio is not installed.
        DeviceError: No such microphone, several that fit, or one that does not open.
    """

    def __init__(
        self,
        device: str | int | None = None,
        sample_rate: int = 16000,
        rate: int | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Choose the device, open it and begin to listen."""
        self._portaudio = import_portaudio()
        self.microphone = choose_microphone(inputs(self._portaudio), device)
        self.sample_rate = sample_rate
        self._clock, self._sleep = clock, sleep
        self._blocks: queue.Queue[tuple[NDArray[np.float32], float]] = queue.Queue(round(QUEUE_SECONDS / BLOCK_SECONDS))
        self._stopping = self._ended = False
        self._overflows = self._dropped_blocks = self._unplugged = 0
        self._clock_watch = ClockWatch()
        self._losses_told, self._told_at = (0, 0), -REMARK_SECONDS
        self._remarks: list[str] = []
        self._stream: Any = None
        self._open(rate)

    @property
    def description(self) -> str:
        """Name, rate and channels."""
        channels = "1 channel" if self.channels == 1 else f"the mean of {self.channels} channels"
        return f"listening to {self.microphone.name!r} at {self.rate} Hz, {channels}"

    @property
    def name(self) -> str:
        """The device's."""
        return self.microphone.name

    def counts(self) -> dict[str, int]:
        """What was lost so far: overflows (as the device says), blocks dropped by us, clock gaps, times unplugged."""
        return {
            "overflows": self._overflows,
            "blocks dropped": self._dropped_blocks,
            "clock gaps": self._clock_watch.gaps,
            "unplugged": self._unplugged,
        }

    def __iter__(self) -> Iterator[Block]:
        """Yield blocks until `stop`; what was queued by then is still yielded."""
        while True:
            yield from self._listen()
            if self._stopping:
                return
            self._unplugged += 1
            yield from self._wait()
            if self._stopping:
                return
            self._remarks.append(f"{self.microphone.name!r} is back")

    def remarks(self) -> list[str]:
        """Lost sound, and a device that is gone or back."""
        losses = (self._overflows, self._dropped_blocks)
        patient = self._clock() < self._told_at + REMARK_SECONDS
        if losses != self._losses_told and (not patient or self._stopping or self._ended):
            if losses[0] > self._losses_told[0]:
                self._remarks.append(f"the device lost sound (overflows so far: {losses[0]})")
            if losses[1] > self._losses_told[1]:
                seconds = losses[1] * BLOCK_SECONDS
                self._remarks.append(f"recognition is too slow for this sound: {seconds:.1f} s dropped so far")
            self._losses_told, self._told_at = losses, self._clock()
        said, self._remarks = self._remarks, []
        return said

    def stop(self) -> None:
        """End after what was said by now."""
        self._stopping = True

    def close(self) -> None:
        """Let go of the device."""
        self._stopping = True
        with _one_at_a_time:
            stream, self._stream = self._stream, None
            _listening.discard(id(self))
            if stream is not None:
                with contextlib.suppress(self._portaudio.PortAudioError):  # it may be unplugged
                    stream.close()

    def _listen(self) -> Iterator[Block]:
        """Blocks until the device is gone or `stop`."""
        last_sign = self._clock()
        while True:
            stopping, ended = self._stopping, self._ended  # before the queue is found empty, not after
            if stopping:
                with contextlib.suppress(self._portaudio.PortAudioError):  # it may be unplugged
                    self._stream.abort()  # what is queued was said before the stop; what would follow was not
            try:
                samples, arrived = self._blocks.get(timeout=0.0 if stopping or ended else _POLL_SECONDS)
            except queue.Empty:
                if stopping:
                    break
                if ended:
                    self._remarks.append(
                        f"{self.name!r} stopped: unplugged, or taken by another program? waiting for it"
                    )
                    break
                if self._clock() - last_sign > DEAD_SECONDS:
                    self._remarks.append(
                        f"{self.name!r} gave no sound for {DEAD_SECONDS:g} s: unplugged? waiting for it"
                    )
                    break
                continue
            last_sign = self._clock()
            if gap := self._clock_watch.step(len(samples) / self.rate, arrived):
                self._remarks.append(f"the device's clock jumped: {gap:.1f} s of sound are missing")
            # Some drivers hand over memory that they have not filled.
            mono = np.nan_to_num(samples, posinf=0.0, neginf=0.0).clip(-1.0, 1.0).mean(axis=1, dtype=np.float32)
            yield Block(self._resampler.step(mono), arrived)
        yield Block(self._resampler.step(np.zeros(0, np.float32), last=True), self._clock())

    def _wait(self) -> Iterator[Block]:
        """Silence, as time passes, until the device is there again or `stop`."""
        lost_at, given, next_look = self._clock(), 0, self._clock()
        while not self._stopping:
            if self._clock() >= next_look:
                if self._reopen():
                    return
                next_look = self._clock() + RETRY_SECONDS
            self._sleep(BLOCK_SECONDS)
            missing = round((self._clock() - lost_at) * self.sample_rate) - given
            given += missing
            yield Block(np.zeros(missing, np.float32), self._clock(), absent=True)

    def _reopen(self) -> bool:
        stopping = self._stopping
        self.close()
        self._stopping = stopping
        with _one_at_a_time, contextlib.suppress(self._portaudio.PortAudioError, DeviceError), no_native_messages():
            if not _listening:  # a fresh start closes all streams, and without it PortAudio sees no new devices
                self._portaudio._terminate()
                self._portaudio._initialize()
            found = same_microphone(inputs(self._portaudio), self.microphone)
            if found is not None:
                self.microphone = found
                self._open(self.rate)
                return True
        return False

    def _heard(self, samples: NDArray[np.float32], frames: int, times: Any, status: Any) -> None:
        # On PortAudio's thread, with the next block already on its way.
        if status.input_overflow:
            self._overflows += 1
        try:
            self._blocks.put_nowait((samples.copy(), self._clock()))
        except queue.Full:
            self._dropped_blocks += 1

    def _finished(self) -> None:
        self._ended = True

    def _open(self, rate: int | None) -> None:
        own = self.microphone.default_rate
        reason = ""
        rates = (own, self.sample_rate, *sorted(RATES, reverse=True)) if rate is None else (rate,)
        self._ended = False
        with _one_at_a_time:
            for hertz, channels in product(dict.fromkeys(rates), self.microphone.channel_counts):
                try:
                    with no_native_messages():
                        stream = self._portaudio.InputStream(
                            samplerate=hertz,
                            blocksize=round(hertz * BLOCK_SECONDS),
                            device=self.microphone.index,
                            channels=channels,
                            dtype="float32",
                            callback=self._heard,
                            finished_callback=self._finished,
                        )
                        stream.start()
                except self._portaudio.PortAudioError as error:
                    reason = reason or one_line(error)
                    continue
                self._stream, self.rate, self.channels = stream, hertz, channels
                self._resampler = Resampler(hertz, self.sample_rate)
                self._clock_watch.begin()
                _listening.add(id(self))
                return
        raise DeviceError(
            f"microphone {self.name!r} does not open{'' if rate is None else f' at {rate} Hz'} ({reason}); "
            "close the program that uses it, or choose another with --device"
        )
