"""The search of `tune-device`: what it tries and chooses, and what it stores."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from edgespeech.demo.bench.interleaved import ConfigurationTimes, InterleavedFigures, InterleavedRun
from edgespeech.demo.bench.plan import Plan
from edgespeech.demo.tune_device import search
from edgespeech.demo.tune_device.search import Candidate, TuneRequest, tune
from edgespeech.demo.tune_device.settings import recall
from edgespeech.errors import UsageError, VerificationError
from edgespeech.runtime.bundle import Bundle

Command = Callable[..., Any]


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.get_app_dir", lambda name: str(tmp_path / name))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Plan]]:
    """Replace measurements by functions: real-time factor of a plan, word error rate of a beam width."""

    def install(factor: Callable[[Plan], float], errors: Callable[[int], float]) -> list[Plan]:
        tried: list[Plan] = []

        def measure(task: InterleavedRun, kind: object) -> InterleavedFigures:
            tried.extend(task.plans)
            made = [ConfigurationTimes(rounds=[(factor(plan),) * 3], chunks=[[(0.01,) * 3] * 3]) for plan in task.plans]
            return InterleavedFigures(configurations=made, audio_seconds=3.0)

        monkeypatch.setattr(search, "in_fresh_process", measure)
        monkeypatch.setattr(search, "_word_errors", lambda bundle, width, request: errors(width))
        monkeypatch.setattr(search, "usable_cores", lambda: 4)
        return tried

    return install


def run(bundle: Bundle, **settings: Any) -> Any:
    return tune(bundle, TuneRequest(**settings))


def speed(plan: Plan) -> float:
    """Make more threads and longer chunks faster, wider beams slower."""
    assert plan.chunk_ms and plan.beam_width
    return 1.0 / plan.threads + 10.0 / plan.chunk_ms + plan.beam_width / 100.0


def test_the_fastest_within_the_budget_is_stored(tiny_bundle: Bundle, measured: Callable[..., list[Plan]]) -> None:
    tried = measured(speed, lambda width: 0.5 if width >= 32 else 0.6)
    outcome = run(tiny_bundle, max_latency_ms=500.0, max_wer_increase=1.0)
    chosen = outcome.chosen
    assert (chosen.threads, chosen.chunk_ms, chosen.beam_width) == (4, 320.0, 32)
    assert chosen.latency_ms == pytest.approx(320.0 + 120.0 + 10.0)
    assert recall(tiny_bundle) == chosen and (chosen.wer, outcome.reference_wer) == (0.5, 0.5)
    assert {plan.chunk_ms for plan in tried} == {80.0, 160.0, 320.0}, "640 ms would be too late"
    assert {plan.threads for plan in tried} == {1, 2, 4}
    assert "chosen: cpu, 4 threads, chunk 320 ms, beam 32" in outcome.table()
    assert json.loads(json.dumps(outcome.as_dict()))["chosen"]["threads"] == 4


def test_of_equally_fast_settings_fewer_threads_win(tiny_bundle: Bundle, measured: Callable[..., list[Plan]]) -> None:
    measured(lambda plan: 1.0 - 0.01 * plan.threads, lambda width: 0.5)
    assert run(tiny_bundle).chosen.threads == 1


@pytest.mark.parametrize(
    ("cpu", "joules", "threads"),
    [
        (lambda threads: 0.5, None, 4),  # the work is divided
        (lambda threads: 0.5 * threads, None, 1),  # idle threads spin, and speed is paid with CPU time
        (lambda threads: 0.5 * threads, lambda threads: 3.0, 4),  # but the machine uses no more energy
        (lambda threads: 0.5, lambda threads: 3.0 * threads**2, 1),
        (lambda threads: 0.5, lambda threads: 0.0, 4),  # a meter that shows nothing
    ],
)
def test_speed_must_be_worth_its_cpu_time_and_energy(
    cpu: Callable[[int], float], joules: Callable[[int], float] | None, threads: int
) -> None:
    def candidate(threads: int) -> Candidate:
        plan = Plan(bundle="x", threads=threads)
        spent = None if joules is None else joules(threads)
        return Candidate(plan, 0.5 / threads, 100.0, 0.1, cpu(threads), spent)

    assert search._choose([candidate(1), candidate(2), candidate(4)]).plan.threads == threads


def test_another_form_may_win(tiny_bundle: Bundle, cells_bundle: Bundle, measured: Callable[..., list[Plan]]) -> None:
    measured(lambda plan: 0.1 if "cells" in plan.bundle else 1.0, lambda width: 0.5)
    chosen = run(tiny_bundle, also=[cells_bundle.folder]).chosen
    assert chosen.bundle == str(cells_bundle.folder) and chosen.chunk_ms == 80.0
    assert recall(tiny_bundle) == chosen and recall(cells_bundle) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_latency_ms": 100.0}, "no chunk and look-ahead stay within 100 ms"),
        ({"max_latency_ms": 205.0}, "the latency of every configuration exceeds 205 ms (the lowest is 210 ms)"),
        ({"max_wer_increase": -1.0}, "no beam width keeps the word error rate within 49.0%"),
    ],
)
def test_nothing_is_stored_if_nothing_is_within_the_budget(
    tiny_bundle: Bundle, measured: Callable[..., list[Plan]], settings: dict[str, float], message: str
) -> None:
    measured(speed, lambda width: 0.5)
    with pytest.raises(VerificationError) as refused:
        run(tiny_bundle, **settings)
    assert message in str(refused.value) and recall(tiny_bundle) is None


def test_a_fixed_chunk_is_not_changed(cells_bundle: Bundle, measured: Callable[..., list[Plan]]) -> None:
    tried = measured(speed, lambda width: 0.5)
    run(cells_bundle, chunks_ms=[80.0])
    assert {plan.chunk_ms for plan in tried} == {80.0}
    with pytest.raises(UsageError, match="has a fixed chunk of 80 ms"):
        run(cells_bundle, chunks_ms=[160.0])


def test_all_given_providers_are_tried(tiny_bundle: Bundle, measured: Callable[..., list[Plan]]) -> None:
    tried: Sequence[Plan] = measured(lambda plan: 0.1 if plan.provider == "cuda" else 1.0, lambda width: 0.5)
    assert run(tiny_bundle, providers=["cpu", "cuda"], threads=[1]).chosen.provider == "cuda"
    assert {plan.provider for plan in tried} == {"cpu", "cuda"}


@pytest.mark.slow
def test_the_command_measures_stores_and_forgets(edgespeech: Command, tiny_bundle: Bundle) -> None:
    arguments = ["--bundle", tiny_bundle.folder, "--quick", "--chunk-ms", 160, "--beam-width", "4,8", "--threads", 1]
    outcome = edgespeech("tune-device", *arguments, "--max-latency-ms", 60000, "--max-wer-increase", 100, "--json")
    assert outcome.code == 0, outcome.err
    chosen = json.loads(outcome.out)["chosen"]
    assert (chosen["threads"], chosen["chunk_ms"]) == (1, 160.0) and chosen["beam_width"] in {4, 8}
    assert edgespeech("tune-device", "--bundle", tiny_bundle.folder, "--forget").out == "forgotten\n"
    assert edgespeech("tune-device", "--bundle", tiny_bundle.folder, "--forget").out.startswith("nothing was")
