"""Checks of the microphone: PortAudio, the devices, and a short recording from one of them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import numpy as np

from edgespeech.demo.doctor.imports import find_crash
from edgespeech.demo.doctor.input_quality import Samples, judge_input
from edgespeech.demo.doctor.report import Check, error_and_fix
from edgespeech.errors import DeviceError, MissingDependencyError, UsageError
from edgespeech.runtime.audio import SAMPLE_RATE
from edgespeech.runtime.live.microphone import list_microphones
from edgespeech.runtime.live.microphone_source import MicrophoneSource
from edgespeech.runtime.live.sources import Source

log = logging.getLogger(__name__)

MIC = "mic"  # the part of the installation
MAX_SECONDS = 60.0


@dataclass(frozen=True)
class MicrophoneTrial:
    """Which microphone to record from: part of its name or its index, None for the default; and for how long.

    Raises:
        UsageError: The recording is too short for speech, or too long.
    """

    device: str | None = None
    seconds: float = 5.0

    def __post_init__(self) -> None:
        if not 1.0 <= self.seconds <= MAX_SECONDS:
            raise UsageError(f"--seconds {self.seconds:g}; wanted 1 to {MAX_SECONDS:g} seconds of speech; try 5")

    def open(self) -> Source:
        """Open the microphone, which records from then on."""
        return MicrophoneSource(self.device, SAMPLE_RATE)


def check_sound() -> Iterator[Check]:
    """Check PortAudio, and list the microphones with their sample rates."""
    if find_spec("sounddevice") is None:
        found = "sounddevice is not installed; `live` needs it"
        yield Check("microphone", "missing", found, "pip install 'edgespeech[mic]'", MIC)
        return
    crash = find_crash("sounddevice")
    if crash:
        yield Check("PortAudio", "missing", crash, _install_portaudio(), MIC)
        return
    try:
        import_module("sounddevice")
    except OSError:
        found = "the library is not installed; `live` needs it"
        yield Check("PortAudio", "missing", found, _install_portaudio(), MIC)
        return
    except Exception as error:  # sounddevice.PortAudioError, in a module that did not load
        why = " ".join(str(error).split())
        fix = "check that the system's sound service is running"
        yield Check("PortAudio", "missing", f"does not start: {why}", fix, MIC)
        return
    yield Check("PortAudio", "ok", "loads", part=MIC)
    try:
        microphones = list_microphones()
    except MissingDependencyError as error:
        yield Check("microphones", "missing", str(error), _install_portaudio(), MIC)
        return
    except DeviceError as error:
        fix = "edgespeech live --replay FILE works without one"
        yield Check("microphones", "missing", str(error), fix, MIC)
        return
    for microphone in microphones:
        rates = " ".join(map(str, microphone.rates))
        name = f"{microphone.index} {microphone.name} ({microphone.host_api})"
        if rates:
            yield Check("microphone", "ok", f"{name}: {rates} Hz", part=MIC)
        else:
            fix = "close the program that uses it, or choose another with --device"
            yield Check("microphone", "note", f"{name}: does not open", fix, MIC)


def _install_portaudio() -> str:
    if sys.platform == "darwin":
        return "brew install portaudio"
    return (
        "sudo apt-get install libportaudio2" if sys.platform == "linux" else "pip install --force-reinstall sounddevice"
    )


def check_recording(open_source: Callable[[], Source], seconds: float) -> Iterator[Check]:
    """Record from a source for some seconds, and judge the level, the offset, hum and digital silence."""
    try:
        source = open_source()
    except (DeviceError, MissingDependencyError) as error:
        yield Check("recording", "missing", *error_and_fix(error), MIC)
        return
    log.info("recording %g s: please speak", seconds)
    try:
        samples, absent = _record(source, seconds)
    finally:
        source.close()
    messages = [message for message in source.take_messages() if not absent]
    if absent or not len(samples):
        found = f"{source.name!r} gave no audio"
        yield Check("recording", "missing", found, "plug it in again, or choose another with --device", MIC)
        return
    yield Check("recording", "ok", f"{len(samples) / source.sample_rate:.1f} s, {source.description}", part=MIC)
    yield from (Check("recording", "note", message, part=MIC) for message in messages)
    yield from (Check(*judged, part=MIC) for judged in judge_input(samples, source.sample_rate))


def _record(source: Source, seconds: float) -> tuple[Samples, bool]:
    """Return float32 [n], and whether the device was gone before the end."""
    blocks, count = [np.zeros(0, np.float32)], 0
    for block in source:
        if block.absent:
            source.stop()
            return np.concatenate(blocks), True
        blocks.append(block.samples)
        count += len(block.samples)
        if count >= seconds * source.sample_rate:
            source.stop()
            break
    return np.concatenate(blocks), False
