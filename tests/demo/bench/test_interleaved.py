"""Configurations that alternate in one process, and worker processes that fail."""

from __future__ import annotations

import shutil

import msgspec
import pytest

from edgespeech.demo.bench.interleaved import InterleavedRun, Spending, measure_interleaved
from edgespeech.demo.bench.plan import Plan, Speech
from edgespeech.demo.bench.worker import in_fresh_process
from edgespeech.errors import VerificationError
from edgespeech.runtime.bundle import Bundle


def plan(bundle: Bundle) -> Plan:
    return Plan(bundle=str(bundle.folder))


def test_all_configurations_process_the_same_passage(tiny_bundle: Bundle, cells_bundle: Bundle, speech: Speech) -> None:
    task = InterleavedRun(plans=[plan(tiny_bundle), plan(cells_bundle)], speech=speech, rounds=3, max_seconds=60.0)
    found = measure_interleaved(task)
    assert found.audio_seconds == pytest.approx(1.5)
    assert [len(times.rounds) for times in found.configurations] == [3, 3]
    assert [[len(chunks) for chunks in times.chunks] for times in found.configurations] == [[int(1.5 / 0.08)] * 3] * 2
    first = found.configurations[0]
    for total, acoustic, decoder in first.rounds:
        assert total >= acoustic + decoder > 0.0
    for total, acoustic, decoder in first.chunks[0]:  # the first ones wait until the level of the speech is known
        assert total >= acoustic + decoder >= 0.0
    assert any(acoustic > 0.0 for _, acoustic, _ in first.chunks[0])
    assert [len(times.cpu) for times in found.configurations] == [3, 3] and min(first.cpu) > 0.0
    hurried = measure_interleaved(msgspec.structs.replace(task, max_seconds=0.0))
    assert [len(times.rounds) for times in hurried.configurations] == [2, 2], "two rounds at least"


def test_a_process_that_dies_is_reported(tiny_bundle: Bundle, speech: Speech, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", shutil.which("false"))
    task = InterleavedRun(plans=[plan(tiny_bundle)], speech=speech, rounds=2, max_seconds=1.0)
    with pytest.raises(VerificationError, match="a measuring process failed: it printed nothing"):
        in_fresh_process(task, dict)


def test_energy_is_counted_above_that_of_the_idle_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    class Meter:
        source = "test"
        now = 0.0

        def joules(self) -> float:
            return self.now

        def close(self) -> None:
            self.now = -1.0

    meter = Meter()
    monkeypatch.setattr("time.sleep", lambda seconds: setattr(meter, "now", meter.now + 2.0 * seconds))
    monkeypatch.setattr("time.perf_counter", lambda: meter.now)  # a second takes 1 J
    spending = Spending(meter)  # 2 W while idle
    assert spending.has_meter and not Spending(None).has_meter
    spending.restart()
    meter.now += 8.0
    assert spending.read()[1] == pytest.approx(8.0 - 2.0 * 8.0)
    spending.close()
    assert meter.now == -1.0
