"""`bench compare`: two reports side by side, and whether they differ by more than their launches scatter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from edgespeech.demo.bench.card import device_name, with_spread
from edgespeech.demo.bench.report import RESOLUTION, Configuration, Report, Result, Spread, apart_by_chance
from edgespeech.errors import UsageError
from edgespeech.runtime.measure.tables import Bullets, Heading, Page, Part, Table

Verdict = Literal["agree", "differ", "undecided"]
# Spreads that do not overlap prove a difference only if that is unlikely by chance; four launches of each are enough.
MAX_CHANCE = 0.05


@dataclass(frozen=True)
class Difference:
    """A figure of one configuration in both reports.

    Attributes:
        ratio: Second divided by first; None if the first is 0.
        verdict: ``agree`` if the spreads overlap or the medians are within 2 %, else ``differ``; ``undecided`` if there
            are too few launches to tell. Figures without launches agree if they are equal.
    """

    configuration: str
    figure: str
    first: float
    second: float
    ratio: float | None
    verdict: Verdict


_SPREADS: tuple[tuple[str, int, Callable[[Result], Spread | None]], ...] = (
    ("real-time factor", 4, lambda result: result.rtf.all),
    ("real-time factor, acoustic model", 4, lambda result: result.rtf.acoustic),
    ("real-time factor, decoder", 4, lambda result: result.rtf.decoder),
    ("chunk p50, ms", 2, lambda result: result.chunk_times.all.p50),
    ("chunk p98, ms", 2, lambda result: result.chunk_times.all.p98),
    ("memory, MB", 1, lambda result: result.memory.steady if result.memory else None),
    ("peak memory, MB", 1, lambda result: result.memory.peak if result.memory else None),
    ("J per second of audio", 3, lambda result: result.energy.joules_per_second_of_audio if result.energy else None),
    ("CPU seconds per second", 4, lambda result: result.cpu_seconds_per_second_of_audio),
    ("load cold, ms", 0, lambda result: result.load.cold),
    ("load warm, ms", 0, lambda result: result.load.warm),
    ("first word, ms", 0, lambda result: result.latency.first_partial),
    ("final after silence, ms", 0, lambda result: result.latency.final_on_silence),
    ("final on stop, ms", 1, lambda result: result.latency.final_on_stop),
    ("streams one by one", 0, lambda result: result.streams.unbatched if result.streams else None),
    ("streams in one batch", 0, lambda result: result.streams.batched if result.streams else None),
)
_NUMBERS: tuple[tuple[str, int, Callable[[Result], float]], ...] = (
    ("graph, MB", 2, lambda result: result.configuration.acoustic_mb),
    ("WER, %", 2, lambda result: result.accuracy.wer * 100.0),
)


# Names of figures in the JSON of earlier versions, which scripts may look up.
_JSON_NAMES = {
    "real-time factor, acoustic model": "of the acoustic model",
    "real-time factor, decoder": "of the decoder",
}


def pairs(first: Report, second: Report) -> list[tuple[Result, Result]]:
    """Pair the configurations that both reports have, or the only one of each; raise UsageError if there are none."""
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
    """Compare every figure that both reports have, for the `pairs` of configurations."""
    for mine, theirs in pairs(first, second):
        for difference, _ in _compare_pair(mine, theirs):
            yield difference


def _compare_pair(mine: Result, theirs: Result) -> Iterator[tuple[Difference, list[str]]]:
    """Yield each difference with the text of its two figures."""
    name = mine.configuration.name
    for figure, digits, spread_of in _SPREADS:
        one, other = spread_of(mine), spread_of(theirs)
        if one is not None and other is not None:
            shown = [with_spread(one, digits), with_spread(other, digits)]
            yield _difference(name, figure, one.median, other.median, judge(one, other)), shown
    for figure, digits, number_of in _NUMBERS:
        before, after = number_of(mine), number_of(theirs)
        verdict: Verdict = "agree" if before == after else "differ"
        yield (
            _difference(name, figure, before, after, verdict),
            [f"{before:.{digits}f}", f"{after:.{digits}f}"],
        )


def judge(one: Spread, other: Spread) -> Verdict:
    """Decide whether two figures agree within the spreads of their launches."""
    if apart_by_chance(one.launches, other.launches) > MAX_CHANCE:
        return "undecided"
    return "agree" if one.agrees(other) else "differ"


def _difference(name: str, figure: str, first: float, second: float, verdict: Verdict) -> Difference:
    return Difference(name, figure, first, second, second / first if first else None, verdict)


def as_objects(found: Sequence[Difference]) -> list[dict[str, object]]:
    """Return the differences as objects for JSON."""
    return [{**asdict(one), "figure": _JSON_NAMES.get(one.figure, one.figure)} for one in found]


def all_agree(found: Sequence[Difference]) -> bool:
    """Return whether all figures agree, none undecided."""
    return all(one.verdict == "agree" for one in found)


def comparison_page(first: Report, second: Report) -> Page:
    """Lay out a table for each of the `pairs` of configurations, and a last line with the verdict."""
    heads = [
        f"{letter}: {device_name(report.device)}, {report.made}, {_launches(report)}{_caveat(report)}"
        for letter, report in zip("AB", (first, second), strict=True)
    ]
    parts: list[str | Part] = [Bullets(heads)]
    for mine, theirs in pairs(first, second):
        rows = []
        for one, shown in _compare_pair(mine, theirs):
            rows.append([one.figure, *shown, "-" if one.ratio is None else f"{one.ratio:.2f}", one.verdict])
        names = dict.fromkeys((mine.configuration.name, theirs.configuration.name))
        parts += [Heading(" against ".join(names)), Table(["figure", "A", "B", "B / A", "A and B"], rows)]
    chance = apart_by_chance(first.launches, second.launches)
    parts.append(
        "Figures `agree` if the ranges of the launches of A and B, in brackets, overlap, or their medians are within "
        f"{RESOLUTION:.0%}. The ranges of equal figures would not overlap once in {1.0 / chance:.0f} times."
    )
    parts.append(verdict_line(list(differences(first, second))))
    return parts


def verdict_line(found: Sequence[Difference]) -> str:
    """Write the last line: all figures agree, or which do not."""
    several = len({one.configuration for one in found}) > 1
    apart = [f"{one.figure}{f' ({one.configuration})' if several else ''}" for one in found if one.verdict == "differ"]
    undecided = sum(one.verdict == "undecided" for one in found)
    if undecided:
        more = f"; these differ: {'; '.join(apart)}" if apart else ""
        return f"UNDECIDED: {undecided} of {len(found)} figures, because each report needs 4 launches or more{more}"
    if apart:
        return f"DIFFER: {len(apart)} of {len(found)} figures: {'; '.join(apart)}"
    return f"AGREE: all {len(found)} figures"


def _launches(report: Report) -> str:
    return "1 launch" if report.launches == 1 else f"{report.launches} launches"


def _caveat(report: Report) -> str:
    return " (this machine was noisy)" if report.conditions.noisy else " (quick)" if report.quick else ""
