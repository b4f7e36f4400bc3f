"""Frequency, temperatures, throttling and what other programs take, watched while something else is measured."""

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

from edgespeech.demo.machine.jetson import Run, read_text, run_tool
from edgespeech.demo.machine.records import Conditions, Sensor

SECONDS_BETWEEN_READINGS = 0.5
# More than this of a core for other programs, or of the time for other virtual machines, is a noisy machine.
BUSY_CORES = 0.15
STOLEN_SHARE = 0.02
SLOWER = 0.95
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True)
class Reading:
    """What the sensors say at one moment.

    Attributes:
        mhz: Of the fastest core now; None where it is not told.
        temperatures: Degrees Celsius by sensor.
        throttle_count: How often the processor has slowed down since it was switched on, for heat or current.
        slowed: Whether it is being slowed down now.
    """

    mhz: float | None
    temperatures: dict[str, float]
    throttle_count: int | None
    slowed: bool | None


@dataclass(frozen=True)
class CpuTime:
    """Seconds since the machine was switched on, summed over its cores: busy, stolen by a hypervisor, and all."""

    busy: float
    stolen: float
    total: float


def read_sensors(root: Path = Path("/")) -> Reading:
    """Read frequency, temperatures and throttling."""
    cpu = root / "sys/devices/system/cpu"
    frequencies = _numbers(cpu.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
    counts = _numbers(cpu.glob("cpu[0-9]*/thermal_throttle/core_throttle_count"))
    counts += _numbers((root / "sys/class/hwmon").glob("hwmon*/oc[0-9]_event_cnt"))
    temperatures: dict[str, float] = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        name = read_text(zone / "type") or zone.name
        for value in _numbers([zone / "temp"]):
            if -40_000 < value < 200_000 and value:  # sensors that are switched off say 0, or nonsense
                temperatures[name] = value / 1000.0
    return Reading(
        mhz=max(frequencies) / 1000.0 if frequencies else None,
        temperatures=temperatures,
        throttle_count=round(sum(counts)) if counts else None,
        slowed=_slowed(root),
    )


def _slowed(root: Path) -> bool | None:
    """What the kernel does against heat by slowing processors, and what a Raspberry Pi's firmware says."""
    devices = (root / "sys/class/thermal").glob("cooling_device*")
    slowing = [one / "cur_state" for one in devices if re.search("cpufreq|Processor", read_text(one / "type") or "")]
    told = [state > 0.0 for state in _numbers(slowing)]
    flags = throttle_flags(root, lambda command: None)
    if flags is not None:
        told.append(any(flag.endswith("now") for flag in flags))
    return any(told) if told else None


def read_cpu_time(root: Path = Path("/")) -> CpuTime | None:
    """The first line of /proc/stat; None elsewhere than on Linux."""
    text = read_text(root / "proc/stat")
    found = re.match(r"cpu +((?:\d+ ?)+)", text or "")
    if found is None:
        return None
    fields = [int(field) / _TICKS for field in found[1].split()][:8]
    user, nice, system, idle, waiting, *rest = fields
    interrupts, stolen = sum(rest[:2]), sum(rest[2:3])
    busy = user + nice + system + interrupts
    return CpuTime(busy, stolen, busy + stolen + idle + waiting)


def throttle_flags(root: Path = Path("/"), run: Run = run_tool) -> list[str] | None:
    """What a Raspberry Pi says of its supply and its heat; None elsewhere, empty when all is well."""
    text = read_text(root / "sys/devices/platform/soc/soc:firmware/get_throttled") or run(("vcgencmd", "get_throttled"))
    found = re.search(r"(?:0x)?([0-9a-fA-F]+)\s*$", text or "")
    if found is None:
        return None
    bits = int(found[1], 16)
    names = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
    now = [f"{name} now" for bit, name in enumerate(names) if bits >> bit & 1]
    before = [f"{name} since it was switched on" for bit, name in enumerate(names, 16) if bits >> bit & 1]
    return now + [told for told in before if told.replace("since it was switched on", "now") not in now]


def power_source(root: Path = Path("/")) -> str | None:
    """``mains`` or ``battery``; None where there is no battery or it is not told."""
    supplies = sorted((root / "sys/class/power_supply").glob("*"))
    batteries = [read_text(one / "status") for one in supplies if read_text(one / "type") == "Battery"]
    if not batteries:
        return None
    return "battery" if "Discharging" in batteries else "mains"


class Watch:
    """Reads the sensors every half second while the block runs.

    Args:
        root: Of the file system.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        """Nothing is read yet."""
        self._root = root
        self._readings: list[Reading] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watch:
        """Begin."""
        self._cpu_before, self._own_before = read_cpu_time(self._root), _own_seconds()
        self._began = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End."""
        self._ending.set()
        self._thread.join()
        self._cpu_after, self._own_after = read_cpu_time(self._root), _own_seconds()
        self._elapsed = time.perf_counter() - self._began

    def _watch(self) -> None:
        while not self._ending.wait(SECONDS_BETWEEN_READINGS):
            self._readings.append(read_sensors(self._root))

    def conditions(self, remarks: Sequence[str] = ()) -> Conditions:
        """How it went, once the block has ended.

        Args:
            remarks: Further reasons to distrust the figures.
        """
        others = stolen = None
        if self._cpu_before and self._cpu_after and self._elapsed > 0.0:
            busy = self._cpu_after.busy - self._cpu_before.busy
            others = max(0.0, busy - (self._own_after - self._own_before)) / self._elapsed
            passed = self._cpu_after.total - self._cpu_before.total
            stolen = (self._cpu_after.stolen - self._cpu_before.stolen) / passed if passed else None
        return judge(self._readings, others, stolen, power_source(self._root), throttle_flags(self._root), remarks)


def judge(
    readings: Sequence[Reading],
    others: float | None,
    stolen: float | None,
    source: str | None,
    flags: Sequence[str] | None,
    remarks: Sequence[str],
) -> Conditions:
    """Sum up the readings: the first quarter of them against the last.

    Args:
        readings: While measuring, in order.
        others: Cores that other programs kept busy.
        stolen: Share of the time that other virtual machines had.
        source: From `power_source`.
        flags: From `throttle_flags`.
        remarks: Further reasons to distrust the figures.
    """
    notes = list(remarks)
    quarter = max(1, len(readings) // 4)
    first, last = readings[:quarter], readings[-quarter:]
    mhz_before, mhz_after = _median_mhz(first), _median_mhz(last)
    counts = [reading.throttle_count for reading in readings if reading.throttle_count is not None]
    slowed = [reading.slowed for reading in readings if reading.slowed is not None]
    throttled = any([*slowed, counts[-1] > counts[0] if counts else False]) if counts or slowed else None
    now = [flag for flag in flags or () if flag.endswith("now")]
    if flags is not None:
        throttled = bool(now or throttled)
        notes += now
    if others is not None and others > BUSY_CORES:
        notes.append(f"other programs kept {others:.2f} cores busy")
    if stolen is not None and stolen > STOLEN_SHARE:
        notes.append(f"the hypervisor gave {stolen:.0%} of the time to others")
    if mhz_before and mhz_after and mhz_after < SLOWER * mhz_before:
        notes.append(f"the processor slowed down from {mhz_before:.0f} to {mhz_after:.0f} MHz")
    if throttled and not now:
        notes.append("the processor was slowed down because of heat or power")
    noisy = bool(notes)
    notes += [flag for flag in flags or () if not flag.endswith("now")]
    if source == "battery":
        notes.append("running on battery")
    names = [name for name in first[0].temperatures if name in last[-1].temperatures] if readings else []
    return Conditions(
        noisy=noisy,
        notes=tuple(notes),
        others_cpu=others,
        stolen=stolen,
        mhz_before=mhz_before,
        mhz_after=mhz_after,
        temperatures=tuple(
            Sensor(name=name, before=first[0].temperatures[name], after=last[-1].temperatures[name]) for name in names
        ),
        throttled=throttled,
        power_source=source,
    )


def _median_mhz(readings: Sequence[Reading]) -> float | None:
    told = [reading.mhz for reading in readings if reading.mhz is not None]
    return statistics.median(told) if told else None


def _own_seconds() -> float:
    """CPU seconds of this process and of those it started and waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _numbers(paths: Iterable[Path]) -> list[float]:
    found = []
    for path in paths:
        try:
            found.append(float(read_text(path) or ""))
        except ValueError:
            continue
    return found
