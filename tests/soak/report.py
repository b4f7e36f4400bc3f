"""Tables and a picture of the journals of long runs: whether memory was flat, and words were the same."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rapidfuzz.distance import Levenshtein

from edgespeech.runtime.files import replacing
from edgespeech.runtime.measure.tables import Table, output_text
from tests.soak.faulty_microphone import REMOVALS
from tests.soak.journal import read_journal
from tests.soak.programme import PART_SECONDS, PARTS

FLAT = 0.05  # of the memory after warming up
_WARM_HOURS = 1.0
_BESIDE_SECONDS = 1.5  # from the last word of a segment to a fault that may have changed it
_KEPT_SECONDS = 1.0  # before a removal, in which a word may still miss its look-ahead
_DIFFERENT = 0.05  # of the words between faults: frames and the level of the speech differ slightly after a fault
_SETTLED_SECONDS = 240.0  # after a fault, in which level and state become those of a stream without it
_SAME_SECONDS = 0.4  # between the times of one word in two runs
LOOP_SECONDS = PARTS * PART_SECONDS

Word = tuple[str, float, float]  # text, start and end in the programme


@dataclass(frozen=True)
class Steadiness:
    """How memory, threads and descriptors of one run developed; memory in MB, the means of its first and last third."""

    hours: float
    memory: tuple[float, float]
    threads: tuple[int, int]
    descriptors: tuple[int, int]
    p99_ms: float

    @property
    def growth(self) -> float:
        """Growth of the memory, as a fraction."""
        return self.memory[1] / self.memory[0] - 1.0

    @property
    def is_flat(self) -> bool:
        """Whether nothing grew."""
        counts = (self.threads, self.descriptors)
        return self.growth <= FLAT and all(last <= first for first, last in counts)


def steadiness(measurements: Sequence[dict[str, Any]]) -> Steadiness:
    """Compare the beginning and the end of the longest run, without the time in which it warms up."""
    runs: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for one in measurements:
        runs[one["run"]].append(one)
    longest = max(runs.values(), key=len)
    warm = [one for one in longest if one["audio_hours"] > _WARM_HOURS] or longest
    third = max(1, len(warm) // 3)
    first, last = warm[:third], warm[-third:]

    def mean(part: Sequence[dict[str, Any]]) -> float:
        return float(sum(one["rss_mb"] for one in part) / len(part))

    return Steadiness(
        hours=longest[-1]["audio_hours"],
        memory=(mean(first), mean(last)),
        threads=(max(one["threads"] for one in first), warm[-1]["threads"]),
        descriptors=(max(one["descriptors"] for one in first), warm[-1]["descriptors"]),
        p99_ms=sorted(one["p99_ms"] for one in warm)[len(warm) // 2],
    )


def compare_with_plain(journal: Sequence[dict[str, Any]], plain: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Count the segments of a stream without a session, and those in whose place the session has other words."""
    runs = {line["run"] for line in plain if line["kind"] == "final"}
    wanted = [line["words"] for line in plain if line["kind"] == "final"]
    got = [
        [text for text, *_ in line["words"]]
        for line in journal
        if line["kind"] == "final" and line["words"] and line["run"] in runs
    ]
    return len(wanted), sum(one != other for one, other in zip_longest(wanted, got[: len(wanted)]))


@dataclass
class Words:
    """Segments of the run without faults that were compared with the run with faults, and words before removals.

    Attributes:
        settled, different: Segments with no fault inside or in the four minutes before, and those with other words.
        soon, soon_errors, soon_words: Segments with a fault in these minutes, words that differ, and all their words.
        removals, before, lost: Segments that a removal cut, their words before it, and those that were not found.
    """

    settled: int = 0
    different: int = 0
    soon: int = 0
    soon_errors: int = 0
    soon_words: int = 0
    removals: int = 0
    before: int = 0
    lost: int = 0
    examples: tuple[str, ...] = ()


