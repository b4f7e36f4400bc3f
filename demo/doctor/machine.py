"""The doctor on the machine: sound, permissions, heat and power."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from edgespeech.demo.doctor.report import Check
from edgespeech.demo.machine.device import describe_device
from edgespeech.demo.machine.energy import locked_rapl
from edgespeech.demo.machine.jetson import Run, fullest_power_mode, read_text, run_tool
from edgespeech.demo.machine.sensors import power_source, read_sensors, throttle_flags
from edgespeech.demo.tune_device.settings import settings_file
from edgespeech.errors import DeviceError, EdgespeechError, MissingDependencyError
from edgespeech.runtime.live.microphone import list_microphones

HOT = 85.0  # degrees Celsius; small boards slow down from there on


def check_sound() -> Iterator[Check]:
    """PortAudio, and the microphones with their rates."""
    if find_spec("sounddevice") is None:
        yield Check(
            "microphone", "missing", "sounddevice is not installed; `live` needs it", "pip install 'edgespeech[mic]'"
        )
        return
    try:
        import_module("sounddevice")
    except OSError:
        yield Check("PortAudio", "broken", "the library is not installed; `live` needs it", _portaudio_mend())
        return
    except Exception as error:  # sounddevice.PortAudioError, in a module that did not load
        why = " ".join(str(error).split())
        yield Check("PortAudio", "broken", f"does not start: {why}", "see whether the system's sound service runs")
        return
    yield Check("PortAudio", "ok", "loads")
    try:
        microphones = list_microphones()
    except MissingDependencyError as error:
        yield Check("microphones", "broken", str(error), _portaudio_mend())
        return
    except (DeviceError, EdgespeechError) as error:
        yield Check("microphones", "missing", str(error), "edgespeech live --replay FILE works without one")
        return
    for microphone in microphones:
        rates = " ".join(map(str, microphone.rates))
        told = f"{microphone.index} {microphone.name} ({microphone.host_api})"
        if rates:
            yield Check("microphone", "ok", f"{told}: {rates} Hz")
        else:
            mend = "close the program that uses it, or choose another with --device"
            yield Check("microphone", "note", f"{told}: does not open", mend)


def _portaudio_mend() -> str:
    if sys.platform == "darwin":
        return "brew install portaudio"
    return (
        "sudo apt-get install libportaudio2" if sys.platform == "linux" else "pip install --force-reinstall sounddevice"
    )


def check_permissions(root: Path = Path("/")) -> Iterator[Check]:
    """Sound devices, the settings' folder, energy counters."""
    captures = sorted((root / "dev/snd").glob("pcmC*c"))
    locked = [path for path in captures if not os.access(path, os.R_OK | os.W_OK)]
    if locked:
        mend = "sudo usermod -aG audio $USER, then log in again"
        yield Check("permissions", "broken", f"{locked[0]} may not be opened by this user; `live` needs it", mend)
    folder = settings_file().parent
    above = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(above, os.W_OK):
        mend = "export XDG_CONFIG_HOME=FOLDER with a folder of yours"
        found = f"{folder} cannot be written or made; `tune-device` remembers nothing"
        yield Check("permissions", "missing", found, mend)
    counters = locked_rapl(root)
    if counters:
        mend = (
            f"sudo chmod a+r {' '.join(map(str, counters))} (until the next start; other users can then watch it too)"
        )
        yield Check("energy", "note", "the RAPL counter is for root only; `bench` shows no joules", mend)


def check_power(root: Path = Path("/"), run: Run = run_tool) -> Iterator[Check]:
    """Temperatures, throttling, governor, power mode, battery, limits of a container."""
    device, reading = describe_device(root, run), read_sensors(root)
    hottest = max(reading.temperatures.items(), key=lambda item: item[1], default=None)
    if hottest is not None:
        name, degrees = hottest
        hot = degrees >= HOT
        mend = "cool it (heat sink, fan, air) before measuring" if hot else ""
        yield Check("heat", "note" if hot else "ok", f"{name} at {degrees:.0f} degrees Celsius", mend)
    flags = throttle_flags(root, run)
    if flags:
        supply = any("voltage" in flag for flag in flags)
        mend = "use the board's own power supply and a short cable" if supply else "cool it (heat sink, fan, air)"
        yield Check("power", "note", ", ".join(flags), mend)
    elif reading.throttle_count:
        found = f"the processor has throttled {reading.throttle_count} times since it was switched on"
        yield Check("heat", "note", found, "cool it (heat sink, fan, air) before measuring; see to its power supply")
    if device.governor in {"powersave", "conservative"} and not _scales_itself(root):
        mend = (
            "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor (until the next start)"
        )
        yield Check("power", "note", f"frequency governor {device.governor}", mend)
    fullest = fullest_power_mode(read_text(root / "etc/nvpmodel.conf") or "")
    if device.jetson is not None and fullest and device.jetson.power_mode not in {None, fullest}:
        number = fullest.rpartition("(")[2].rstrip(")")
        mend = f"sudo nvpmodel -m {number} && sudo jetson_clocks (docs/jetson.md)"
        yield Check("power", "note", f"Jetson power mode {device.jetson.power_mode}; the fullest is {fullest}", mend)
    if power_source(root) == "battery":
        yield Check("power", "note", "running on battery; figures will be lower", "plug it in before measuring")
    if device.cores < device.cores_of_machine:
        yield Check("cores", "note", f"this process may use {device.cores} of {device.cores_of_machine} cores")
    cores = "1 core" if device.cores == 1 else f"{device.cores} cores"
    memory = f", {device.memory_mb / 1e3:.1f} GB" if device.memory_mb else ""
    yield Check("device", "ok", f"{device.board or device.cpu}, {cores}{memory}, {device.os}")


def _scales_itself(root: Path) -> bool:
    """Whether the processor chooses its frequency: its driver calls that ``powersave`` and it is as fast."""
    driver = read_text(root / "sys/devices/system/cpu/cpufreq/policy0/scaling_driver") or ""
    return driver.startswith(("intel_pstate", "amd-pstate-epp", "amd_pstate"))
