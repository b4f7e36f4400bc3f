"""Frequency, heat, throttling and other load, from recordings and from readings made by hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from edgespeech.demo.machine.sensors import (
    OtherLoad,
    Reading,
    SensorMonitor,
    power_source,
    read_sensors,
    summarise,
    throttle_flags,
)
from tests.demo.machine.recorded_machines import bare_host, host, machine, system_of


def reading(
    mhz: float | None = 3000.0, degrees: float = 50.0, throttled: int | None = 0, slowed: bool | None = None
) -> Reading:
    return Reading(mhz, {"cpu": degrees}, throttled, slowed)


def test_sensors_are_read(tmp_path: Path) -> None:
    laptop = read_sensors(host("laptop", tmp_path / "laptop"))
    assert laptop == Reading(4312.0, {"x86_pkg_temp": 61.0, "coretemp": 61.0, "nvme": 38.9}, 7, None)
    orin = read_sensors(host("orin_nano", tmp_path / "orin"))
    temperatures = {"cpu-thermal": 48.968, "tmp451": 45.25}
    assert orin == Reading(1510.4, temperatures, 12, False), "a sensor that is off reports -256 degrees"
    assert read_sensors(bare_host(tmp_path / "nothing")) == Reading(None, {}, None, None)


def test_a_processor_that_is_slowed_down_is_noticed(tmp_path: Path) -> None:
    orin = host("orin_nano", tmp_path / "orin")
    (orin.root / "sys/class/thermal/cooling_device1/cur_state").write_text("3\n")
    assert read_sensors(orin).slowed, "the kernel cools by slowing the processor"
    (orin.root / "sys/class/thermal/cooling_device1/type").write_text("pwm-fan\n")
    assert read_sensors(orin).slowed is False, "a fan slows nothing"
    assert read_sensors(host("raspberry_pi", tmp_path / "pi")).slowed, "reported by the firmware"


def test_a_raspberry_pi_reports_why_it_is_slow(tmp_path: Path) -> None:
    root = machine("raspberry_pi", tmp_path)
    assert throttle_flags(root, lambda command: None) == ["under-voltage now", "throttled now"]
    (root / "sys/devices/platform/soc/soc:firmware/get_throttled").unlink()
    assert throttle_flags(root, lambda command: None) is None
    assert throttle_flags(root, lambda command: "throttled=0x0\n") == []
    past = ["under-voltage since boot", "throttled since boot"]
    assert throttle_flags(root, lambda command: "throttled=0x50000\n") == past


def test_the_source_of_power_is_known(tmp_path: Path) -> None:
    assert power_source(host("laptop", tmp_path).system) == "battery"
    for plugged in (True, None):  # None: neither charging nor discharging
        assert power_source(system_of({"sensors_battery": {"power_plugged": plugged}})) == "mains"
    assert power_source(system_of({})) is None


def test_an_idle_machine_is_not_noisy() -> None:
    found = summarise([reading()] * 8, OtherLoad(0.02, 0.0), source="mains", flags=None)
    assert (found.noisy, found.notes, found.throttled) == (False, (), False)
    assert (found.mhz_before, found.mhz_after) == (3000.0, 3000.0)
    assert [(one.name, one.before, one.after) for one in found.temperatures] == [("cpu", 50.0, 50.0)]


@pytest.mark.parametrize(
    ("readings", "others", "stolen", "flags", "note"),
    [
        ([reading()] * 4, 0.5, 0.0, None, "other programs kept 0.50 cores busy"),
        ([reading()] * 4, 0.0, 0.1, None, "the hypervisor gave 10% of the time to others"),
        ([reading(3000.0)] * 4 + [reading(2000.0)] * 4, 0.0, 0.0, None, "slowed down from 3000 to 2000 MHz"),
        ([reading(throttled=3)] * 4 + [reading(throttled=5)] * 4, 0.0, 0.0, None, "because of heat or power"),
        ([reading(throttled=None), reading(throttled=None, slowed=True)] * 4, 0.0, 0.0, [], "because of heat or power"),
        ([reading()] * 4, None, None, ["under-voltage now"], "under-voltage now"),
    ],
)
def test_a_noisy_machine_has_a_note_with_the_reason(
    readings: list[Reading], others: float | None, stolen: float | None, flags: list[str] | None, note: str
) -> None:
    found = summarise(readings, OtherLoad(others, stolen), None, flags)
    assert found.noisy and len(found.notes) == 1 and note in found.notes[0]


def test_past_throttling_and_a_battery_are_noted_but_not_noisy() -> None:
    flags = ["throttled since boot"]
    found = summarise([], OtherLoad(None, None), source="battery", flags=flags)
    assert not found.noisy and found.throttled is False
    assert found.notes == ("throttled since boot", "running on battery")


def test_a_monitor_tells_its_own_work_from_that_of_others(tmp_path: Path) -> None:
    laptop = host("laptop", tmp_path)
    library = laptop.system.library
    times = vars(library.cpu_times())
    with SensorMonitor(laptop) as monitor:
        library.cpu_times = lambda: SimpleNamespace(**{**times, "user": times["user"] + 99000.0})
    conditions = monitor.conditions(["a doubt"])
    assert conditions.others_cpu is not None and conditions.others_cpu > 1.0
    assert conditions.noisy and conditions.notes[0] == "a doubt"


def test_without_times_of_the_processor_other_load_is_unknown(tmp_path: Path) -> None:
    with SensorMonitor(bare_host(tmp_path)) as monitor:
        pass
    conditions = monitor.conditions()
    assert (conditions.others_cpu, conditions.stolen, conditions.noisy) == (None, None, False)