def compare_words(journal: Sequence[dict[str, Any]], reference: Sequence[dict[str, Any]]) -> Words:
    """Compare the words of a session whose microphone failed with those of a stream that had all audio."""
    ended = {line["part"]: line["run"] for line in journal if line["kind"] == "measurement"}
    found = sorted(
        ((text, start, end) for line in journal if line["kind"] == "final" for text, start, end in line["words"]
         if ended.get(int(start // PART_SECONDS)) == line["run"]),
        key=lambda word: word[1],
    )  # fmt: skip
    faults = sorted(
        ((line["start"], line["end"], line["fault"]) for line in journal if line["kind"] == "fault"),
    )
    segments = [line["words"] for line in reference if line["kind"] == "final" and line["words"]]
    result, middles = Words(), [(start + end) / 2.0 for _, start, end in found]
    for loop in range(max(ended) // PARTS + 1):
        shift = loop * LOOP_SECONDS
        for index in range(1, len(segments) - 1):
            words = [(text, start + shift, end + shift) for text, start, end in segments[index]]
            if int(words[0][1] // PART_SECONDS) not in ended or int(words[-1][2] // PART_SECONDS) not in ended:
                continue
            if not shift <= words[0][1] < shift + LOOP_SECONDS:
                continue
            low = (segments[index - 1][-1][2] + shift + words[0][1]) / 2.0
            high = (words[-1][2] + segments[index + 1][0][1] + shift) / 2.0
            here = found[bisect_left(middles, low) : bisect_left(middles, high)]
            _judge(words, here, _inside(faults, words[0][1] - _SETTLED_SECONDS, words[-1][2] + _BESIDE_SECONDS), result)
    return result


Fault = tuple[float, float, str]


def _inside(faults: Sequence[Fault], low: float, high: float) -> list[Fault]:
    return [fault for fault in faults if fault[0] <= high and fault[1] >= low]


def _judge(words: Sequence[Word], here: Sequence[Word], faults: Sequence[Fault], result: Words) -> None:
    touching = _inside(faults, words[0][1] - _BESIDE_SECONDS, words[-1][2] + _BESIDE_SECONDS)
    wanted, got = ([text for text, *_ in one] for one in (words, here))
    if not faults:
        result.settled += 1
        if wanted != got:
            result.different += 1
            result.examples = (*result.examples, f"{words[0][1]:.1f} s: {' '.join(wanted)} / {' '.join(got)}")[:10]
        return
    if not touching:
        result.soon += 1
        result.soon_errors += Levenshtein.distance(wanted, got)
        result.soon_words += len(wanted)
        return
    removal = next((fault for fault in touching if fault[2] in REMOVALS), None)
    if removal is None or len(touching) > 1 or removal[0] < words[0][1]:
        return
    result.removals += 1
    before = [word for word in words if word[2] <= removal[0] - _KEPT_SECONDS]
    result.before += len(before)
    for text, start, _ in before:
        kept = any(text == other and abs(start - other_start) < _SAME_SECONDS for other, other_start, _ in here)
        result.lost += not kept
        if not kept:
            result.examples = (*result.examples, f"{start:.1f} s: {text} lost before {removal[2]}")[:10]


def report(folder: Path, picture: Path | None) -> int:
    """Print the figures of both journals, draw them, and return 1 if something was not as it should be."""
    live, server = (read_journal(folder / name) for name in ("live.jsonl", "server.jsonl"))
    measured = {name: [one for one in lines if one["kind"] == "measurement"]
                for name, lines in (("live", live), ("server", server))}  # fmt: skip
    measured = {name: lines for name, lines in measured.items() if lines}
    states = {name: steadiness(lines) for name, lines in measured.items()}
    rows = [
        [name, f"{one.hours:.1f}", f"{one.memory[0]:.1f}", f"{one.memory[1]:.1f}", f"{one.growth:+.1%}",
         f"{one.threads[0]} / {one.threads[1]}", f"{one.descriptors[0]} / {one.descriptors[1]}", f"{one.p99_ms:.1f}"]
        for name, one in states.items()
    ]  # fmt: skip
    headings = ("run", "hours", "RSS, first third", "last third, MB", "growth", "threads", "descriptors", "p99, ms")
    pages: list[Any] = [Table(headings, rows, left=1)]
    good = all(one.is_flat for one in states.values())
    if live:
        faults = [one["fault"] for one in live if one["kind"] == "fault" and one["fault"] != "start"]
        counted = {kind: faults.count(kind) for kind in dict.fromkeys(faults)}
        pages.append("Faults of the microphone: " + ", ".join(f"{kind} {count}" for kind, count in counted.items()))
        same = [compare_with_plain(live, read_journal(path)) for path in sorted(folder.glob("plain-*.jsonl"))]
        if same:
            segments, missing = (sum(one) for one in zip(*same, strict=True))
            good = good and not missing
            pages.append(
                f"{segments} segments of a stream that was given what the session received, {missing} of them with "
                "other words in the session"
            )
        references = sorted(folder.glob("reference-*.jsonl"), key=lambda path: path.stat().st_size)
        if references:
            words = compare_words(live, read_journal(references[-1]))
            good = good and words.soon_errors <= _DIFFERENT * max(1, words.soon_words)
            pages.append(
                f"{words.settled} segments without a fault in them or in the four minutes before: {words.different} "
                f"with other words; {words.soon} sooner after a fault: {words.soon_errors} of {words.soon_words} words "
                f"differ; {words.removals} cut by a removal: {words.lost} of {words.before} words before it were lost"
            )
            pages += list(words.examples)
    if server:
        connections = [one for one in server if one["kind"] == "connection"]
        wrong = sum(not one["right"] for one in connections)
        good = good and not wrong
        cut = sum(one["vanished"] for one in connections)
        pages.append(f"{len(connections)} connections, {cut} cut by the client, {wrong} with other words")
    print(output_text(pages))
    if picture is not None:
        draw(measured, picture)
    return int(not good)


def draw(measured: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Draw memory and latency of each run over the hours of audio, as a PNG."""
    figure: Any = import_module("matplotlib.figure").Figure(figsize=(9.0, 5.0), layout="constrained")
    axes = figure.subplots(2, len(measured), sharex="col", squeeze=False)
    for column, (name, lines) in enumerate(measured.items()):
        hours = [(one["part"] + 1) * lines[0]["audio_hours"] for one in lines]
        above, below = axes[0][column], axes[1][column]
        above.plot(hours, [one["rss_mb"] for one in lines], color="#1b6ca8", label="resident")
        above.plot(hours, [one["pss_mb"] for one in lines], color="#7aa874", label="proportional (PSS)")
        above.set_ylim(bottom=0.0)
        above.set_title("live, one session" if name == "live" else "server, all its processes")
        above.set_ylabel("memory, MB")
        above.legend(frameon=False, loc="lower right")
        below.plot(hours, [one["median_ms"] for one in lines], color="#1b6ca8", label="median")
        below.plot(hours, [one["p99_ms"] for one in lines], color="#c8553d", label="99th percentile")
        below.set_yscale("log")
        below.set_ylabel("ms per block" if name == "live" else "ms per second of audio")
        below.set_xlabel("hours of audio")
        below.legend(frameon=False)
        for one in (above, below):
            one.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        figure.savefig(file, dpi=130, format="png")
