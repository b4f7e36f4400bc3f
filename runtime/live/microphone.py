"""Microphones, through sounddevice and PortAudio: which there are, and which one is meant. Nothing is heard here."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgespeech.errors import DeviceError, MissingDependencyError
from edgespeech.runtime.audio import MOST_CHANNELS

RATES = (8000, 16000, 22050, 32000, 44100, 48000, 96000)  # Hz, tried on every microphone


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
    portaudio = import_portaudio()
    return [replace(found, rates=_rates(portaudio, found)) for found in inputs(portaudio)]


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


def same_microphone(microphones: Sequence[Microphone], lost: Microphone) -> Microphone | None:
    """The microphone that was lost, if it is back; ALSA may have given it another number."""
    back = [found for found in microphones if _plain_name(found) == _plain_name(lost)]
    return next((found for found in back if found.index == lost.index), back[0] if back else None)


def import_portaudio() -> Any:
    """The sounddevice module; MissingDependencyError or DeviceError says what to do without it."""
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
        raise DeviceError(f"the sound system does not start ({one_line(error)}); see whether it runs") from None


def inputs(portaudio: Any) -> list[Microphone]:
    """The input devices, at least one, or DeviceError."""
    try:
        devices, host_apis = portaudio.query_devices(), portaudio.query_hostapis()
        default = portaudio.default.device[0]
    except portaudio.PortAudioError as error:
        raise DeviceError(f"the sound system does not answer ({one_line(error)}); see whether it runs") from None
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
        with contextlib.suppress(portaudio.PortAudioError), no_native_messages():
            portaudio.check_input_settings(microphone.index, channels, "float32", samplerate=rate)
            return True
    return False


@contextlib.contextmanager
def no_native_messages() -> Iterator[None]:
    """Keep what PortAudio's and ALSA's C code prints off the terminal; what Python prints goes there as before."""
    try:
        kept = os.dup(2)
    except OSError:  # standard error is closed: nothing can be printed
        yield
        return
    ours, nothing = sys.stderr, os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    os.close(nothing)
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if ours.fileno() == 2:
            sys.stderr = open(kept, "w", encoding=ours.encoding, errors="backslashreplace", buffering=1, closefd=False)
    try:
        yield
    finally:
        sys.stderr = ours
        os.dup2(kept, 2)
        os.close(kept)


def one_line(error: Exception) -> str:
    """The message of a foreign error without its line breaks."""
    return " ".join(str(error).split())


def _plain_name(microphone: Microphone) -> tuple[str, str]:
    return re.sub(r" \(hw:[^)]*\)$", "", microphone.name), microphone.host_api
