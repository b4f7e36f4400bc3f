"""The long runs in short: the virtual microphone, the journal, and what the report finds in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.soak import live, programme
from tests.soak.faulty_microphone import KINDS, REMOVALS, Fault, VirtualMicrophone, plan
from tests.soak.journal import Journal, read_journal
from tests.soak.programme import PART_SAMPLES, PART_SECONDS, RATE
from tests.soak.report import compare_with_plain, compare_words, report, steadiness


def drive(*faults: Fault, end: int = 60 * RATE) -> tuple[Any, list[tuple[str, int, int]], VirtualMicrophone]:
    reported: list[tuple[str, int, int]] = []
    microphone = VirtualMicrophone(0, end, list(faults), lambda *found: reported.append(found))
    return list(microphone.blocks()), reported, microphone


def test_the_programme_is_the_same_each_time_and_repeats() -> None:
    first = programme.part(0).copy()
    programme.part.cache_clear()
    assert np.array_equal(programme.part(0), first) and len(first) == PART_SAMPLES
    assert np.array_equal(programme.part(programme.PARTS), first)
    across = programme.block(PART_SAMPLES - 100, 480)
    assert np.array_equal(across, np.concatenate([programme.part(0)[-100:], programme.part(1)[:380]]))


def test_every_removal_is_planned_and_every_other_kind_too() -> None:
    kinds = [fault.kind for part in range(24) for fault in plan(part)]
    assert set(kinds) == set(KINDS) and sum(kind in REMOVALS for kind in kinds) == 24
    assert all(part * PART_SAMPLES < fault.at < (part + 1) * PART_SAMPLES for part in range(24) for fault in plan(part))


def test_without_faults_the_source_gives_the_programme() -> None:
    blocks, reported, microphone = drive()
    got = np.concatenate([block.samples for block, _ in blocks])
    assert np.array_equal(got, programme.part(0)[: len(got)]) and len(got) == 60 * RATE
    assert reported == [] and not any(microphone.source.counts().values())


@pytest.mark.parametrize(("kind", "seconds"), [(kind, max(low, 0.5)) for kind, (low, _) in KINDS.items()])
def test_after_each_fault_the_programme_goes_on_where_it_is(kind: str, seconds: float) -> None:
    blocks, reported, microphone = drive(Fault(10 * RATE, kind, seconds), end=120 * RATE)
    (name, start, end), after = reported[0], blocks[-2]
    assert len(reported) == 1 and start >= 10 * RATE and end < 70 * RATE
    samples, position = after[0].samples, after[1]
    assert np.array_equal(samples, programme.block(position - len(samples), len(samples)))
    removed = kind in (*REMOVALS, "jump while away")
    assert (microphone.source.counts()["unplugged"] == 1) == removed
    assert max(len(block.samples) for block, _ in blocks) <= 30 * RATE
    assert name == ("jumped while away" if kind == "jump while away" else kind)


def test_a_journal_is_read_up_to_a_torn_line_and_goes_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "a.jsonl")
    journal.add("final", words=[])
    journal.close()
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write('{"kind": "fin')
    journal = Journal(tmp_path / "a.jsonl")
    assert len(journal.of("final")) == 1
    journal.add("end")
    journal.close()
    assert [line["kind"] for line in read_journal(tmp_path / "a.jsonl")] == ["final", "end"]


def measurement(part: int, **changed: Any) -> dict[str, Any]:
    values = {"kind": "measurement", "run": 1, "part": part, "audio_hours": (part + 1) / 6, "rss_mb": 200.0}
    values |= {"pss_mb": 150.0, "threads": 2, "descriptors": 9, "median_ms": 0.1, "p99_ms": 10.0, "cpu_seconds": 1.0}
    return values | changed


def test_growth_is_found() -> None:
    flat = [measurement(part) for part in range(36)]
    assert steadiness(flat).is_flat and steadiness(flat).hours == 6.0
    assert not steadiness([measurement(part, rss_mb=200.0 + part) for part in range(36)]).is_flat
    for name in ("threads", "descriptors"):
        assert not steadiness([measurement(part, **{name: 9 + (part > 33)}) for part in range(36)]).is_flat


def final(*words: tuple[str, float], **more: Any) -> dict[str, Any]:
    return {"kind": "final", "words": [(text, start, start + 0.3) for text, start in words], **more}


@pytest.mark.parametrize(
    ("faults", "words", "found"),
    [
        ([], (("b", 320.0), ("c", 321.0)), (1, 0, 0, 0, 0)),
        ([], (("b", 320.0), ("x", 321.0)), (1, 1, 0, 0, 0)),
        ([("hiccup", 320.5, 321.0)], (("b", 320.0),), (0, 0, 0, 0, 0)),
        ([("hiccup", 220.5, 221.0)], (("b", 320.0), ("x", 321.0)), (0, 0, 1, 0, 0)),
        ([("hiccup", 20.5, 21.0)], (("b", 320.0), ("x", 321.0)), (1, 1, 0, 0, 0)),
        ([("unplugged", 321.5, 325.0)], (("b", 320.0),), (0, 0, 0, 1, 0)),
        ([("dead", 321.5, 325.0)], (("x", 320.0),), (0, 0, 0, 1, 1)),
        ([("dead", 325.0, 327.0)], (("b", 320.0), ("c", 321.0)), (1, 0, 0, 0, 0)),
    ],
)
def test_words_are_compared_where_no_fault_was_and_kept_before_a_removal(
    faults: Any, words: Any, found: tuple[int, ...]
) -> None:
    reference = [final(("a", 10.0)), final(("b", 320.0), ("c", 321.0)), final(("d", 330.0))]
    journal = [{"kind": "fault", "fault": kind, "start": start, "end": end} for kind, start, end in faults]
    journal += [final(("a", 10.0), run=1), final(*words, run=1), final(("d", 330.0), run=1), measurement(0)]
    result = compare_words(journal, reference)
    assert (result.settled, result.different, result.soon, result.removals, result.lost) == found


def test_words_that_a_session_lost_are_found() -> None:
    plain = [{"kind": "final", "run": 1, "words": [text]} for text in "abc"]
    journal = [final((text, 1.0), run=1) for text in "abcd"]
    assert compare_with_plain(journal, plain) == (3, 0)
    assert compare_with_plain(journal[:2], plain) == (3, 1)
    assert compare_with_plain([journal[0], journal[2]], plain) == (3, 2)


@pytest.mark.slow
def test_a_part_of_a_day(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    live.run_faulty(tmp_path, 1)
    live.run_faulty(tmp_path, 1)
    live.run_plain(tmp_path)
    live.run_reference(tmp_path, 1)
    lines = read_journal(tmp_path / "live.jsonl")
    assert [line["part"] for line in lines if line["kind"] == "measurement"] == [0]
    assert report(tmp_path, tmp_path / "soak.png") == 0
    assert "received, 0 of them with" in capsys.readouterr().out
    assert (tmp_path / "soak.png").stat().st_size > 10_000 and PART_SECONDS == 600
