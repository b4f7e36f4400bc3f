"""Machines described from recordings of their files, tools and psutil."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgespeech.demo.machine import device
from edgespeech.demo.machine.device import describe_device, find_gpus, identify_device, usable_cores, versions
from edgespeech.demo.machine.host import Host, run_tool
from edgespeech.demo.machine.jetson import (
    describe_jetson,
    highest_power_mode,
    jetpack_of,
    main_rail,
    parse_power_mode,
    parse_release,
    parse_tegrastats,
)
from edgespeech.demo.machine.records import Jetson
from tests.demo.machine.recorded_machines import bare_host, host, machine, recorded, system_of, tools


def test_a_jetson_is_described(tmp_path: Path) -> None:
    found = describe_device(host("orin_nano", tmp_path))
    assert found.jetson == Jetson("NVIDIA Jetson Orin Nano Developer Kit", "36.4.3", "6.1 or 6.2", "15W (0)")
    assert found.cpu == "2 x Cortex-A78AE"
    assert (found.mhz_min, found.mhz_max, found.governor) == (115.2, 1510.4, "schedutil")
    assert (found.os, found.cores, found.cores_of_machine) == ("Ubuntu 22.04.5 LTS", 6, 6)
    assert found.memory_mb == pytest.approx(7990.1, abs=0.1)


def test_a_raspberry_pi_and_a_laptop_are_described(tmp_path: Path) -> None:
    pi = describe_device(host("raspberry_pi", tmp_path / "pi"))
    assert (pi.cpu, pi.board, pi.jetson) == ("4 x Cortex-A76", "Raspberry Pi 5 Model B Rev 1.0", None)
    assert (pi.mhz_min, pi.mhz_max, pi.governor) == (1500.0, 2400.0, "ondemand")
    laptop = describe_device(host("laptop", tmp_path / "laptop"))
    assert laptop.cpu == "12th Gen Intel(R) Core(TM) i7-1260P"
    assert (laptop.mhz_min, laptop.mhz_max, laptop.governor) == (400.0, 4700.0, "powersave")
    assert (laptop.board, laptop.virtual, laptop.gpus) == ("LENOVO 21CBCTO1WW", None, ("Intel GPU 0x46a6",))


def test_a_machine_that_reports_nothing_is_described(tmp_path: Path) -> None:
    found = describe_device(bare_host(tmp_path))
    assert found.cpu and found.cores >= 1
    assert (found.memory_mb, found.mhz_max, found.board, found.gpus, found.jetson) == (None, None, None, (), None)


def test_the_limits_of_a_container_count(tmp_path: Path) -> None:
    for path, content in {
        "sys/fs/cgroup/cpu.max": "100000 100000\n",
        "sys/fs/cgroup/memory.max": "536870912\n",
        ".dockerenv": "",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    system = system_of({"cpu_count": 8, "cpu_affinity": 4, "virtual_memory": {"total": 16481341440}})
    container = Host(tmp_path, lambda command: None, system)
    found = describe_device(container)
    assert (found.cores, found.cores_of_machine, found.virtual) == (1, 8, "container")
    assert found.memory_mb == pytest.approx(536.9, abs=0.1)
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text("max 100000\n")
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")
    assert usable_cores(container) == 4
    assert describe_device(container).memory_mb == pytest.approx(16481.3, abs=0.1)


def test_a_machine_is_identified_by_its_board_or_processor_and_its_cores(tmp_path: Path) -> None:
    assert identify_device(host("raspberry_pi", tmp_path / "pi")) == "Raspberry Pi 5 Model B Rev 1.0 4"
    nano = host("jetson_nano", tmp_path / "nano")
    (nano.root / "proc/device-tree/model").unlink()
    (nano.root / "proc/cpuinfo").write_text("model name\t: ARMv8\n")
    assert identify_device(nano) == "ARMv8 4"


def test_nvidia_gpus_are_listed_by_nvidia_smi_without_nvml(tmp_path: Path) -> None:
    def run(command: object) -> str:
        return "NVIDIA GeForce RTX 3050, 4096 MiB, 550.90.07\n"

    laptop = host("laptop", tmp_path)
    assert list(find_gpus(replace(laptop, run=run))) == [
        "NVIDIA GeForce RTX 3050 (4096 MiB, 550.90.07)",
        "Intel GPU 0x46a6",
    ]
    assert list(find_gpus(laptop)) == ["Intel GPU 0x46a6"]


@pytest.mark.parametrize(
    ("release", "jetpack"),
    [
        ("32.7.1", "4"),
        ("35.4.1", "5.1.2"),
        ("36.3.0", "6.0"),
        ("36.4.3", "6.1 or 6.2"),
        ("38.2.1", "7.0"),
        ("39.2", "7.2"),
        ("39.9", "7"),
        ("99.1", None),
    ],
)
def test_releases_belong_to_jetpacks(release: str, jetpack: str | None) -> None:
    assert jetpack_of(release) == jetpack


def test_an_older_jetson_is_described(tmp_path: Path) -> None:
    found = describe_jetson(machine("jetson_nano", tmp_path), tools("jetson_nano"))
    assert found == Jetson("NVIDIA Jetson Nano Developer Kit", "32.7.1", "4", "MAXN (0)")


def test_other_text_has_neither_release_nor_power_mode() -> None:
    assert parse_release("something else") is None
    assert parse_power_mode("nvpmodel: command not found") is None
    assert parse_power_mode("NV Power Mode: 25W") == "25W"


def test_the_highest_power_mode_is_not_always_the_first() -> None:
    assert highest_power_mode(recorded("orin_nano")["etc/nvpmodel.conf"]) == "MAXN_SUPER (2)"
    assert highest_power_mode("< POWER_MODEL ID=0 NAME=7W >\n< POWER_MODEL ID=1 NAME=15W >") == "15W (1)"
    assert highest_power_mode("< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=3 NAME=50W >") == "MAXN (0)"
    assert highest_power_mode("") is None


def test_rails_are_read_from_tegrastats() -> None:
    orin = parse_tegrastats(recorded("orin_nano")["tegrastats"].strip())
    assert orin == {"VDD_IN": 4.836, "VDD_CPU_GPU_CV": 0.522, "VDD_SOC": 1.38}
    nano = parse_tegrastats(recorded("jetson_nano")["tegrastats"].strip())
    assert nano == {"POM_5V_IN": 2.498, "POM_5V_GPU": 0.041, "POM_5V_CPU": 0.533}
    assert [main_rail(list(rails)) for rails in (orin, nano, {})] == ["VDD_IN", "POM_5V_IN", None]


def test_tools_that_are_missing_or_fail_return_none() -> None:
    assert run_tool(("no-such-tool-of-edgespeech",)) is None
    assert run_tool(("false",)) is None
    assert run_tool(("echo", "hello")) == "hello\n"


def test_versions_name_the_flavour_of_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"onnxruntime-gpu": "1.20.0", "numpy": "2.0.0"}
    monkeypatch.setattr(device, "installed_version", installed.get)
    found = versions()
    assert found["onnxruntime-gpu"] == "1.20.0" and found["numpy"] == "2.0.0"
    assert "onnxruntime" not in found and found["edgespeech"] and found["python"]
