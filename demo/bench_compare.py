"""`bench compare`: two reports side by side, and whether they differ by more than they scatter; measures nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from edgespeech.demo.bench_card import device_name, table, with_spread
from edgespeech.demo.bench_report import Configuration, Report, Result, Spread
from edgespeech.errors import UsageError

SAME = "same"
# Numbers of streams have no spread; the search does not tell them closer apart.
CLOSE = 0.05


@dataclass(frozen=True)
class Difference:
    """A figure of one configuration in both reports.

    Attributes:
        ratio: Second to first; None where the first is 0.
        verdict: ``same`` if the spreads overlap (numbers of streams: differ by 5 % at most), else ``less`` or ``more``.
    """

    configuration: str
    figure: str
    first: float
    second: float
    ratio: float | None
    verdict: str


_SPREADS: tuple[tuple[str, int, Callable[[Result], Spread | None]], ...] = (
    ("real-time factor", 4, lambda result: result.rtf.all),
    ("of the acoustic model", 4, lambda result: result.rtf.acoustic),
    ("of the decoder", 4, lambda result: result.rtf.decoder),
    ("chunk p50, ms", 2, lambda result: result.chunk_times.all.p50),
    ("chunk p98, ms", 2, lambda result: result.chunk_times.all.p98),
    ("memory, MB", 1, lambda result: result.memory.steady if result.memory else None),
    ("J per second of audio", 3, lambda result: result.energy.joules_per_second_of_audio if result.energy else None),
    ("CPU seconds per second", 4, lambda result: result.cpu_seconds_per_second_of_audio),
    ("load cold, ms", 0, lambda result: result.load.cold),
    ("load warm, ms", 0, lambda result: result.load.warm),
    ("first word, ms", 0, lambda result: result.latency.first_partial),
    ("final after silence, ms", 0, lambda result: result.latency.final_on_silence),
    ("final on stop, ms", 1, lambda result: result.latency.final_on_stop),
)
_NUMBERS: tuple[tuple[str, int, float, Callable[[Result], float | None]], ...] = (
    ("graph, MB", 2, 0.0, lambda result: result.configuration.acoustic_mb),
    ("WER, %", 2, 0.0, lambda result: result.accuracy.wer * 100.0),
    ("streams one by one", 0, CLOSE, lambda result: result.streams.unbatched if result.streams else None),
    ("streams in one batch", 0, CLOSE, lambda result: result.streams.batched if result.streams else None),
)


def pairs(first: Report, second: Report) -> list[tuple[Result, Result]]:
    """Configurations that both reports have; of two reports with one each, those.

    Raises:
        UsageError: There is none.
    """
    if len(first.results) == len(second.results) == 1:
        return [(first.results[0], second.results[0])]
    theirs = {_key(result.configuration): result for result in second.results}
    found = [(mine, theirs[key]) for mine in first.results if (key := _key(mine.configuration)) in theirs]
    if not found:
        named = [", ".join(result.configuration.name for result in report.results) for report in (first, second)]
        raise UsageError(
            f"the reports have no configuration in common: {named[0]} against {named[1]}; measure the same ones"
        )
    return found


def _key(one: Configuration) -> tuple[object, ...]:
    return one.model, one.precision, one.form, one.provider, one.threads, one.chunk_ms, one.beam_width


def differences(first: Report, second: Report) -> Iterator[Difference]:
    """Every figure that both reports have, configuration by configuration.

    Raises:
        UsageError: They have no configuration in common.
    """
    for mine, theirs in pairs(first, second):
        name = mine.configuration.name
        for figure, _, spread_of in _SPREADS:
            one, other = spread_of(mine), spread_of(theirs)
            if one is not None and other is not None:
                verdict = SAME if one.overlaps(other) else _direction(one.median, other.median)
                yield _difference(name, figure, one.median, other.median, verdict)
        for figure, _, close, number_of in _NUMBERS:
            before, after = number_of(mine), number_of(theirs)
            if before is not None and after is not None:
                yield _difference(name, figure, before, after, _direction(before, after, close))


def _difference(name: str, figure: str, first: float, second: float, verdict: str) -> Difference:
    return Difference(name, figure, first, second, second / first if first else None, verdict)


def _direction(first: float, second: float, close: float = 0.0) -> str:
    if abs(second - first) <= close * abs(first):
        return SAME
    return "less" if second < first else "more"


def as_objects(first: Report, second: Report) -> list[dict[str, object]]:
    """For JSON."""
    return [asdict(difference) for difference in differences(first, second)]


def render_comparison(first: Report, second: Report) -> str:
    """Markdown tables.

    Raises:
        UsageError: The reports have no configuration in common.
    """
    parts = [
        f"{letter}: {device_name(report.device)}, {report.made}{_doubt(report)}"
        for letter, report in zip("AB", (first, second), strict=True)
    ]
    head = ["figure", "A", "B", "B / A", "B is"]
    for mine, theirs in pairs(first, second):
        found = {one.figure: one for one in differences(_only(first, mine), _only(second, theirs))}
        rows = [head]
        for figure, digits, spread_of in _SPREADS:
            if figure in found:
                cells = [with_spread(spread_of(result), digits) for result in (mine, theirs)]
                rows.append([figure, *cells, *_verdict(found[figure])])
        for figure, digits, *_ in _NUMBERS:
            if figure in found:
                one = found[figure]
                rows.append([figure, f"{one.first:.{digits}f}", f"{one.second:.{digits}f}", *_verdict(one)])
        names = dict.fromkeys((mine.configuration.name, theirs.configuration.name))
        parts += [f"## {' against '.join(names)}", table(rows)]
    parts.append(
        "`same`: the spreads (the middle 80 % of the runs) overlap, or numbers of streams differ by 5 % at most."
    )
    return "\n\n".join(["\n".join(f"- {line}" for line in parts[:2]), *parts[2:]])


def _only(report: Report, result: Result) -> Report:
    import msgspec

    return msgspec.structs.replace(report, results=(result,))


def _verdict(one: Difference) -> list[str]:
    return ["-" if one.ratio is None else f"{one.ratio:.2f}", one.verdict]


def _doubt(report: Report) -> str:
    return " (this machine was noisy)" if report.conditions.noisy else " (quick)" if report.quick else ""
