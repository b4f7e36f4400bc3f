"""Microphones, through sounddevice and PortAudio: those that exist, and the one that a user means."""

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
from edgespeech.runtime.audio import MAX_CHANNELS

RATES = (8000, 16000, 22050, 32000, 44100, 48000, 96000)  # Hz, tried on every microphone


@dataclass(frozen=True)
class Microphone:
    """An input device of the system; as text, one line of a list with a star for the default.

    Attributes:
        index: PortAudio's index of the device.
        host_api: Sound system that it belongs to, such as ALSA.
        default_rate: Preferred sample rate in hertz.
        rates: Those of `RATES` at which it opens; empty if it does not open or was not tried.
    """

    index: int
    name: str
    host_api: str
    channels: int
    default_rate: int
    rates: tuple[int, ...] = ()
    is_default: bool = False

    def __str__(self) -> str:
        opens = f"opens at {' '.join(map(str, self.rates))} Hz" if self.rates else "does not open"
        channels = "1 channel" if self.channels == 1 else f"{self.channels} channels"
        return f"{'*' if self.is_default else ' '} {self.index:2}  {self.name}  ({self.host_api}, {channels}, {opens})"

    @property
    def channel_counts(self) -> tuple[int, ...]:
        """Channel counts to try, best first; some devices open with all their channels only."""
        return tuple(dict.fromkeys((1, min(self.channels, MAX_CHANNELS))))


def list_microphones() -> list[Microphone]:
    """List all input devices, each tried at every rate of `RATES`.

    Raises:
        MissingDependencyError: sounddevice or PortAudio is not installed.
        DeviceError: No microphone was found, or the sound system does not answer.
    """
    portaudio = import_portaudio()
    return [replace(found, rates=_rates(portaudio, found)) for found in input_devices(portaudio)]


def choose_microphone(microphones: Sequence[Microphone], device: str | int | None = None) -> Microphone:
    """Choose a microphone by its index, by a part of its name (case does not matter), or the default for None.

    Raises:
        DeviceError: No or several microphones match; the message lists them.
    """
    if device is None:
        matching = [found for found in microphones if found.is_default] or list(microphones)
    elif isinstance(device, int) or device.strip().isdecimal():
        matching = [found for found in microphones if found.index == int(device)]
    else:
        wanted = device.strip().casefold()
        matching = [found for found in microphones if wanted in found.name.casefold()]
        matching = [found for found in matching if wanted == found.name.casefold()] or matching
    if len(matching) == 1:
        return matching[0]
    listed = ", ".join(f"{found.index} {found.name!r} ({found.host_api})" for found in matching or microphones)
    if device is None:
        raise DeviceError(f"no default microphone; choose one with --device: {listed}")
    what = f"matches {len(matching)} microphones" if matching else "matches no microphone"
    raise DeviceError(f"--device {str(device)!r} {what}; choose one by its index: {listed}")


def find_again(microphones: Sequence[Microphone], lost: Microphone) -> Microphone | None:
    """Find a microphone that was unplugged; ALSA may have given it another index."""
    back = [found for found in microphones if _plain_name(found) == _plain_name(lost)]
    return next((found for found in back if found.index == lost.index), back[0] if back else None)


def find_loopback() -> int:
    """Find the index of the device that records what the default output of Windows plays.

    Raises:
        MissingDependencyError: sounddevice or PortAudio is not installed.
        DeviceError: PortAudio has no such device: those in the wheels of sounddevice are too old for it.
    """
    portaudio = import_portaudio()
    loopbacks = [found for found in input_devices(portaudio) if found.name.endswith("[Loopback]")]
    if not loopbacks:
        raise DeviceError(
            f"--device system needs loopback devices, which this PortAudio does not have ({_version(portaudio)}); "
            "enable Stereo Mix in the sound settings or install a virtual cable, and give its name to --device"
        )
    outputs = [api["default_output_device"] for api in portaudio.query_hostapis() if "WASAPI" in api["name"]]
    played = [portaudio.query_devices()[index]["name"] for index in outputs if index >= 0]
    matching = [found for found in loopbacks if any(found.name.startswith(name) for name in played)]
    return (matching or loopbacks)[0].index


def import_portaudio() -> Any:
    """Import sounddevice; raise MissingDependencyError or DeviceError with what to do if that fails."""
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
        raise DeviceError(f"the sound system does not start ({error}); check that it runs") from None


def input_devices(portaudio: Any) -> list[Microphone]:
    """Return the input devices, at least one; raise DeviceError if there is none."""
    try:
        devices, host_apis = portaudio.query_devices(), portaudio.query_hostapis()
        default = portaudio.default.device[0]
    except portaudio.PortAudioError as error:
        raise DeviceError(f"the sound system does not answer ({error}); check that it runs") from None
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
        raise DeviceError("no microphone found; connect one and check that the system's sound settings list it")
    return found


def _version(portaudio: Any) -> str:
    return str(portaudio.get_portaudio_version()[1]).partition(",")[0]


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
    """Discard what the C code of PortAudio and ALSA prints on standard error; Python still prints there."""
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


def _plain_name(microphone: Microphone) -> tuple[str, str]:
    return re.sub(r" \(hw:[^)]*\)$", "", microphone.name), microphone.host_api
