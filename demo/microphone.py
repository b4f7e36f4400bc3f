"""Microphones, through sounddevice and PortAudio: which there are, and one of them as a live source."""

from __future__ import annotations

import contextlib
import importlib
import os
import queue
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgespeech.demo.live_source import BLOCK_SECONDS, Block
from edgespeech.errors import DeviceError, MissingDependencyError
from edgespeech.runtime.audio import MOST_CHANNELS

RATES = (8000, 16000, 22050, 32000, 44100, 48000, 96000)  # Hz, tried on every microphone
QUEUE_SECONDS = 30.0
DEAD_SECONDS = 5.0  # without a block from an open device
MUTED_SECONDS = 5.0
MUTED_PEAK = 2.0**-15  # one step of 16 bits: a muted microphone gives zeros, or dither
REMARK_SECONDS = 5.0  # between two remarks about lost sound
_POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Microphone:
    """An input device.

    Attributes:
        index: PortAudio's number for it.
        name: As the system calls it.
        host_api: The sound system it is reached through, such as ALSA.
        channels: The most it gives.
        default_rate: Hertz it prefers.
        rates: Those of `RATES` at which it opens; empty if it does not, or if that was not asked.
        is_default: Whether the system's settings choose it.
    """

    index: int
    name: str
    host_api: str
    channels: int
    default_rate: int
    rates: tuple[int, ...] = ()
    is_default: bool = False

    def __str__(self) -> str:
        """A line for a list; the star marks the default."""
        opens = f"opens at {' '.join(map(str, self.rates))} Hz" if self.rates else "does not open"
        channels = "1 channel" if self.channels == 1 else f"{self.channels} channels"
        return f"{'*' if self.is_default else ' '} {self.index:2}  {self.name}  ({self.host_api}, {channels}, {opens})"

    @property
    def channel_counts(self) -> tuple[int, ...]:
        """Channel counts to open it with, best first; some devices give all channels or nothing."""
        return tuple(dict.fromkeys((1, min(self.channels, MOST_CHANNELS))))


def list_microphones() -> list[Microphone]:
    """All input devices, each tried at every rate of `RATES`.

    Raises:
        MissingDependencyError: sounddevice or PortAudio is not installed.
        DeviceError: There is none, or the sound system does not answer.
    """
    portaudio = _portaudio()
    return [replace(found, rates=_rates(portaudio, found)) for found in _inputs(portaudio)]


class MicrophoneSource:
    """A microphone that is open and listening, from here until `close`.

    Args:
        device: Part of a name, an index, or None for the default.
        sample_rate: Hertz to ask for; if the device does not open at it, its own rate is taken and the recognizer's
            stream resamples.

    Raises:
        MissingDependencyError: sounddevice or PortAudio is not installed.
        DeviceError: No such microphone, several that fit, or one that does not open.
    """

    def __init__(self, device: str | int | None = None, sample_rate: int = 16000) -> None:
        """Choose the device, open it and begin to listen."""
        self._portaudio = _portaudio()
        self.microphone = choose_microphone(_inputs(self._portaudio), device)
        self._blocks: queue.Queue[tuple[NDArray[np.float32], float]] = queue.Queue(round(QUEUE_SECONDS / BLOCK_SECONDS))
        self._stopping = self._ended = False
        self.overflows = 0  # times the device lost sound, as it says itself
        self.dropped_blocks = 0  # blocks that found the queue full
        self._silent_samples = 0
        self._samples_heard = 0
        self._losses_told, self._told_at = (0, 0), 0
        self._remarks: list[str] = []
        self._stream, self.sample_rate, self.channels = self._open(sample_rate)

    @property
    def description(self) -> str:
        """Name, rate and channels."""
        channels = "1 channel" if self.channels == 1 else f"the mean of {self.channels} channels"
        return f"listening to {self.microphone.name!r} at {self.sample_rate} Hz, {channels}"

    def __iter__(self) -> Iterator[Block]:
        """Yield blocks until `stop`, or until the device is gone; what was queued by then is still yielded."""
        last_sign = time.monotonic()
        while True:
            if self._stopping:
                self._stream.abort()  # what is queued was said before the stop; what would follow was not
            ending = self._stopping or self._ended
            try:
                samples, arrived = self._blocks.get(timeout=0.0 if ending else _POLL_SECONDS)
            except queue.Empty:
                if ending:
                    break
                if time.monotonic() - last_sign > DEAD_SECONDS:
                    self._remarks.append(f"{self.microphone.name!r} gave no sound for {DEAD_SECONDS:g} s: unplugged?")
                    return
                continue
            last_sign = time.monotonic()
            # Some drivers hand over memory that they have not filled.
            mono = np.nan_to_num(samples, posinf=0.0, neginf=0.0).clip(-1.0, 1.0).mean(axis=1, dtype=np.float32)
            self._look_for_silence(mono)
            self._samples_heard += len(mono)
            yield Block(mono, arrived)
        if not self._stopping:
            self._remarks.append(f"{self.microphone.name!r} stopped: unplugged, or taken by another program?")

    def remarks(self) -> list[str]:
        """Lost sound, silence that looks like a muted microphone, a device that is gone."""
        losses = (self.overflows, self.dropped_blocks)
        patient = 0 < self._told_at > self._samples_heard - REMARK_SECONDS * self.sample_rate
        if losses != self._losses_told and (not patient or self._stopping or self._ended):
            if losses[0] > self._losses_told[0]:
                self._remarks.append(f"the device lost sound (overflows so far: {losses[0]})")
            if losses[1] > self._losses_told[1]:
                seconds = losses[1] * BLOCK_SECONDS
                self._remarks.append(f"recognition is too slow for this sound: {seconds:.1f} s dropped so far")
            self._losses_told, self._told_at = losses, self._samples_heard
        said, self._remarks = self._remarks, []
        return said

    def stop(self) -> None:
        """End after what was said by now."""
        self._stopping = True

    def close(self) -> None:
        """Let go of the device."""
        self._stopping = True
        with contextlib.suppress(self._portaudio.PortAudioError):  # it may be unplugged
            self._stream.close()

    def _heard(self, samples: NDArray[np.float32], frames: int, times: Any, status: Any) -> None:
        # On PortAudio's thread, with the next block already on its way.
        if status.input_overflow:
            self.overflows += 1
        try:
            self._blocks.put_nowait((samples.copy(), time.perf_counter()))
        except queue.Full:
            self.dropped_blocks += 1

    def _finished(self) -> None:
        self._ended = True

    def _open(self, wanted_rate: int) -> tuple[Any, int, int]:
        own = self.microphone.default_rate
        reason = ""
        for rate in dict.fromkeys((wanted_rate, own, *sorted(RATES, reverse=True))):
            for channels in self.microphone.channel_counts:
                try:
                    with _no_native_messages():
                        stream = self._portaudio.InputStream(
                            samplerate=rate,
                            blocksize=round(rate * BLOCK_SECONDS),
                            device=self.microphone.index,
                            channels=channels,
                            dtype="float32",
                            callback=self._heard,
                            finished_callback=self._finished,
                        )
                        stream.start()
                    return stream, rate, channels
                except self._portaudio.PortAudioError as error:
                    reason = reason or _one_line(error)
        raise DeviceError(
            f"microphone {self.microphone.name!r} does not open ({reason}); "
            "close the program that uses it, or choose another with --device"
        )

    def _look_for_silence(self, samples: NDArray[np.float32]) -> None:
        before = self._silent_samples
        loud = bool(len(samples)) and float(np.abs(samples).max()) > MUTED_PEAK
        self._silent_samples = 0 if loud else before + len(samples)
        if before < MUTED_SECONDS * self.sample_rate <= self._silent_samples:
            self._remarks.append("the microphone hears nothing: muted?")


