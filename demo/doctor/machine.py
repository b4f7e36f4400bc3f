"""Checks of the machine: sound, permissions, heat and power."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from edgespeech.demo.doctor.imports import find_crash
from edgespeech.demo.doctor.report import Check
from edgespeech.demo.machine.device import describe_device
from edgespeech.demo.machine.energy import find_unreadable_rapl
from edgespeech.demo.machine.host import THIS_HOST, Host, read_text
from edgespeech.demo.machine.instructions import consequence
from edgespeech.demo.machine.jetson import highest_power_mode
from edgespeech.demo.machine.records import Device
from edgespeech.demo.machine.sensors import power_source, read_sensors, throttle_flags
from edgespeech.demo.tune_device.settings import settings_file
from edgespeech.errors import DeviceError, EdgespeechError, MissingDependencyError
from edgespeech.runtime.live.microphone import list_microphones

HOT = 85.0  # degrees Celsius; small boards throttle above


def check_sound() -> Iterator[Check]:
    """Check PortAudio, and list the microphones with their sample rates."""
    if find_spec("sounddevice") is None:
        yield Check(
            "microphone", "missing", "sounddevice is not installed; `live` needs it", "pip install 'edgespeech[mic]'"
        )
        return
    crash = find_crash("sounddevice")
    if crash:
        yield Check("PortAudio", "broken", crash, _install_portaudio())
        return
    try:
        import_module("sounddevice")
    except OSError:
        yield Check("PortAudio", "broken", "the library is not installed; `live` needs it", _install_portaudio())
        return
    except Exception as error:  # sounddevice.PortAudioError, in a module that did not load
        why = " ".join(str(error).split())
        yield Check("PortAudio", "broken", f"does not start: {why}", "check that the system's sound service is running")
        return
    yield Check("PortAudio", "ok", "loads")
    try:
        microphones = list_microphones()
    except MissingDependencyError as error:
        yield Check("microphones", "broken", str(error), _install_portaudio())
        return
    except (DeviceError, EdgespeechError) as error:
        yield Check("microphones", "missing", str(error), "edgespeech live --replay FILE works without one")
        return
    for microphone in microphones:
        rates = " ".join(map(str, microphone.rates))
        name = f"{microphone.index} {microphone.name} ({microphone.host_api})"
        if rates:
            yield Check("microphone", "ok", f"{name}: {rates} Hz")
        else:
            fix = "close the program that uses it, or choose another with --device"
            yield Check("microphone", "note", f"{name}: does not open", fix)


def _install_portaudio() -> str:
    if sys.platform == "darwin":
        return "brew install portaudio"
    return (
        "sudo apt-get install libportaudio2" if sys.platform == "linux" else "pip install --force-reinstall sounddevice"
    )


def check_permissions(root: Path = Path("/")) -> Iterator[Check]:
    """Check access to sound devices, the settings folder and energy counters."""
    captures = sorted((root / "dev/snd").glob("pcmC*c"))
    locked = [path for path in captures if not os.access(path, os.R_OK | os.W_OK)]
    if locked:
        fix = "sudo usermod -aG audio $USER, then log in again"
        yield Check("permissions", "broken", f"{locked[0]} may not be opened by this user; `live` needs it", fix)
    folder = settings_file().parent
    above = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(above, os.W_OK):
        fix = "export XDG_CONFIG_HOME=FOLDER with a folder of yours"
        found = f"{folder} cannot be created or written; `tune-device` cannot store settings"
        yield Check("permissions", "note", found, fix)
    counters = find_unreadable_rapl(root)
    if counters:
        fix = f"sudo chmod a+r {' '.join(map(str, counters))} (until the next boot; other users can then read it too)"
        yield Check("energy", "note", "only root may read the RAPL counter; `bench` shows no joules", fix)


def check_power(host: Host = THIS_HOST) -> Iterator[Check]:
    """Check temperatures, throttling, governor, power mode, battery and the limits of a container."""
    device = describe_device(host)
    yield from _check_heat(host)
    yield from _check_power_mode(host, device)
    if power_source(host.system) == "battery":
        yield Check("power", "note", "running on battery, which lowers the figures", "plug it in before measuring")
    if device.cores < device.cores_of_machine:
        yield Check("cores", "note", f"this process may use {device.cores} of {device.cores_of_machine} cores")
    cores = "1 core" if device.cores == 1 else f"{device.cores} cores"
    memory = f", {device.memory_mb / 1e3:.1f} GB" if device.memory_mb else ""
    yield from _check_instructions(device)
    yield Check("device", "ok", f"{device.board or device.cpu}, {cores}{memory}, {device.os}")


def _check_instructions(device: Device) -> Iterator[Check]:
    found = consequence(device.architecture, device.instructions)
    if found is None:
        return
    listed = ", ".join(device.instructions or ()) or "none for neural networks"
    fix = "edgespeech bench --bundle INT8 --bundle FP32; export makes the second one" if found.compare else ""
    yield Check("instructions", "note" if found.compare else "ok", f"{listed}: {found.text}", fix)


def _check_heat(host: Host) -> Iterator[Check]:
    reading = read_sensors(host)
    hottest = max(reading.temperatures.items(), key=lambda item: item[1], default=None)
    if hottest is not None:
        name, degrees = hottest
        hot = degrees >= HOT
        fix = "cool it (heat sink, fan, air) before measuring" if hot else ""
        yield Check("heat", "note" if hot else "ok", f"{name} at {degrees:.0f} degrees Celsius", fix)
    flags = throttle_flags(host.root, host.run)
    if flags:
        supply = any("voltage" in flag for flag in flags)
        fix = "use the board's own power supply and a short cable" if supply else "cool it (heat sink, fan, air)"
        yield Check("power", "note", ", ".join(flags), fix)
    elif reading.throttle_count:
        found = f"the processor has throttled {reading.throttle_count} times since boot"
        yield Check("heat", "note", found, "cool it (heat sink, fan, air) before measuring; check its power supply")


def _check_power_mode(host: Host, device: Device) -> Iterator[Check]:
    if device.governor in {"powersave", "conservative"} and not _has_own_governor(host.root):
        fix = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor (until the next boot)"
        yield Check("power", "note", f"frequency governor {device.governor}", fix)
    highest = highest_power_mode(read_text(host.root / "etc/nvpmodel.conf") or "")
    if device.jetson is not None and highest and device.jetson.power_mode not in {None, highest}:
        number = highest.rpartition("(")[2].rstrip(")")
        fix = f"sudo nvpmodel -m {number} && sudo jetson_clocks (docs/guide/jetson.md)"
        yield Check("power", "note", f"Jetson power mode {device.jetson.power_mode}; the highest is {highest}", fix)


def _has_own_governor(root: Path) -> bool:
    """Return whether the processor chooses its frequency itself: then the governor ``powersave`` does not slow it."""
    driver = read_text(root / "sys/devices/system/cpu/cpufreq/policy0/scaling_driver") or ""
    return driver.startswith(("intel_pstate", "amd-pstate-epp", "amd_pstate"))
