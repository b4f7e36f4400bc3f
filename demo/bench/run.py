"""`edgespeech bench`: has worker processes measure the configurations and combines their figures to a report."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from edgespeech.demo.bench.interleaved import InterleavedFigures, InterleavedRun
from edgespeech.demo.bench.isolated import IsolatedFigures, IsolatedRun
from edgespeech.demo.bench.plan import Plan, Speech
from edgespeech.demo.bench.report import Report, Result
from edgespeech.demo.bench.request import BenchRequest, Effort
from edgespeech.demo.bench.results import Launches, combine, find_wide_spreads, name_configurations
from edgespeech.demo.bench.streams import StreamFigures, StreamSearch
from edgespeech.demo.bench.trial import Estimates, Trial, TrialFigures, estimate, speech_seconds
from edgespeech.demo.bench.worker import in_fresh_process
from edgespeech.demo.machine.device import describe_device, versions
from edgespeech.demo.machine.sensors import SensorMonitor
from edgespeech.runtime.manifest import SAMPLE_CLIPS
from edgespeech.runtime.measure.progress import TimedSteps, describe_duration
from edgespeech.runtime.measure.references import read_references

log = logging.getLogger(__name__)

MAX_STREAM_SPEECH_SECONDS = 10.0


@dataclass(frozen=True)
class _Work:
    plans: Sequence[Plan]
    effort: Effort
    speech: Speech
    accuracy: Path
    estimates: Estimates


@dataclass(frozen=True)
class _Figures:
    """Figures of all launches: a list per configuration, but for the launches of all configurations together."""

    isolated: list[list[IsolatedFigures]]
    streams: list[list[StreamFigures]]
    interleaved: list[InterleavedFigures] = field(default_factory=list)


def estimate_durations(request: BenchRequest) -> Estimates:
    """Try all configurations briefly, and estimate how long measuring them takes.

    Raises:
        EdgespeechError: A configuration or the speech is invalid.
    """
    figures = in_fresh_process(Trial(plans=request.plans(), speech=request.passage), TrialFigures)
    references = read_references(request.dev or SAMPLE_CLIPS)
    return estimate(figures, request.effort, speech_seconds(references.utterances))


def run_bench(request: BenchRequest) -> Report:
    """Measure all configurations; raise an EdgespeechError if the request is invalid or a measurement failed."""
    effort, plans = request.effort, request.plans()
    estimates = estimate_durations(request)
    total = estimates.total(effort.launches)
    log.info(
        "measuring %d configuration%s in %d launch%s takes about %s",
        len(plans), "s" * (len(plans) > 1), effort.launches, "es" * (effort.launches > 1), describe_duration(total),
    )  # fmt: skip
    work = _Work(plans, effort, request.passage, (request.dev or SAMPLE_CLIPS).absolute(), estimates)
    figures = _Figures([[] for _ in plans], [[] for _ in plans])
    with SensorMonitor() as monitor, TimedSteps(total) as steps:
        for launch in range(effort.launches):
            _measure_launch(launch, work, figures, steps)
        log.debug("measuring took %.0f s, estimated: %.0f s", steps.elapsed, total)
    results = _combine(figures, effort.max_streams)
    return Report(
        made=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        quick=effort.quick,
        audio="sample clips" if request.audio is None else request.audio.name,
        audio_seconds=figures.interleaved[0].audio_seconds,
        launches=effort.launches,
        device=describe_device(),
        versions=versions(),
        conditions=monitor.conditions(find_wide_spreads(results)),
        results=results,
    )


def _measure_launch(launch: int, work: _Work, figures: _Figures, steps: TimedSteps) -> None:
    plans, effort, estimates = work.plans, work.effort, work.estimates
    which = f"launch {launch + 1} of {effort.launches}"
    for index, plan in enumerate(plans):
        one = f"{which}: configuration {index + 1} of {len(plans)}"
        steps.begin(one, estimates.isolated[index] + (0.0 if launch else estimates.accuracy[index]))
        task = IsolatedRun(
            plan=plan,
            speech=work.speech,
            busy_seconds=effort.busy_seconds,
            accuracy=None if launch else str(work.accuracy),
        )
        figures.isolated[index].append(in_fresh_process(task, IsolatedFigures))
        if effort.max_streams:
            steps.begin(f"{one}, streams", estimates.streams[index])
            seconds = min(work.speech.seconds, MAX_STREAM_SPEECH_SECONDS)
            search = StreamSearch(
                plan=plan,
                speech=msgspec.structs.replace(work.speech, seconds=seconds),
                max_streams=effort.max_streams,
                rounds=effort.stream_rounds,
                previous=figures.streams[index][-1] if launch else None,
            )
            figures.streams[index].append(in_fresh_process(search, StreamFigures))
    steps.begin(f"{which}: all configurations in turns" if len(plans) > 1 else f"{which}: rounds", estimates.together)
    together = InterleavedRun(
        plans=list(plans), speech=work.speech, rounds=effort.rounds, max_seconds=effort.max_seconds * len(plans)
    )
    figures.interleaved.append(in_fresh_process(together, InterleavedFigures))


def _combine(figures: _Figures, max_streams: int) -> tuple[Result, ...]:
    names = name_configurations([isolated[0].configuration for isolated in figures.isolated])
    launches = [
        Launches(
            isolated=isolated,
            interleaved=[one.configurations[index] for one in figures.interleaved],
            streams=streams,
        )
        for index, (isolated, streams) in enumerate(zip(figures.isolated, figures.streams, strict=True))
    ]
    baseline = launches[0].interleaved
    return tuple(
        combine(name, one, baseline if index else None, max_streams)
        for index, (name, one) in enumerate(zip(names, launches, strict=True))
    )
