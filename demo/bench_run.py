"""`bench`: plans the configurations, lets worker processes measure them, and brings the figures together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeVar

import msgspec

from edgespeech.demo.bench_alone import Alone, AloneFigures
from edgespeech.demo.bench_device import describe_device, versions
from edgespeech.demo.bench_listen import Plan, Speech
from edgespeech.demo.bench_report import (
    ChunkTimes,
    Configuration,
    Energy,
    Latency,
    Load,
    Memory,
    Ratios,
    RealTimeFactors,
    Report,
    Result,
    Spread,
    Streams,
    percentiles,
    spread,
)
from edgespeech.demo.bench_sensors import Watch
from edgespeech.demo.bench_streams import StreamSearch
from edgespeech.demo.bench_turns import TurnFigures, Turns
from edgespeech.demo.bench_worker import in_fresh_process
from edgespeech.demo.evaluate import CLIPS
from edgespeech.errors import UsageError

Say = Callable[[str], None]
Figures = TypeVar("Figures", Energy, Memory)
MOST_CONFIGURATIONS = 64
# Rounds of the same work that scatter by more make the figures doubtful.
WIDE_SPREAD = 0.15


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
    """

    launches: int = 3
    rounds: int = 5
    seconds: float = 4.0
    speech_seconds: float = 30.0
    busy_seconds: float = 1.0
    most_streams: int = 512
    stream_rounds: int = 5


QUICK = Effort(launches=1, rounds=2, seconds=0.5, speech_seconds=3.0, busy_seconds=0.1, most_streams=3, stream_rounds=2)


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
        manifest=str(CLIPS.absolute()),
        audio=None if settings.audio is None else str(settings.audio.absolute()),
        seconds=effort.speech_seconds,
    )
    accuracy = str((settings.dev or CLIPS).absolute())
    alone: list[list[AloneFigures]] = [[] for _ in plans]
    together: list[TurnFigures] = []
    streams: list[Streams | None] = []
    with Watch() as watch:
        for launch in range(effort.launches):
            for index, plan in enumerate(plans):
                say(f"launch {launch + 1} of {effort.launches}: configuration {index + 1} of {len(plans)} alone")
                task = Alone(
                    plan=plan, speech=speech, busy_seconds=effort.busy_seconds, accuracy=None if launch else accuracy
                )
                alone[index].append(in_fresh_process(task, AloneFigures))
            say(f"launch {launch + 1} of {effort.launches}: {len(plans)} in turns")
            turns = Turns(plans=plans, speech=speech, rounds=effort.rounds, seconds=effort.seconds * len(plans))
            together.append(in_fresh_process(turns, TurnFigures))
        for index, plan in enumerate(plans):
            streams.append(None)
            if effort.most_streams:
                say(f"streams at once: configuration {index + 1} of {len(plans)}")
                search = StreamSearch(
                    plan=plan,
                    speech=replace_seconds(speech, min(speech.seconds, 10.0)),
                    most=effort.most_streams,
                    rounds=effort.stream_rounds,
                )
                streams[-1] = in_fresh_process(search, Streams)
    names = name_configurations([figures[0].configuration for figures in alone])
    results = tuple(_result(names[index], alone[index], together, index, streams[index]) for index in range(len(plans)))
    return Report(
        made=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        quick=effort == replace(QUICK, most_streams=effort.most_streams),
        audio="the clips that ship" if settings.audio is None else settings.audio.name,
        audio_seconds=together[0].audio_seconds,
        launches=effort.launches,
        device=describe_device(),
        versions=versions(),
        conditions=watch.conditions(scatter_remarks(results)),
        results=results,
    )


def replace_seconds(speech: Speech, seconds: float) -> Speech:
    """Less of the same speech."""
    return msgspec.structs.replace(speech, seconds=seconds)


