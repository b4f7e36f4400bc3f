"""Energy meters: RAPL, the INA3221 or tegrastats of a Jetson, and a battery that is being discharged."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgespeech.demo.machine.host import read_text
from edgespeech.demo.machine.jetson import main_rail, parse_tegrastats

SECONDS_BETWEEN_READINGS = 0.1


class Meter(Protocol):
    """Measures the energy that the machine uses."""

    source: str

    def joules(self) -> float:
        """Return the joules used since an arbitrary point in time."""

    def close(self) -> None:
        """Stop measuring and free what the meter uses."""


@dataclass(frozen=True)
class _Counter:
    """An energy counter in microjoules that restarts from zero at ``wraps_at``."""

    path: Path
    wraps_at: int


class RaplMeter:
    """Energy of the processor packages of Intel and AMD, and of the memory where it has a counter of its own."""

    source = "RAPL (processor packages)"

    def __init__(self, counters: Sequence[_Counter]) -> None:
        self._counters = counters
        self._last = [_microjoules(counter.path) for counter in counters]
        self._sum = 0.0

    def joules(self) -> float:
        """Return the joules since this meter was opened; call it more often than a counter wraps (minutes)."""
        now = [_microjoules(counter.path) for counter in self._counters]
        for counter, before, after in zip(self._counters, self._last, now, strict=True):
            self._sum += (after - before) % counter.wraps_at
        self._last = now
        return self._sum / 1e6

    def close(self) -> None:
        """Do nothing: the counters need no cleanup."""


class PowerMeter:
    """Integrates the watts of a power sensor, which a thread of its own reads ten times a second."""

    def __init__(self, source: str, watts: Callable[[], float], clock: Callable[[], float] = time.perf_counter) -> None:
        self.source = source
        self._watts, self._clock = watts, clock
        self._lock = threading.Lock()
        self._last = clock(), watts()
        self._sum = 0.0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._ending.wait(SECONDS_BETWEEN_READINGS):
            self.joules()

    def joules(self) -> float:
        """Return the joules since this meter was opened."""
        with self._lock:
            when, watts = self._last
            latest = read_watts(self._watts)
            now = self._clock(), watts if latest is None else latest
            self._sum += (now[0] - when) * (watts + now[1]) / 2.0
            self._last = now
            return self._sum

    def close(self) -> None:
        """Stop the thread that reads the sensor."""
        self._ending.set()
        self._thread.join()


class TegrastatsMeter(PowerMeter):
    """Power of a Jetson whose sensors only ``tegrastats`` may read; the tool runs until `close`.

    The command prints ten lines a second. An OSError is raised if it does not start or prints no power rail.
    """

    def __init__(self, command: Sequence[str] = ("tegrastats", "--interval", "100")) -> None:
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        self._lines = self._process.stdout
        rails = parse_tegrastats(self._lines.readline())
        rail = main_rail(list(rails))
        if rail is None:
            self._end_process()
            raise OSError("no power rail in the output of tegrastats")
        self._rail, self._now = rail, rails[rail]
        self._reader = threading.Thread(target=self._follow, daemon=True)
        self._reader.start()
        super().__init__(f"tegrastats {rail}", lambda: self._now)

    def _follow(self) -> None:
        for line in self._lines:
            self._now = parse_tegrastats(line).get(self._rail, self._now)

    def close(self) -> None:
        """Stop reading and stop the tool."""
        super().close()
        self._process.kill()
        self._reader.join()
        self._end_process()

    def _end_process(self) -> None:
        self._process.kill()
        self._process.wait()
        self._lines.close()


def open_meter(root: Path = Path("/")) -> Meter | None:
    """Open the best sensor that this user may read; None if there is none."""
    rail = find_ina3221(root)
    if rail is not None:
        name, watts = rail
        return PowerMeter(f"INA3221 {name}", watts)
    counters = find_rapl(root)
    if counters:
        return RaplMeter(counters)
    if shutil.which("tegrastats") is not None:
        with suppress(OSError):
            return TegrastatsMeter()
    battery = find_battery(root)
    return None if battery is None else PowerMeter("battery", battery)


def find_rapl(root: Path = Path("/")) -> list[_Counter]:
    """Find the energy counters that this user may read (on many systems only root may)."""
    found = []
    for zone in sorted((root / "sys/class/powercap").glob("intel-rapl:*")):
        package = (read_text(zone / "name") or "").startswith("package") and zone.name.count(":") == 1
        memory = read_text(zone / "name") == "dram"
        top = read_text(zone / "max_energy_range_uj")
        if (package or memory) and top is not None and read_text(zone / "energy_uj") is not None:
            found.append(_Counter(zone / "energy_uj", int(top) + 1))
    return found


def find_unreadable_rapl(root: Path = Path("/")) -> list[Path]:
    """Find the package counters that exist but may not be read by this user."""
    zones = (root / "sys/class/powercap").glob("intel-rapl:[0-9]*")
    return [zone / "energy_uj" for zone in sorted(zones) if (zone / "energy_uj").exists() and
            zone.name.count(":") == 1 and read_text(zone / "energy_uj") is None]  # fmt: skip


def find_ina3221(root: Path = Path("/")) -> tuple[str, Callable[[], float]] | None:
    """Find the rail that supplies a Jetson, and a function that reads its watts (millivolts times milliamperes)."""
    rails: dict[str, Callable[[], float]] = {}
    # JetPack 5 and 6 use the mainline driver (hwmon), JetPack 4 one of NVIDIA's.
    for label in sorted((root / "sys/class/hwmon").glob("hwmon*/in[1-3]_label")):
        channel = label.name[2]
        if read_text(label.parent / "name") == "ina3221":
            rails[read_text(label) or channel] = _product(
                label.parent / f"in{channel}_input", label.parent / f"curr{channel}_input"
            )
    for label in sorted((root / "sys/bus/i2c/drivers/ina3221x").glob("*/iio:device*/rail_name_[0-2]")):
        channel = label.name[-1]
        rails[read_text(label) or channel] = _product(
            label.parent / f"in_voltage{channel}_input", label.parent / f"in_current{channel}_input"
        )
    name = main_rail(list(rails))
    if name is None or read_watts(rails[name]) is None:
        return None
    return name, rails[name]


def find_battery(root: Path = Path("/")) -> Callable[[], float] | None:
    """Return a function that reads the watts drawn from a battery; None unless one is being discharged."""
    for supply in sorted((root / "sys/class/power_supply").glob("*")):
        if read_text(supply / "type") != "Battery" or read_text(supply / "status") != "Discharging":
            continue
        if (supply / "power_now").exists():
            watts = _product(supply / "power_now")
        else:
            watts = _product(supply / "voltage_now", supply / "current_now")
        if read_watts(watts):
            return watts
    return None


def read_watts(watts: Callable[[], float]) -> float | None:
    """Read a power sensor; None if it cannot be read."""
    try:
        return watts()
    except (OSError, ValueError):
        return None


def _microjoules(path: Path) -> int:
    return int(path.read_text())


def _product(*paths: Path) -> Callable[[], float]:
    """Make a function that reads watts from files in uW, in mV and mA, or in uV and uA."""
    scale = 1e-6 if len(paths) == 1 or paths[0].name == "voltage_now" else 1e-3

    def read() -> float:
        watts = 1.0
        for path in paths:
            watts *= abs(float(path.read_text())) * scale
        return watts

    return read
