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
from edgespeech.demo.bench.worker import in_fresh_process
from edgespeech.demo.machine.device import describe_device, versions
from edgespeech.demo.machine.sensors import SensorMonitor
from edgespeech.runtime.manifest import SAMPLE_CLIPS

log = logging.getLogger(__name__)

MAX_STREAM_SPEECH_SECONDS = 10.0


@dataclass(frozen=True)
class _Work:
    plans: Sequence[Plan]
    effort: Effort
    speech: Speech
    accuracy: Path


@dataclass(frozen=True)
class _Figures:
    """Figures of all launches: a list per configuration, but for the launches of all configurations together."""

    isolated: list[list[IsolatedFigures]]
    streams: list[list[StreamFigures]]
    interleaved: list[InterleavedFigures] = field(default_factory=list)


def run_bench(request: BenchRequest) -> Report:
    """Measure all configurations; raise an EdgespeechError if the request is invalid or a measurement failed."""
    effort, plans = request.effort, request.plans()
    speech = Speech(
        manifest=str(SAMPLE_CLIPS.absolute()),
        audio=None if request.audio is None else str(request.audio.absolute()),
        seconds=effort.speech_seconds,
    )
    work = _Work(plans, effort, speech, (request.dev or SAMPLE_CLIPS).absolute())
    figures = _Figures([[] for _ in plans], [[] for _ in plans])
    with SensorMonitor() as monitor:
        for launch in range(effort.launches):
            _measure_launch(launch, work, figures)
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


def _measure_launch(launch: int, work: _Work, figures: _Figures) -> None:
    plans, effort = work.plans, work.effort
    for index, plan in enumerate(plans):
        log.info("launch %d of %d: configuration %d of %d", launch + 1, effort.launches, index + 1, len(plans))
        task = IsolatedRun(
            plan=plan,
            speech=work.speech,
            busy_seconds=effort.busy_seconds,
            accuracy=None if launch else str(work.accuracy),
        )
        figures.isolated[index].append(in_fresh_process(task, IsolatedFigures))
        if effort.max_streams:
            seconds = min(work.speech.seconds, MAX_STREAM_SPEECH_SECONDS)
            search = StreamSearch(
                plan=plan,
                speech=msgspec.structs.replace(work.speech, seconds=seconds),
                max_streams=effort.max_streams,
                rounds=effort.stream_rounds,
                previous=figures.streams[index][-1] if launch else None,
            )
            figures.streams[index].append(in_fresh_process(search, StreamFigures))
    if len(plans) > 1:
        log.info("launch %d of %d: all %d configurations in turns", launch + 1, effort.launches, len(plans))
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