def _result(
    name: str, alone: Sequence[AloneFigures], together: Sequence[TurnFigures], index: int, streams: Streams | None
) -> Result:
    first = alone[0]
    turns = [figures.turns[index] for figures in together]
    rounds = [factors for turn in turns for factors in turn.rounds]
    chunks = [times for turn in turns for times in turn.chunks if times]
    if not chunks:
        raise UsageError(f"{name}: no chunk of the speech is full; give longer recordings or shorter chunks")
    baseline = [factors for figures in together for factors in figures.turns[0].rounds]
    whole, acoustic, decoder = ([factors[part] for factors in rounds] for part in range(3))
    times = ChunkTimes(
        all=percentiles([[one[0] for one in times] for times in chunks]),
        acoustic=percentiles([[one[1] for one in times] for times in chunks]),
        decoder=percentiles([[one[2] for one in times] for times in chunks]),
    )
    partials = [seconds * 1e3 for figures in alone for seconds in figures.first_partial]
    silences = [seconds * 1e3 for figures in alone for seconds in figures.final_on_silence]
    memories = [figures.memory for figures in alone if figures.memory is not None]
    energies = [figures.energy for figures in alone if figures.energy is not None]
    assert first.accuracy is not None
    return Result(
        configuration=msgspec.structs.replace(first.configuration, name=name),
        load=Load(
            cold=spread([figures.cold * 1e3 for figures in alone]),
            warm=spread([figures.warm * 1e3 for figures in alone]),
            files_were_cold=all(figures.files_were_cold for figures in alone),
        ),
        chunk_times=times,
        rtf=RealTimeFactors(all=spread(whole), acoustic=spread(acoustic), decoder=spread(decoder)),
        relative=_ratios(rounds, baseline) if index else None,
        latency=Latency(
            first_partial=spread(partials) if partials else None,
            final_on_stop=spread([seconds * 1e3 for figures in alone for seconds in figures.final_on_stop]),
            final_on_silence=spread(silences) if silences else None,
            compute=times.all.p98.median,
        ),
        memory=_over_launches(memories),
        cpu_seconds_per_second_of_audio=spread([figures.cpu_per_audio for figures in alone]),
        cores_busy=first.cores_busy,
        energy=_over_launches(energies),
        accuracy=first.accuracy,
        streams=streams,
        nodes=first.nodes,
        nodes_on_cpu=first.nodes_on_cpu,
    )


def _over_launches(records: Sequence[Figures]) -> Figures | None:
    """One record whose spreads are those of the medians of several."""
    if not records:
        return None
    names = [name for name in records[0].__struct_fields__ if isinstance(getattr(records[0], name), Spread)]
    return msgspec.structs.replace(
        records[0], **{name: spread([getattr(record, name).median for record in records]) for name in names}
    )


def _ratios(rounds: Sequence[tuple[float, ...]], baseline: Sequence[tuple[float, ...]]) -> Ratios:
    whole, acoustic, decoder = (
        spread([mine[part] / base[part] for mine, base in zip(rounds, baseline, strict=True)]) for part in range(3)
    )
    return Ratios(all=whole, acoustic=acoustic, decoder=decoder)


def scatter_remarks(results: Sequence[Result]) -> list[str]:
    """Reasons to distrust figures whose rounds differ, although each round is the same work."""
    remarks = []
    for result in results:
        factor: Spread = result.rtf.all
        if factor.high - factor.low > WIDE_SPREAD * factor.median:
            share = (factor.high - factor.low) / factor.median
            remarks.append(f"{result.configuration.name}: rounds of the same work scatter by {share:.0%}")
    return remarks


def name_configurations(configurations: Sequence[Configuration]) -> list[str]:
    """Short names: precision and form, and whatever else tells them apart."""

    def differ(attribute: str) -> bool:
        return len({getattr(one, attribute) for one in configurations}) > 1

    names = []
    for one in configurations:
        parts = [f"{one.precision} {one.form}"]
        namesakes = [other for other in configurations if (other.precision, other.form) == (one.precision, one.form)]
        if len({other.bundle for other in namesakes}) > 1:
            parts.insert(0, Path(one.bundle).name)
        if differ("provider"):
            parts.append(one.provider)
        if differ("chunk_ms"):
            parts.append(f"{one.chunk_ms:g} ms")
        if differ("beam_width"):
            parts.append(f"beam {one.beam_width}")
        if differ("threads"):
            parts.append("1 thread" if one.threads == 1 else f"{one.threads} threads")
        names.append(", ".join(parts))
    return names
