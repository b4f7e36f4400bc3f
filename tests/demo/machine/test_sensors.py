"""Frequency, heat and neighbours, from recorded files and made-up readings."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgespeech.demo.machine.sensors import (
    Reading,
    Watch,
    judge,
    power_source,
    read_cpu_time,
    read_sensors,
    throttle_flags,
)
from tests.demo.machine.recorded_machines import machine


def reading(
    mhz: float | None = 3000.0, degrees: float = 50.0, throttled: int | None = 0, slowed: bool | None = None
) -> Reading:
    return Reading(mhz, {"cpu": degrees}, throttled, slowed)


def test_sensors_are_read(tmp_path: Path) -> None:
    laptop = read_sensors(machine("laptop", tmp_path / "laptop"))
    assert laptop == Reading(4312.0, {"x86_pkg_temp": 61.0}, 7, None)
    orin = read_sensors(machine("orin_nano", tmp_path / "orin"))
    assert orin == Reading(1510.4, {"cpu-thermal": 48.968}, 12, False), "a sensor that is off says -256 degrees"
    assert read_sensors(tmp_path / "nothing") == Reading(None, {}, None, None)


def test_a_processor_that_is_slowed_down_is_noticed(tmp_path: Path) -> None:
    root = machine("orin_nano", tmp_path / "orin")
    (root / "sys/class/thermal/cooling_device1/cur_state").write_text("3\n")
    assert read_sensors(root).slowed, "the kernel's governor of heat"
    (root / "sys/class/thermal/cooling_device1/type").write_text("pwm-fan\n")
    assert read_sensors(root).slowed is False, "a fan slows nothing"
    assert read_sensors(machine("raspberry_pi", tmp_path / "pi")).slowed, "its firmware says so"


def test_times_of_the_processors_are_read(tmp_path: Path) -> None:
    found = read_cpu_time(machine("laptop", tmp_path))
    assert found is not None
    ticks = found.total / (10132 + 153 + 3001 + 46828 + 105 + 20 + 88 + 40)
    assert found.busy == pytest.approx((10132 + 153 + 3001 + 20 + 88) * ticks)
    assert found.stolen == pytest.approx(40 * ticks)
    assert read_cpu_time(tmp_path / "nothing") is None


def test_a_raspberry_pi_says_why_it_is_slow(tmp_path: Path) -> None:
    root = machine("raspberry_pi", tmp_path)
    assert throttle_flags(root, lambda command: None) == ["under-voltage now", "throttled now"]
    (root / "sys/devices/platform/soc/soc:firmware/get_throttled").unlink()
    assert throttle_flags(root, lambda command: None) is None
    assert throttle_flags(root, lambda command: "throttled=0x0\n") == []
    past = ["under-voltage since it was switched on", "throttled since it was switched on"]
    assert throttle_flags(root, lambda command: "throttled=0x50000\n") == past


def test_the_source_of_power_is_known(tmp_path: Path) -> None:
    root = machine("laptop", tmp_path)
    assert power_source(root) == "battery"
    (root / "sys/class/power_supply/BAT0/status").write_text("Charging\n")
    assert power_source(root) == "mains"
    assert power_source(tmp_path / "nothing") is None


def test_a_calm_machine_is_not_noisy() -> None:
    found = judge([reading()] * 8, others=0.02, stolen=0.0, source="mains", flags=None, remarks=[])
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
def test_a_noisy_machine_says_why(
    readings: list[Reading], others: float | None, stolen: float | None, flags: list[str] | None, note: str
) -> None:
    found = judge(readings, others, stolen, None, flags, [])
    assert found.noisy and len(found.notes) == 1 and note in found.notes[0]


def test_the_past_and_a_battery_are_told_without_alarm() -> None:
    flags = ["throttled since it was switched on"]
    found = judge([], others=None, stolen=None, source="battery", flags=flags, remarks=[])
    assert not found.noisy and found.throttled is False
    assert found.notes == ("throttled since it was switched on", "running on battery")


def test_a_watch_knows_its_own_work_from_that_of_others(tmp_path: Path) -> None:
    root = machine("laptop", tmp_path)
    with Watch(root) as watch:
        busy = (root / "proc/stat").read_text().replace("cpu  10132", "cpu  9910132")
        (root / "proc/stat").write_text(busy)
    conditions = watch.conditions(["a remark"])
    assert conditions.others_cpu is not None and conditions.others_cpu > 1.0
    assert conditions.noisy and conditions.notes[0] == "a remark"
