"""What psutil and NVML report becomes plain values; functions that a system lacks report nothing."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgespeech.demo.machine.system import CoreFrequency, System
from tests.demo.machine.recorded_machines import host, recorded, system_of


def test_times_of_the_processor_are_summed(tmp_path: Path) -> None:
    found = host("laptop", tmp_path).system.cpu_time()
    assert found is not None
    assert found.busy == pytest.approx(101.32 + 1.53 + 30.01 + 0.2 + 0.88)
    assert found.stolen == pytest.approx(0.4)
    assert found.total == pytest.approx(found.busy + 0.4 + 468.28 + 1.05)


def test_a_system_without_functions_reports_nothing() -> None:
    nothing = system_of({})
    assert (nothing.memory_mb(), nothing.on_battery(), nothing.cpu_time(), nothing.nvidia_gpus()) == (None,) * 4
    assert (nothing.frequencies(), nothing.temperatures()) == ([], {})
    assert nothing.cores() == nothing.allowed_cores() >= 1


@pytest.mark.parametrize("error", [OSError("no such file"), NotImplementedError(), ValueError("<unsupported>")])
def test_a_function_that_fails_reports_nothing(error: Exception) -> None:
    def fail(**arguments: Any) -> None:
        raise error

    assert System(SimpleNamespace(cpu_freq=fail, virtual_memory=fail)).frequencies() == []


def test_limits_that_are_zero_are_unknown() -> None:
    virtual = system_of({"cpu_freq": [{"current": 2596.1, "min": 0.0, "max": 0.0}]})
    assert virtual.frequencies() == [CoreFrequency(2596.1, None, None)]
    offline = system_of({"cpu_freq": [{"current": 0.0, "min": 0.0, "max": 0.0}]})
    assert offline.frequencies() == []


class _Nvml(SimpleNamespace):
    NVMLError = RuntimeError


def test_gpus_are_listed_by_nvml() -> None:
    nvml = _Nvml(
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlSystemGetDriverVersion=lambda: "550.90.07",
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda handle: f"NVIDIA RTX {handle}",
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(total=(handle + 1) * 4096 * 2**20),
    )
    assert system_of({}, lambda: nvml).nvidia_gpus() == [
        "NVIDIA RTX 0 (4096 MiB, 550.90.07)",
        "NVIDIA RTX 1 (8192 MiB, 550.90.07)",
    ]


def test_nvml_without_a_driver_reports_nothing() -> None:
    def fail() -> None:
        raise RuntimeError("driver not loaded")

    assert system_of({}, lambda: _Nvml(nvmlInit=fail)).nvidia_gpus() is None


def test_this_machine_answers() -> None:
    system = System()
    memory, time = system.memory_mb(), system.cpu_time()
    assert 1 <= system.allowed_cores() <= system.cores()
    assert memory is not None and memory > 100.0
    assert time is not None and 0.0 < time.busy <= time.total
    system.frequencies(), system.temperatures(), system.on_battery(), system.nvidia_gpus()


@pytest.mark.parametrize("name", ["laptop", "orin_nano", "jetson_nano", "raspberry_pi"])
def test_recordings_of_psutil_agree_with_the_recorded_files(name: str) -> None:
    files = recorded(name)
    answers = json.loads(files["psutil"])
    kilobytes = int(files["proc/meminfo"].split()[1])
    assert answers["virtual_memory"]["total"] == kilobytes * 1024
    current = files.get("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
    if current is not None:
        assert answers["cpu_freq"][0]["current"] * 1000.0 == pytest.approx(float(current))
