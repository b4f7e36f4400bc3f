"""Machines described from what they were recorded to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgespeech.demo.machine import device as bench_device
from edgespeech.demo.machine.device import describe_device, find_gpus, usable_cores, versions
from edgespeech.demo.machine.jetson import (
    describe_jetson,
    fullest_power_mode,
    jetpack_of,
    parse_power_mode,
    parse_release,
    parse_tegrastats,
    run_tool,
    whole_rail,
)
from edgespeech.demo.machine.records import Jetson
from tests.demo.machine.recorded_machines import machine, recorded, tools


def test_a_jetson_is_described(tmp_path: Path) -> None:
    device = describe_device(machine("orin_nano", tmp_path), tools("orin_nano"))
    assert device.jetson == Jetson("NVIDIA Jetson Orin Nano Developer Kit", "36.4.3", "6.1 or 6.2", "15W (0)")
    assert device.cpu == "2 x Cortex-A78AE"
    assert (device.mhz_min, device.mhz_max, device.governor) == (115.2, 1510.4, "schedutil")
    assert device.os == "Ubuntu 22.04.5 LTS"
    assert device.memory_mb == pytest.approx(7990.1, abs=0.1)


def test_a_raspberry_pi_and_a_laptop_are_described(tmp_path: Path) -> None:
    pi = describe_device(machine("raspberry_pi", tmp_path / "pi"), tools("raspberry_pi"))
    assert (pi.cpu, pi.board, pi.jetson) == ("4 x Cortex-A76", "Raspberry Pi 5 Model B Rev 1.0", None)
    laptop = describe_device(machine("laptop", tmp_path / "laptop"), tools("laptop"))
    assert laptop.cpu == "12th Gen Intel(R) Core(TM) i7-1260P"
    assert (laptop.mhz_max, laptop.board, laptop.virtual) == (4700.0, "LENOVO 21CBCTO1WW", None)
    assert laptop.gpus == ("Intel GPU 0x46a6",)


def test_a_machine_that_tells_nothing_is_described(tmp_path: Path) -> None:
    device = describe_device(tmp_path, lambda command: None)
    assert device.cpu and device.cores >= 1
    assert (device.memory_mb, device.mhz_max, device.board, device.gpus, device.jetson) == (None, None, None, (), None)


def test_the_limits_of_a_container_count(tmp_path: Path) -> None:
    for path, content in {
        "sys/fs/cgroup/cpu.max": "100000 100000\n",
        "sys/fs/cgroup/memory.max": "536870912\n",
        "proc/meminfo": "MemTotal: 16095060 kB\n",
        ".dockerenv": "",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    device = describe_device(tmp_path, lambda command: None)
    assert (device.cores, device.virtual) == (1, "container")
    assert device.memory_mb == pytest.approx(536.9, abs=0.1)
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text("max 100000\n")
    assert usable_cores(tmp_path) >= 1


def test_gpus_of_nvidia_are_named(tmp_path: Path) -> None:
    def run(command: object) -> str:
        return "NVIDIA GeForce RTX 3050, 4096 MiB, 550.90.07\n"

    assert list(find_gpus(tmp_path, run)) == ["NVIDIA GeForce RTX 3050 (4096 MiB, 550.90.07)"]


@pytest.mark.parametrize(
    ("release", "jetpack"),
    [("32.7.1", "4"), ("35.4.1", "5.1.2"), ("36.3.0", "6.0"), ("36.4.3", "6.1 or 6.2"), ("39.2", "7"), ("99.1", None)],
)
def test_releases_belong_to_jetpacks(release: str, jetpack: str | None) -> None:
    assert jetpack_of(release) == jetpack


def test_an_older_jetson_is_understood(tmp_path: Path) -> None:
    found = describe_jetson(machine("jetson_nano", tmp_path), tools("jetson_nano"))
    assert found == Jetson("NVIDIA Jetson Nano Developer Kit", "32.7.1", "4", "MAXN (0)")


def test_what_is_no_release_and_no_power_mode_is_none() -> None:
    assert parse_release("something else") is None
    assert parse_power_mode("nvpmodel: command not found") is None
    assert parse_power_mode("NV Power Mode: 25W") == "25W"


def test_the_fullest_power_mode_is_not_always_the_first() -> None:
    assert fullest_power_mode(recorded("orin_nano")["etc/nvpmodel.conf"]) == "MAXN_SUPER (2)"
    assert fullest_power_mode("< POWER_MODEL ID=0 NAME=7W >\n< POWER_MODEL ID=1 NAME=15W >") == "15W (1)"
    assert fullest_power_mode("< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=3 NAME=50W >") == "MAXN (0)"
    assert fullest_power_mode("") is None


def test_rails_are_read_from_tegrastats() -> None:
    orin = parse_tegrastats(recorded("orin_nano")["tegrastats"].strip())
    assert orin == {"VDD_IN": 4.836, "VDD_CPU_GPU_CV": 0.522, "VDD_SOC": 1.38}
    nano = parse_tegrastats(recorded("jetson_nano")["tegrastats"].strip())
    assert nano == {"POM_5V_IN": 2.498, "POM_5V_GPU": 0.041, "POM_5V_CPU": 0.533}
    assert [whole_rail(list(rails)) for rails in (orin, nano, {})] == ["VDD_IN", "POM_5V_IN", None]


def test_tools_that_are_missing_or_fail_answer_nothing() -> None:
    assert run_tool(("no-such-tool-of-edgespeech",)) is None
    assert run_tool(("false",)) is None
    assert run_tool(("echo", "hello")) == "hello\n"


def test_versions_name_the_flavour_of_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"onnxruntime-gpu": "1.20.0", "numpy": "2.0.0"}
    monkeypatch.setattr(bench_device, "installed_version", installed.get)
    found = versions()
    assert found["onnxruntime-gpu"] == "1.20.0" and found["numpy"] == "2.0.0"
    assert "onnxruntime" not in found and found["edgespeech"] and found["python"]
