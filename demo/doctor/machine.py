"""Checks of the machine: permissions, heat and power."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from edgespeech.demo.doctor.report import Check
from edgespeech.demo.machine.device import describe_device
from edgespeech.demo.machine.energy import find_unreadable_rapl
from edgespeech.demo.machine.host import THIS_HOST, Host, read_text
from edgespeech.demo.machine.instructions import consequence
from edgespeech.demo.machine.jetson import highest_power_mode
from edgespeech.demo.machine.records import Device
from edgespeech.demo.machine.sensors import power_source, read_sensors, throttle_flags
from edgespeech.demo.tune_device.settings import settings_file

HOT = 85.0  # degrees Celsius; small boards throttle above


def check_permissions(root: Path = Path("/")) -> Iterator[Check]:
    """Check access to sound devices, the settings folder and energy counters."""
    captures = sorted((root / "dev/snd").glob("pcmC*c"))
    locked = [path for path in captures if not os.access(path, os.R_OK | os.W_OK)]
    if locked:
        fix = "sudo usermod -aG audio $USER, then log in again"
        found = f"{locked[0]} may not be opened by this user; microphones then need a sound server"
        yield Check("permissions", "note", found, fix, "mic")
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
