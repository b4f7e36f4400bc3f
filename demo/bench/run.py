"""`bench`: plans the configurations, lets worker processes measure them, and brings the figures together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from edgespeech.demo.bench.alone import Alone, AloneFigures
from edgespeech.demo.bench.listen import Plan, Speech
from edgespeech.demo.bench.report import Report
from edgespeech.demo.bench.results import name_configurations, scatter_remarks, sum_up
from edgespeech.demo.bench.streams import StreamFigures, StreamSearch
from edgespeech.demo.bench.turns import TurnFigures, Turns
from edgespeech.demo.bench.worker import in_fresh_process
from edgespeech.demo.machine.device import describe_device, versions
from edgespeech.demo.machine.sensors import SensorMonitor
from edgespeech.errors import UsageError
from edgespeech.runtime.manifest import SAMPLE_CLIPS

Say = Callable[[str], None]
MOST_CONFIGURATIONS = 64


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        launches: Fresh processes for each configuration, and for all of them together.
        rounds: Of each launch, and the seconds for each configuration after which it ends early.
        speech_seconds: Of the passage that is heard.
        busy_seconds: Computing for CPU time and energy.
        most_streams: Limit of the search for streams; 0 leaves it out.
        stream_rounds: Chunks of each stream in a try.
        quick: Whether it is too little for figures to quote.
    """

    launches: int = 6
    rounds: int = 3
    seconds: float = 3.0
    speech_seconds: float = 30.0
    busy_seconds: float = 1.0
    most_streams: int = 512
    stream_rounds: int = 3
    quick: bool = False


QUICK = Effort(
    launches=1, rounds=2, seconds=0.5, speech_seconds=3.0, busy_seconds=0.1, most_streams=3, stream_rounds=2, quick=True
)


@dataclass(frozen=True)
class BenchSettings:
    """What `edgespeech bench` was asked for.

    Attributes:
        plans: The configurations; ratios are to the first.
        effort: How much is measured.
        audio: Recording to hear instead of the clips that ship.
        dev: Manifest to count word errors on instead of those clips.
    """

    plans: Sequence[Plan]
    effort: Effort = Effort()
    audio: Path | None = None
    dev: Path | None = None


def make_plans(
    bundles: Sequence[Path],
    providers: Sequence[str],
    threads: Sequence[int],
    chunks_ms: Sequence[float | None],
    beam_widths: Sequence[int | None],
    language_model: bool = True,
) -> list[Plan]:
    """Every combination.

    Raises:
        UsageError: There are too many.
    """
    grid = itertools.product(bundles, providers, chunks_ms, beam_widths, threads)
    plans = [
        Plan(
            bundle=str(bundle.absolute()),
            provider=provider,
            threads=count,
            chunk_ms=chunk,
            beam_width=beam,
            language_model=language_model,
        )
        for bundle, provider, chunk, beam, count in grid
    ]
    if len(plans) > MOST_CONFIGURATIONS:
        raise UsageError(f"{len(plans)} configurations; wanted at most {MOST_CONFIGURATIONS}: leave some values out")
    return plans


def run_bench(settings: BenchSettings, say: Say) -> Report:
    """Measure.

    Args:
        settings: What is wanted.
        say: Takes remarks on the progress.

    Raises:
        EdgespeechError: Something given does not do, or a measurement failed.
    """
    effort, plans = settings.effort, list(settings.plans)
    speech = Speech(
        manifest=str(SAMPLE_CLIPS.absolute()),
        audio=None if settings.audio is None else str(settings.audio.absolute()),
        seconds=effort.speech_seconds,
    )
    accuracy = str((settings.dev or SAMPLE_CLIPS).absolute())
    alone: list[list[AloneFigures]] = [[] for _ in plans]
    streams: list[list[StreamFigures]] = [[] for _ in plans]
    together: list[TurnFigures] = []
    with SensorMonitor() as watch:
        for launch in range(effort.launches):
            for index, plan in enumerate(plans):
                say(f"launch {launch + 1} of {effort.launches}: configuration {index + 1} of {len(plans)}")
                task = Alone(
                    plan=plan, speech=speech, busy_seconds=effort.busy_seconds, accuracy=None if launch else accuracy
                )
                alone[index].append(in_fresh_process(task, AloneFigures))
                if effort.most_streams:
                    search = StreamSearch(
                        plan=plan,
                        speech=msgspec.structs.replace(speech, seconds=min(speech.seconds, 10.0)),
                        most=effort.most_streams,
                        rounds=effort.stream_rounds,
                        likely=streams[index][-1] if launch else None,
                    )
                    streams[index].append(in_fresh_process(search, StreamFigures))
            if len(plans) > 1:
                say(f"launch {launch + 1} of {effort.launches}: {len(plans)} in turns")
            turns = Turns(plans=plans, speech=speech, rounds=effort.rounds, seconds=effort.seconds * len(plans))
            together.append(in_fresh_process(turns, TurnFigures))
    names = name_configurations([figures[0].configuration for figures in alone])
    baseline = [figures.turns[0] for figures in together]
    results = tuple(
        sum_up(
            name,
            alone[index],
            [figures.turns[index] for figures in together],
            baseline if index else None,
            streams[index],
            effort.most_streams,
        )
        for index, name in enumerate(names)
    )
    return Report(
        made=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        quick=effort.quick,
        audio="the clips that ship" if settings.audio is None else settings.audio.name,
        audio_seconds=together[0].audio_seconds,
        launches=effort.launches,
        device=describe_device(),
        versions=versions(),
        conditions=watch.conditions(scatter_remarks(results)),
        results=results,
    )
