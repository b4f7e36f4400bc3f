"""Frequency, temperatures, throttling and the load of other programs, recorded while something else is measured."""

from __future__ import annotations

import os
import re
import statistics
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from edgespeech.demo.machine.host import THIS_HOST, Host, Run, no_tools, read_number, read_text, run_tool
from edgespeech.demo.machine.records import Conditions, Sensor
from edgespeech.demo.machine.system import System, is_plausible

SECONDS_BETWEEN_READINGS = 0.5
# A machine is noisy if other programs keep more than this many cores busy, a hypervisor takes more than this fraction
# of the time, or the frequency falls below this fraction of what it was.
MAX_OTHER_CORES = 0.15
MAX_STOLEN_FRACTION = 0.02
MIN_FREQUENCY_RATIO = 0.95


@dataclass(frozen=True)
class Reading:
    """Values of the sensors at one moment; None where they are not reported.

    Attributes:
        mhz: Frequency of the fastest core.
        throttle_count: Number of times the processor has throttled since boot, because of heat or current.
        slowed: Whether it is throttled now.
    """

    mhz: float | None
    temperatures: dict[str, float]
    throttle_count: int | None
    slowed: bool | None


def read_sensors(host: Host = THIS_HOST) -> Reading:
    """Read frequency, temperatures and throttling."""
    frequencies = [one.current for one in host.system.frequencies()]
    cpu = host.root / "sys/devices/system/cpu"
    counts = _numbers(cpu.glob("cpu[0-9]*/thermal_throttle/core_throttle_count"))
    counts += _numbers((host.root / "sys/class/hwmon").glob("hwmon*/oc[0-9]_event_cnt"))
    return Reading(
        mhz=max(frequencies, default=None),
        temperatures=_temperatures(host),
        throttle_count=round(sum(counts)) if counts else None,
        slowed=_slowed(host.root),
    )


def _temperatures(host: Host) -> dict[str, float]:
    """Combine the thermal zones with the chips of psutil, which reads zones only on machines without chips."""
    found: dict[str, float] = {}
    for zone in sorted((host.root / "sys/class/thermal").glob("thermal_zone*")):
        for degrees in (millidegrees / 1000.0 for millidegrees in _numbers([zone / "temp"])):
            if is_plausible(degrees):
                found[read_text(zone / "type") or zone.name] = degrees
    zones = {name.replace("-", "_") for name in found}
    chips = host.system.temperatures().items()
    return found | {name: degrees for name, degrees in chips if name.replace("-", "_") not in zones}


def _slowed(root: Path) -> bool | None:
    """Check the cooling devices of the kernel that slow processors, and the firmware of a Raspberry Pi."""
    devices = (root / "sys/class/thermal").glob("cooling_device*")
    slowing = [one / "cur_state" for one in devices if re.search("cpufreq|Processor", read_text(one / "type") or "")]
    states = [state > 0.0 for state in _numbers(slowing)]
    flags = throttle_flags(root, no_tools)
    if flags is not None:
        states.append(any(flag.endswith("now") for flag in flags))
    return any(states) if states else None


def throttle_flags(root: Path = Path("/"), run: Run = run_tool) -> list[str] | None:
    """Read the warnings of a Raspberry Pi about its power supply and heat; None on other machines."""
    text = read_text(root / "sys/devices/platform/soc/soc:firmware/get_throttled") or run(("vcgencmd", "get_throttled"))
    found = re.search(r"(?:0x)?([0-9a-fA-F]+)\s*$", text or "")
    if found is None:
        return None
    bits = int(found[1], 16)
    names = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
    now = [name for bit, name in enumerate(names) if bits >> bit & 1]
    before = [name for bit, name in enumerate(names, 16) if bits >> bit & 1 and name not in now]
    return [f"{name} now" for name in now] + [f"{name} since boot" for name in before]


def power_source(system: System = THIS_HOST.system) -> str | None:
    """Return ``mains`` or ``battery``; None on a machine without a battery."""
    on_battery = system.on_battery()
    return None if on_battery is None else "battery" if on_battery else "mains"


