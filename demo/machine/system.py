"""What psutil and NVML report about this machine, as plain values; tests replace the two libraries by recordings."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import psutil


@dataclass(frozen=True)
class CoreFrequency:
    """Frequency of a core or of a group of cores in MHz; limits that the system does not report are None."""

    current: float
    min: float | None
    max: float | None


@dataclass(frozen=True)
class CpuTime:
    """Seconds since boot, summed over all cores: busy, taken by a hypervisor, and in total."""

    busy: float
    stolen: float
    total: float


def is_plausible(degrees: float) -> bool:
    """Tell a temperature in degrees Celsius from what a sensor reports that is switched off: 0, or an absurd value."""
    return degrees != 0.0 and -40.0 < degrees < 200.0


def import_nvml() -> Any:
    """Import NVML's Python module, which is optional (``nvidia-ml-py``)."""
    return import_module("pynvml")


@dataclass(frozen=True)
class System:
    """Reads the machine through psutil and NVML, or recordings of them; unreported facts are None or empty."""

    library: Any = psutil
    nvml: Callable[[], Any] = import_nvml

    def _ask(self, function: str, **arguments: Any) -> Any:
        """Call a function of psutil; None where this system has no such function or it fails."""
        try:
            return getattr(self.library, function)(**arguments)
        except (AttributeError, NotImplementedError, OSError, RuntimeError, ValueError, psutil.Error):
            return None

    def cores(self) -> int:
        """Count all cores of the machine."""
        return self._ask("cpu_count") or os.cpu_count() or 1

    def allowed_cores(self) -> int:
        """Count the cores in the affinity mask of this process; all of them on systems without such a mask."""
        affinity = getattr(self._ask("Process"), "cpu_affinity", None)
        return self.cores() if affinity is None else len(affinity())

    def memory_mb(self) -> float | None:
        """Read the size of the memory in megabytes (1e6 bytes)."""
        memory = self._ask("virtual_memory")
        return None if memory is None else memory.total / 1e6

    def frequencies(self) -> list[CoreFrequency]:
        """Read the frequencies of the cores, or of each group of cores that shares one."""
        found = self._ask("cpu_freq", percpu=True) or []
        return [CoreFrequency(one.current, one.min or None, one.max or None) for one in found if one.current]

    def temperatures(self) -> dict[str, float]:
        """Read the highest temperature of each sensor chip in degrees Celsius."""
        chips = self._ask("sensors_temperatures") or {}
        found = {name: [one.current for one in sensors if is_plausible(one.current)] for name, sensors in chips.items()}
        return {name: max(degrees) for name, degrees in found.items() if degrees}

    def on_battery(self) -> bool | None:
        """Return whether the battery is being discharged; None without a battery."""
        battery = self._ask("sensors_battery")
        return None if battery is None else battery.power_plugged is False

    def cpu_time(self) -> CpuTime | None:
        """Read the CPU time of all programs; None on Windows, which does not count that of finished child processes."""
        times = None if os.name == "nt" else self._ask("cpu_times")
        if times is None:
            return None
        busy = sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq"))
        stolen = getattr(times, "steal", 0.0)
        return CpuTime(busy, stolen, busy + stolen + times.idle + getattr(times, "iowait", 0.0))

    def nvidia_gpus(self) -> list[str] | None:
        """List the NVIDIA GPUs with memory and driver version; None where NVML is missing or reports an error."""
        try:
            nvml = self.nvml()
        except ImportError:
            return None
        try:
            nvml.nvmlInit()
            driver = nvml.nvmlSystemGetDriverVersion()
            found = []
            for index in range(nvml.nvmlDeviceGetCount()):
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
                mebibytes = nvml.nvmlDeviceGetMemoryInfo(handle).total >> 20
                found.append(f"{nvml.nvmlDeviceGetName(handle)} ({mebibytes} MiB, {driver})")
            nvml.nvmlShutdown()
        except nvml.NVMLError:
            return None
        return found
