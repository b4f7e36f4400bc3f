"""Energy meters on recorded files and simulated sensors."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgespeech.demo.machine import energy
from edgespeech.demo.machine.energy import (
    PowerMeter,
    RaplMeter,
    TegrastatsMeter,
    find_battery,
    find_ina3221,
    find_rapl,
    find_unreadable_rapl,
    open_meter,
)
from edgespeech.demo.machine.host import read_text
from tests.demo.machine.recorded_machines import machine, recorded


def test_rapl_counts_packages_and_their_memory_across_the_wrap(tmp_path: Path) -> None:
    root = machine("laptop", tmp_path)
    counters = find_rapl(root)
    folder = root / "sys/class/powercap"
    assert [counter.path.parent.name for counter in counters] == ["intel-rapl:0", "intel-rapl:0:1"]
    meter = RaplMeter(counters)
    (folder / "intel-rapl:0/energy_uj").write_text("1991149\n")  # wrapped: 8851 to the top, then this
    (folder / "intel-rapl:0:1/energy_uj").write_text("1001000\n")
    assert meter.joules() == pytest.approx(2.0 + 1.0)
    (folder / "intel-rapl:0/energy_uj").write_text("2991149\n")
    assert meter.joules() == pytest.approx(4.0)


def test_counters_that_only_root_may_read_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = machine("laptop", tmp_path)
    monkeypatch.setattr(energy, "read_text", lambda path: None if path.name == "energy_uj" else read_text(path))
    assert find_rapl(root) == []
    assert [path.parent.name for path in find_unreadable_rapl(root)] == ["intel-rapl:0", "intel-rapl:1"]


def test_the_power_of_a_jetson_is_read_with_both_drivers(tmp_path: Path) -> None:
    orin = find_ina3221(machine("orin_nano", tmp_path / "orin"))
    nano = find_ina3221(machine("jetson_nano", tmp_path / "nano"))
    assert orin is not None and nano is not None
    assert (orin[0], nano[0]) == ("VDD_IN", "POM_5V_IN")
    assert [orin[1](), nano[1]()] == pytest.approx([5.072 * 0.952, 5.192 * 0.48])
    assert find_ina3221(tmp_path / "nothing") is None


def test_a_battery_has_watts_only_while_it_is_discharged(tmp_path: Path) -> None:
    root = machine("laptop", tmp_path)
    battery = find_battery(root)
    assert battery is not None and battery() == pytest.approx(15.6 * 0.5)
    supply = root / "sys/class/power_supply/BAT0"
    (supply / "power_now").write_text("9100000\n")
    battery = find_battery(root)
    assert battery is not None and battery() == pytest.approx(9.1)
    (supply / "status").write_text("Full\n")
    assert find_battery(root) is None


def test_power_is_integrated_and_a_failed_reading_is_bridged() -> None:
    now, watts = 0.0, 5.0

    def sensor() -> float:
        if watts < 0.0:
            raise OSError("busy")
        return watts

    meter = PowerMeter("a sensor", sensor, clock=lambda: now)
    meter.close()  # so that only this test reads
    start = meter.joules()
    now = 2.0
    assert meter.joules() - start == pytest.approx(10.0)
    now, watts = 3.0, 15.0
    assert meter.joules() - start == pytest.approx(20.0)
    now, watts = 4.0, -1.0
    assert meter.joules() - start == pytest.approx(35.0)


def test_tegrastats_is_read_until_it_is_closed() -> None:
    line = recorded("orin_nano")["tegrastats"].strip()
    program = f"import time\nfor _ in range(1000): print({line!r}, flush=True); time.sleep(0.01)"
    meter = TegrastatsMeter([sys.executable, "-c", program])
    assert meter.source == "tegrastats VDD_IN"
    assert meter.joules() >= 0.0
    meter.close()


def test_tegrastats_without_rails_raises() -> None:
    with pytest.raises(OSError, match="no power rail"):
        TegrastatsMeter([sys.executable, "-c", "print('RAM 1/2MB')"])


def test_the_best_available_meter_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    sources = []
    for name in ("orin_nano", "laptop", "raspberry_pi"):
        meter = open_meter(machine(name, tmp_path / name))
        sources.append(None if meter is None else meter.source)
        if meter is not None:
            meter.close()
    assert sources == ["INA3221 VDD_IN", "RAPL (processor packages)", None]