class SensorMonitor:
    """Reads the sensors of a host every half second inside a ``with`` block."""

    def __init__(self, host: Host = THIS_HOST) -> None:
        self._host = host
        self._readings: list[Reading] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> SensorMonitor:
        self._cpu_before, self._own_before = self._host.system.cpu_time(), _own_seconds()
        self._began = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ending.set()
        self._thread.join()
        self._cpu_after, self._own_after = self._host.system.cpu_time(), _own_seconds()
        self._elapsed = time.perf_counter() - self._began

    def _watch(self) -> None:
        while not self._ending.wait(SECONDS_BETWEEN_READINGS):
            self._readings.append(read_sensors(self._host))

    def conditions(self, doubts: Sequence[str] = ()) -> Conditions:
        """Summarise the conditions after the block has ended; ``doubts`` are further reasons to distrust them."""
        others = stolen = None
        if self._cpu_before and self._cpu_after and self._elapsed > 0.0:
            busy = self._cpu_after.busy - self._cpu_before.busy
            others = max(0.0, busy - (self._own_after - self._own_before)) / self._elapsed
            passed = self._cpu_after.total - self._cpu_before.total
            stolen = (self._cpu_after.stolen - self._cpu_before.stolen) / passed if passed else None
        load = OtherLoad(others, stolen)
        flags = throttle_flags(self._host.root, self._host.run)
        return summarise(self._readings, load, power_source(self._host.system), flags, doubts)


@dataclass(frozen=True)
class OtherLoad:
    """Cores that other programs kept busy on average, and the fraction of CPU time that a hypervisor took, if known."""

    cores: float | None
    stolen: float | None


def summarise(
    readings: Sequence[Reading],
    load: OtherLoad,
    source: str | None,
    flags: Sequence[str] | None,
    doubts: Sequence[str] = (),
) -> Conditions:
    """Compare the first quarter of the readings with the last, and collect the reasons to distrust the figures."""
    quarter = max(1, len(readings) // 4)
    first, last = readings[:quarter], readings[-quarter:]
    mhz_before, mhz_after = _median_mhz(first), _median_mhz(last)
    throttled = _throttled(readings, flags)
    now = [flag for flag in flags or () if flag.endswith("now")]
    notes = [*doubts, *now]
    if load.cores is not None and load.cores > MAX_OTHER_CORES:
        notes.append(f"other programs kept {load.cores:.2f} cores busy")
    if load.stolen is not None and load.stolen > MAX_STOLEN_FRACTION:
        notes.append(f"the hypervisor gave {load.stolen:.0%} of the time to others")
    if mhz_before and mhz_after and mhz_after < MIN_FREQUENCY_RATIO * mhz_before:
        notes.append(f"the processor slowed down from {mhz_before:.0f} to {mhz_after:.0f} MHz")
    if throttled and not now:
        notes.append("the processor was throttled because of heat or power")
    noisy = bool(notes)
    notes += [flag for flag in flags or () if not flag.endswith("now")]
    if source == "battery":
        notes.append("running on battery")
    names = [name for name in first[0].temperatures if name in last[-1].temperatures] if readings else []
    return Conditions(
        noisy=noisy,
        notes=tuple(notes),
        others_cpu=load.cores,
        stolen=load.stolen,
        mhz_before=mhz_before,
        mhz_after=mhz_after,
        temperatures=tuple(
            Sensor(name=name, before=first[0].temperatures[name], after=last[-1].temperatures[name]) for name in names
        ),
        throttled=throttled,
        power_source=source,
    )


def _throttled(readings: Sequence[Reading], flags: Sequence[str] | None) -> bool | None:
    signs = [reading.slowed for reading in readings if reading.slowed is not None]
    counts = [reading.throttle_count for reading in readings if reading.throttle_count is not None]
    if counts:
        signs.append(counts[-1] > counts[0])
    if flags is not None:
        signs.append(any(flag.endswith("now") for flag in flags))
    return any(signs) if signs else None


def _median_mhz(readings: Sequence[Reading]) -> float | None:
    known = [reading.mhz for reading in readings if reading.mhz is not None]
    return statistics.median(known) if known else None


def _own_seconds() -> float:
    """Return the CPU seconds of this process and of the child processes that it waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _numbers(paths: Iterable[Path]) -> list[float]:
    return [number for path in paths if (number := read_number(path)) is not None]
