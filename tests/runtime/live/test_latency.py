"""The parts of the latency add up; delays and revisions of words are measured from the events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgespeech.runtime.audio import resampling_delay
from edgespeech.runtime.live.latency import LatencyBreakdown, latency_budget, resampling_row
from edgespeech.runtime.live.session import run_session
from edgespeech.runtime.live.sources import Block
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Event
from tests.runtime.live.stand_ins import RATE, CollectingOutput, FakeSource, final


def partial(text: str, latency_ms: float = 0.0) -> Event:
    return Event("partial", text, latency_ms=latency_ms)


@pytest.mark.parametrize("fast", [True, False])
def test_the_parts_of_the_latency_add_up(tiny_bundle: Any, fast: bool) -> None:
    audio = tiny_bundle.manifest.audio
    rows = latency_budget(audio, audio.chunk_samples, 0.007, 1.0, fast).rows()
    values = {row[2:14].strip(): row[14:23].strip() for row in rows}
    lookahead = audio.lookahead_seconds * 1000.0
    assert values == {
        "window": "0 ms",
        "chunk": "40 ms",
        "look-ahead": f"{lookahead:.0f} ms",
        "compute": "7 ms",
        "word shown": f"{47 + (0 if fast else lookahead):.0f} ms",
        "endpoint": "1000 ms",
        "final": "1047 ms",
    }
    assert "1087 ms at most" in rows[-1]
    short = latency_budget(audio, audio.chunk_samples, 0.007, 0.04, fast).rows()
    assert f"{40 + lookahead + 40 + 7:.0f} ms" in short[-1], "the last label has to be certain"
    assert not any("final" in row for row in latency_budget(audio, audio.chunk_samples, None, None).rows())


@pytest.mark.parametrize(("compute", "behind"), [(None, False), (0.079, False), (0.145, True)])
def test_computing_for_longer_than_a_chunk_lasts_is_reported(
    tiny_bundle: Any, compute: float | None, behind: bool
) -> None:
    audio = tiny_bundle.manifest.audio
    last = latency_budget(audio, audio.chunk_samples, compute, 1.0).rows()[-1]
    assert last.startswith("  cannot keep up in real time: a chunk of 80 ms takes 145 ms") is behind


@pytest.mark.parametrize(("rate", "low", "high"), [(16000, 0, 0), (48000, 15, 27), (44100, 17, 29), (8000, 50, 75)])
def test_the_resampler_has_a_line_of_its_own(tiny_bundle: Any, rate: int, low: int, high: int) -> None:
    audio = tiny_bundle.manifest.audio
    rows = latency_budget(audio, audio.chunk_samples, 0.007, 1.0, resampling=resampling_delay(rate)).rows()
    values = {row[2:14].strip(): int(row[14:23].split()[0]) for row in rows}
    assert low <= values["resampling"] <= high
    assert values["word shown"] == pytest.approx(40 + 7 + values["resampling"], abs=1)
    assert values["final"] == pytest.approx(1047 + values["resampling"], abs=1)
    assert f"{values['resampling']} ms from {rate / 1000:g} kHz" in resampling_row(audio, [rate])


def test_a_word_counts_from_its_first_appearance_in_final_form() -> None:
    breakdown = LatencyBreakdown()
    spoken = final("one two three", start=1.0)  # ends at 1.5, 2.5 and 3.5 s
    breakdown.step(partial("on"), 1.6)
    breakdown.step(partial("one", 100.0), 1.9)
    breakdown.step(partial("one to"), 2.5)
    breakdown.step(partial("one two tree"), 3.0)
    breakdown.step(replace(spoken, latency_ms=50.0), 4.5)
    assert breakdown.word_delays == pytest.approx([2.0 - 1.5, 3.0 - 2.5, 4.55 - 3.5])
    assert breakdown.final_delays == pytest.approx([4.55 - 3.5])
    assert breakdown.revisions == 0


def test_revisions_are_changes_of_words_that_others_followed() -> None:
    breakdown = LatencyBreakdown()
    for text in ("i sea", "i see a", "eye see a", "eye see a ship"):
        breakdown.step(partial(text), 1.0)
    assert breakdown.revisions == 2  # "i" and "see" behind it
    breakdown.step(final("eye see a ship"), 2.0)
    breakdown.step(partial("next"), 3.0)
    assert breakdown.revisions == 2


class HoldingSource(FakeSource):
    """Holds back 0.25 s on average."""

    def __iter__(self) -> Iterator[Block]:
        for index, block in enumerate(super().__iter__()):
            yield replace(block, held_seconds=0.2 + 0.1 * (index % 2))


def test_what_the_source_holds_is_a_part_of_the_latency(tiny_bundle: Any) -> None:
    output = CollectingOutput()
    run_session(Recognizer(tiny_bundle), [HoldingSource(0.1, 0.1)], output, latency_report=True)
    (row,) = [row for row in output.texts("status") if row.startswith("  resampling")]
    assert "250 ms" in row


def test_a_session_prints_its_latency_report_at_the_end(tiny_bundle: Any) -> None:
    recognizer = Recognizer(tiny_bundle, beam_width=4, min_evidence=0.0)
    loud = np.random.default_rng(0).uniform(0.1, 0.5, 3).tolist()
    for report in (True, False):
        output = CollectingOutput()
        run_session(recognizer, [FakeSource(*loud)], output, latency_report=report)
        status = output.texts("status")
        assert any("look-ahead" in row for row in status) is report
        assert any("measured" in row for row in status) is report
    assert RATE == recognizer.sample_rate