def choose_microphone(microphones: Sequence[Microphone], device: str | int | None = None) -> Microphone:
    """The microphone that a user means.

    Args:
        microphones: Those there are, at least one.
        device: An index, the digits of one, a name, a part of a name (capitals do not matter), or None.

    Raises:
        DeviceError: None or several fit; the message lists what there is.
    """
    if device is None:
        fitting = [found for found in microphones if found.is_default] or list(microphones)
    elif isinstance(device, int) or device.strip().isdecimal():
        fitting = [found for found in microphones if found.index == int(device)]
    else:
        wanted = device.strip().casefold()
        fitting = [found for found in microphones if wanted in found.name.casefold()]
        fitting = [found for found in fitting if wanted == found.name.casefold()] or fitting
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(f"{found.index} {found.name!r} ({found.host_api})" for found in fitting or microphones)
    if device is None:
        raise DeviceError(f"no default microphone; choose one with --device: {listed}")
    what = f"fits {len(fitting)} microphones" if fitting else "fits no microphone"
    raise DeviceError(f"--device {str(device)!r} {what}; choose one by its index: {listed}")


def _portaudio() -> Any:
    try:
        return importlib.import_module("sounddevice")
    except ImportError:
        raise MissingDependencyError(
            "the sounddevice package is not installed, and microphones need it: pip install 'edgespeech[mic]'"
        ) from None
    except OSError:  # sounddevice looks for the library when it is imported
        raise MissingDependencyError(
            "the PortAudio library is not installed, and microphones need it: sudo apt-get install libportaudio2"
        ) from None
    except Exception as error:  # sounddevice.PortAudioError, in a module that did not load
        raise DeviceError(f"the sound system does not start ({_one_line(error)}); see whether it runs") from None


def _inputs(portaudio: Any) -> list[Microphone]:
    try:
        devices, host_apis = portaudio.query_devices(), portaudio.query_hostapis()
        default = portaudio.default.device[0]
    except portaudio.PortAudioError as error:
        raise DeviceError(f"the sound system does not answer ({_one_line(error)}); see whether it runs") from None
    found = [
        Microphone(
            index=index,
            name=" ".join(device["name"].split()),  # some drivers put line breaks into names
            host_api=host_apis[device["hostapi"]]["name"],
            channels=device["max_input_channels"],
            default_rate=round(device["default_samplerate"]),
            is_default=index == default,
        )
        for index, device in enumerate(devices)
        if device["max_input_channels"] > 0
    ]
    if not found:
        raise DeviceError("no microphone found; connect one, and see whether the system's sound settings list it")
    return found


def _rates(portaudio: Any, microphone: Microphone) -> tuple[int, ...]:
    return tuple(rate for rate in RATES if _opens(portaudio, microphone, rate))


def _opens(portaudio: Any, microphone: Microphone, rate: int) -> bool:
    for channels in microphone.channel_counts:
        with contextlib.suppress(portaudio.PortAudioError), _no_native_messages():
            portaudio.check_input_settings(microphone.index, channels, "float32", samplerate=rate)
            return True
    return False


@contextlib.contextmanager
def _no_native_messages() -> Iterator[None]:
    """Keep what PortAudio's and ALSA's C code prints about every rate it refuses off the terminal."""
    try:
        kept = os.dup(2)
    except OSError:  # standard error is closed: nothing can be printed
        yield
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    os.close(nothing)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
