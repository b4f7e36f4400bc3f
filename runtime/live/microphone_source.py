"""A microphone as a live source, through PortAudio: opened at its own rate, reopened after being unplugged."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import DeviceError
from edgespeech.runtime.audio import EACH, MAX_CHANNELS, MIX, Channel
from edgespeech.runtime.live.device_source import DeviceSource
from edgespeech.runtime.live.microphone import (
    RATES,
    choose_microphone,
    find_again,
    import_portaudio,
    input_devices,
    no_native_messages,
)
from edgespeech.runtime.live.sources import BLOCK_SECONDS

_portaudio_lock = threading.RLock()  # PortAudio opens and closes streams on one thread at a time
_open_sources: set[int] = set()


class MicrophoneSource(DeviceSource):
    """A microphone that records from its creation until `close`.

    The device is a part of a name, an index, or None for the default. It is opened at ``rate``, or else at the rate it
    prefers or another that works, because drivers convert rates badly or not at all.

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
        super().__init__(sample_rate, channel, clock, sleep)
        self._stream: Any = None
        self._open(rate)

    @property
    def name(self) -> str:
        """Name of the device in the system."""
        return self.microphone.name

    @property
    def device_seconds(self) -> float:
        """Length of the sound system's buffers, as PortAudio states it."""
        return float(self._stream.latency) if self._stream is not None else 0.0

    def close(self) -> None:
        """Close the stream and release the device."""
        self._stopping = True
        with _portaudio_lock:
            stream, self._stream = self._stream, None
            _open_sources.discard(id(self))
            if stream is not None:
                with contextlib.suppress(self._portaudio.PortAudioError):  # it may be unplugged
                    stream.close()

    def _abort(self) -> None:
        with contextlib.suppress(self._portaudio.PortAudioError):  # it may be unplugged
            self._stream.abort()

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
        self._put(samples.copy())

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
                self._stream = stream
                self._opened(hertz, channels)
                _open_sources.add(id(self))
                return
        raise DeviceError(
            f"microphone {self.name!r} does not open{'' if rate is None else f' at {rate} Hz'} ({reason}); "
            "close the program that uses it, or choose another with --device"
        )
