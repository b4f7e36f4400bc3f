"""Figures of every launch brought together: medians, spreads, ratios, names of configurations; nothing is measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from edgespeech.demo.bench.alone import AloneFigures
from edgespeech.demo.bench.report import (
    ChunkTimes,
    Configuration,
    Energy,
    Latency,
    Load,
    Memory,
    Percentiles,
    Ratios,
    RealTimeFactors,
    Result,
    Spread,
    Streams,
    percentiles,
    spread,
)
from edgespeech.demo.bench.streams import StreamFigures
from edgespeech.demo.bench.turns import Turn
from edgespeech.errors import UsageError

Several = TypeVar("Several", Energy, Memory)
# Launches of the same work that scatter by more make the figures doubtful.
WIDE_SPREAD = 0.15


def sum_up(
    name: str,
    alone: Sequence[AloneFigures],
    turns: Sequence[Turn],
    baseline: Sequence[Turn] | None,
    streams: Sequence[StreamFigures],
    most_streams: int,
) -> Result:
    """One configuration's result.

    Args:
        name: Of the configuration.
        alone: One entry for each launch.
        turns: Likewise.
        baseline: The turns of the first configuration in the same launches; None for that one itself.
        streams: One entry for each launch in which streams were searched.
        most_streams: Where those searches ended.

    Raises:
        UsageError: No chunk was full, so that none has a time.
    """
    first = alone[0]
    assert first.accuracy is not None
    if not any(turns[0].chunks):
        raise UsageError(f"{name}: no chunk of the speech is full; give longer recordings or shorter chunks")
    whole, acoustic, decoder = (_chunk_times(turns, part) for part in range(3))
    return Result(
        configuration=msgspec.structs.replace(first.configuration, name=name),
        load=Load(
            cold=spread([figures.cold * 1e3 for figures in alone]),
            warm=spread([figures.warm * 1e3 for figures in alone]),
            files_were_cold=all(figures.files_were_cold for figures in alone),
        ),
        chunk_times=ChunkTimes(all=whole, acoustic=acoustic, decoder=decoder),
        rtf=_real_time_factors(turns),
        relative=None if baseline is None else _ratios(turns, baseline),
        latency=Latency(
            first_partial=_milliseconds([figures.first_partial for figures in alone]),
            final_on_stop=spread([statistics.median(figures.final_on_stop) * 1e3 for figures in alone]),
            final_on_silence=_milliseconds([figures.final_on_silence for figures in alone]),
            compute=whole.p98.median,
        ),
        memory=_over_launches([figures.memory for figures in alone]),
        cpu_seconds_per_second_of_audio=spread([figures.cpu_per_audio for figures in alone]),
        cores_busy=statistics.median(figures.cores_busy for figures in alone),
        energy=_over_launches([figures.energy for figures in alone]),
        accuracy=first.accuracy,
        streams=_streams(streams, most_streams),
        nodes=first.nodes,
        nodes_on_cpu=first.nodes_on_cpu,
    )


def _chunk_times(turns: Sequence[Turn], part: int) -> Percentiles:
    return percentiles([[times[part] for chunks in turn.chunks for times in chunks] for turn in turns])


def _real_time_factors(turns: Sequence[Turn]) -> RealTimeFactors:
    whole, acoustic, decoder = (
        spread([statistics.median(factors[part] for factors in turn.rounds) for turn in turns]) for part in range(3)
    )
    return RealTimeFactors(all=whole, acoustic=acoustic, decoder=decoder)


def _ratios(turns: Sequence[Turn], baseline: Sequence[Turn]) -> Ratios:
    whole, acoustic, decoder = (
        spread(
            [
                statistics.median(mine[part] / base[part] for mine, base in zip(turn.rounds, first.rounds, strict=True))
                for turn, first in zip(turns, baseline, strict=True)
            ]
        )
        for part in range(3)
    )
    return Ratios(all=whole, acoustic=acoustic, decoder=decoder)


def _milliseconds(launches: Sequence[Sequence[float]]) -> Spread | None:
    """Of what each recording took, in seconds; a launch in which none took any is left out."""
    medians = [statistics.median(recordings) * 1e3 for recordings in launches if recordings]
    return spread(medians) if medians else None


def _over_launches(records: Sequence[Several | None]) -> Several | None:
    """One record whose spreads are those of several with one launch each; None if one is missing."""
    there = [record for record in records if record is not None]
    if len(there) < len(records):
        return None
    names = [name for name in there[0].__struct_fields__ if isinstance(getattr(there[0], name), Spread)]
    return msgspec.structs.replace(
        there[0], **{name: spread([getattr(record, name).median for record in there]) for name in names}
    )


def _streams(found: Sequence[StreamFigures], most: int) -> Streams | None:
    if not found:
        return None
    unbatched = [one.unbatched for one in found]
    batched = [one.batched for one in found if one.batched is not None]
    return Streams(
        unbatched=spread(unbatched), batched=spread(batched) if batched else None, at_least=most in unbatched + batched
    )


def scatter_remarks(results: Sequence[Result]) -> list[str]:
    """Reasons to distrust figures whose launches differ, although each does the same work."""
    remarks = []
    for result in results:
        factor = result.rtf.all
        share = (factor.high - factor.low) / factor.median
        if share > WIDE_SPREAD:
            remarks.append(f"{result.configuration.name}: launches of the same work scatter by {share:.0%}")
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
