"""One configuration in a process of its own, with and without an energy meter."""

from __future__ import annotations

import pytest

from edgespeech.demo.bench import isolated
from edgespeech.demo.bench.isolated import IsolatedRun, measure_isolated
from edgespeech.demo.bench.plan import Plan, Speech
from edgespeech.runtime.bundle import Bundle


class _Meter:
    """Counts one joule each time that it is read."""

    source = "a sensor"

    def __init__(self) -> None:
        self.read, self.closed = 0.0, False

    def joules(self) -> float:
        self.read += 1.0
        return self.read

    def close(self) -> None:
        self.closed = True


def task(bundle: Bundle, speech: Speech) -> IsolatedRun:
    return IsolatedRun(plan=Plan(bundle=str(bundle.folder)), speech=speech, busy_seconds=0.01, accuracy=None)


def test_a_configuration_is_described_and_measured(
    tiny_bundle: Bundle, speech: Speech, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolated, "open_meter", lambda: None)
    found = measure_isolated(task(tiny_bundle, speech))
    assert (found.configuration.precision, found.configuration.chunk_ms) == ("fp32", 80.0)
    assert found.configuration.beam_width == tiny_bundle.manifest.decoder.beam_width
    assert min(found.cold, found.warm, found.cpu_per_audio, found.cores_busy) > 0.0
    assert len(found.final_on_stop) == 1 and found.energy is None and found.accuracy is None
    assert found.memory.peak.median >= found.memory.steady.median


def test_energy_is_measured_while_busy_and_idle(
    tiny_bundle: Bundle, speech: Speech, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = _Meter()
    monkeypatch.setattr(isolated, "open_meter", lambda: meter)
    monkeypatch.setattr(isolated, "IDLE_SECONDS", 0.02)
    energy = measure_isolated(task(tiny_bundle, speech)).energy
    assert energy is not None and energy.source == "a sensor" and meter.closed
    assert 0.0 < energy.idle_watts.median < 50.0
    difference = energy.joules_per_second_of_audio.median - energy.above_idle.median
    ratio = energy.watts.median / energy.joules_per_second_of_audio.median
    assert difference * ratio == pytest.approx(energy.idle_watts.median)
