"""The search of `tune-device`: what it tries and chooses, and what it stores."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from edgespeech.demo.bench.interleaved import ConfigurationTimes, InterleavedFigures, InterleavedRun
from edgespeech.demo.bench.plan import Plan, Speech
from edgespeech.demo.tune_device import search
from edgespeech.demo.tune_device.durations import Durations, estimate_durations
from edgespeech.demo.tune_device.search import Candidate, TuneRequest, tune
from edgespeech.demo.tune_device.settings import recall
from edgespeech.errors import UsageError, VerificationError
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS
from edgespeech.runtime.measure.tables import Bullets, Table

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
        monkeypatch.setattr(search, "_word_errors", lambda bundle, width, work: errors(width))
        monkeypatch.setattr(search, "estimate_durations", lambda *arguments: Durations(10.0, 5.0, 4, 3.0))
        monkeypatch.setattr(search, "usable_cores", lambda: 4)
        return tried

    return install


@pytest.fixture
def speech() -> Speech:
    return Speech(manifest=str(SAMPLE_CLIPS), seconds=1.5)


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
    table, kept = outcome.page()
    assert isinstance(table, Table) and isinstance(kept, Bullets)
    assert kept.lines[0] == "kept: cpu, 4 threads, chunk 320 ms, beam 32"
    assert kept.lines[1].startswith(
        "provider, threads, chunk: the lowest real-time factor times CPU time of the 9 within"
    )
    settings = [tuple(row[:5]) for row in table.rows]
    assert len(set(settings)) == len(settings) == len(outcome.candidates), "no row twice"
    assert [row[:5] for row in table.rows if row[-1] == "kept"] == [["tiny", "cpu", "4", "320", "32"]]
    assert json.loads(json.dumps(outcome.as_dict()))["chosen"]["threads"] == 4


def test_of_equally_fast_settings_fewer_threads_win(tiny_bundle: Bundle, measured: Callable[..., list[Plan]]) -> None:
    measured(lambda plan: 1.0 - 0.01 * plan.threads, lambda width: 0.5)
    outcome = run(tiny_bundle)
    assert outcome.chosen.threads == 1
    assert outcome.reasons[0].startswith("provider, threads, chunk: fewer threads, and within 10% of the lowest")


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

    assert search._choose([candidate(1), candidate(2), candidate(4)]).candidate.plan.threads == threads


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--threads 0", "threads is 0; wanted 1 to 256"),
        ("--threads x", "wanted values separated by commas"),
        ("--beam-width 0", "beam_width is 0"),
        ("--chunk-ms nan", "chunk of nan ms"),
        ("--chunk-ms 31 --threads 1", "chunk of 31 ms: wanted a multiple of 40 ms"),
        ("--max-latency-ms nan", "max_latency_ms is nan"),
        ("--max-wer-increase nan", "max_wer_increase is nan"),
        ("--dev absent.jsonl", "absent.jsonl"),
        ("--also absent", "bundle absent does not exist"),
        ("--provider abacus", "provider 'abacus' is unknown"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_measured(
    edgespeech: Command, tiny_bundle: Bundle, arguments: str, message: str
) -> None:
    outcome = edgespeech("tune-device", "--bundle", tiny_bundle.folder, *arguments.split())
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("edgespeech: ") and outcome.err.count("\n") == 1 and message in outcome.err


def test_the_duration_is_that_of_its_parts(tiny_bundle: Bundle, cells_bundle: Bundle, speech: Speech) -> None:
    plans = [Plan(bundle=str(one.folder)) for one in (tiny_bundle, cells_bundle)]
    widths = {str(tiny_bundle.folder): 2, str(cells_bundle.folder): 1, "a bundle without a plan": 4}
    found = estimate_durations(plans, widths, speech, 2, 100.0)
    assert found.evaluations == 2 + 1 + 1, "and the own beam width"
    assert min(found.combinations, found.word_errors, found.beam_widths) > 0.0
    assert found.total == pytest.approx(found.combinations + 4 * found.word_errors + found.beam_widths)
