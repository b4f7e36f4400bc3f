"""Combines the figures of all launches to results: medians, spreads, ratios, and names of the configurations."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from edgespeech.demo.bench.interleaved import ConfigurationTimes
from edgespeech.demo.bench.isolated import IsolatedFigures
from edgespeech.demo.bench.report import (
    ChunkTimes,
    Configuration,
    Energy,
    Load,
    Memory,
    Percentiles,
    Ratios,
    RealTimeFactors,
    Result,
    Spread,
    Streams,
    TimesToText,
    percentiles,
    spread,
)
from edgespeech.demo.bench.streams import StreamFigures
from edgespeech.errors import UsageError

Figures = TypeVar("Figures", Energy, Memory)
# Launches of the same work whose spread, relative to the median, is wider than this make the figures doubtful.
WIDE_SPREAD = 0.15


@dataclass(frozen=True)
class Launches:
    """Figures of one configuration, one entry for each launch; ``streams`` is empty if they were not searched."""

    isolated: Sequence[IsolatedFigures]
    interleaved: Sequence[ConfigurationTimes]
    streams: Sequence[StreamFigures] = ()


def combine(name: str, launches: Launches, baseline: Sequence[ConfigurationTimes] | None, max_streams: int) -> Result:
    """Combine the launches of one configuration; raise UsageError if no chunk of the speech is full.

    The baseline is the first configuration in the same launches; None for that one itself.
    """
    isolated, first = launches.isolated, launches.isolated[0]
    assert first.accuracy is not None
    if not any(launches.interleaved[0].chunks):
        raise UsageError(f"{name}: no chunk of the speech is full; give longer recordings or shorter chunks")
    total, acoustic, decoder = (_chunk_times(launches.interleaved, part) for part in range(3))
    return Result(
        configuration=msgspec.structs.replace(first.configuration, name=name),
        load=Load(
            cold=spread([figures.cold * 1e3 for figures in isolated]),
            warm=spread([figures.warm * 1e3 for figures in isolated]),
            files_were_cold=all(figures.files_were_cold for figures in isolated),
        ),
        chunk_times=ChunkTimes(all=total, acoustic=acoustic, decoder=decoder),
        rtf=_real_time_factors(launches.interleaved),
        relative=None if baseline is None else _ratios(launches.interleaved, baseline),
        latency=TimesToText(
            first_partial=_milliseconds([figures.first_partial for figures in isolated]),
            final_on_stop=spread([statistics.median(figures.final_on_stop) * 1e3 for figures in isolated]),
            final_on_silence=_milliseconds([figures.final_on_silence for figures in isolated]),
            compute=total.p98.median,
        ),
        memory=_over_launches([figures.memory for figures in isolated]),
        cpu_seconds_per_second_of_audio=spread([figures.cpu_per_audio for figures in isolated]),
        cores_busy=statistics.median(figures.cores_busy for figures in isolated),
        energy=_over_launches([figures.energy for figures in isolated]),
        accuracy=first.accuracy,
        streams=_streams(launches.streams, max_streams),
        nodes=first.nodes,
        nodes_on_cpu=first.nodes_on_cpu,
    )


def _chunk_times(launches: Sequence[ConfigurationTimes], part: int) -> Percentiles:
    return percentiles([[times[part] for chunks in launch.chunks for times in chunks] for launch in launches])


def _real_time_factors(launches: Sequence[ConfigurationTimes]) -> RealTimeFactors:
    total, acoustic, decoder = (
        spread([statistics.median(factors[part] for factors in launch.rounds) for launch in launches])
        for part in range(3)
    )
    return RealTimeFactors(all=total, acoustic=acoustic, decoder=decoder)


def _ratios(launches: Sequence[ConfigurationTimes], baseline: Sequence[ConfigurationTimes]) -> Ratios:
    total, acoustic, decoder = (
        spread(
            [
                statistics.median(mine[part] / base[part] for mine, base in zip(one.rounds, first.rounds, strict=True))
                for one, first in zip(launches, baseline, strict=True)
            ]
        )
        for part in range(3)
    )
    return Ratios(all=total, acoustic=acoustic, decoder=decoder)


def _milliseconds(launches: Sequence[Sequence[float]]) -> Spread | None:
    """Summarise the seconds of each recording; a launch without any is left out."""
    medians = [statistics.median(recordings) * 1e3 for recordings in launches if recordings]
    return spread(medians) if medians else None


def _over_launches(records: Sequence[Figures | None]) -> Figures | None:
    """Combine records of one launch each to one record; None if one of them is missing."""
    found = [record for record in records if record is not None]
    if len(found) < len(records):
        return None
    names = [name for name in found[0].__struct_fields__ if isinstance(getattr(found[0], name), Spread)]
    return msgspec.structs.replace(
        found[0], **{name: spread([getattr(record, name).median for record in found]) for name in names}
    )


def _streams(found: Sequence[StreamFigures], limit: int) -> Streams | None:
    if not found:
        return None
    unbatched = [one.unbatched for one in found]
    batched = [one.batched for one in found if one.batched is not None]
    return Streams(
        unbatched=spread(unbatched), batched=spread(batched) if batched else None, at_least=limit in unbatched + batched
    )


def find_wide_spreads(results: Sequence[Result]) -> list[str]:
    """List the configurations whose launches differ too much, although each does the same work."""
    notes = []
    for result in results:
        factor = result.rtf.all
        relative = (factor.high - factor.low) / factor.median
        if relative > WIDE_SPREAD:
            notes.append(f"{result.configuration.name}: repeated runs differ by up to {relative:.0%}")
    return notes


def name_configurations(configurations: Sequence[Configuration]) -> list[str]:
    """Make short names: precision and form, and whatever else tells the configurations apart."""

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
