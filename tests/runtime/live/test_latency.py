"""The parts of the latency add up; delays and revisions of words are measured from the events."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgespeech.runtime.audio import resampling_delay
from edgespeech.runtime.decoder.hypothesis import Word
from edgespeech.runtime.live.latency import LatencyBreakdown, latency_budget, resampling_part
from edgespeech.runtime.live.outputs import event_line
from edgespeech.runtime.live.session import run_session
from edgespeech.runtime.live.sources import Block
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Event
from tests.runtime.live.stand_ins import RATE, CollectingOutput, FakeSource, FakeStream, final


def partial(text: str, latency_ms: float = 0.0) -> Event:
    return Event("partial", text, latency_ms=latency_ms)


@pytest.mark.parametrize("fast", [True, False])
def test_the_parts_of_the_latency_add_up(tiny_bundle: Any, fast: bool) -> None:
    audio = tiny_bundle.manifest.audio
    rows = latency_budget(audio, audio.chunk_samples, 0.007, 1.0, fast).rows()
    values = {row[2:15].strip(): row[15:24].strip() for row in rows}
    lookahead = audio.lookahead_seconds * 1000.0
    assert values == {
        "window": "0 ms",
        "chunk wait": "40 ms",
        "look-ahead": f"{lookahead:.0f} ms",
        "compute time": "7 ms",
        "latency": f"{47 + (0 if fast else lookahead):.0f} ms",
        "endpoint wait": "1000 ms",
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
    values = {row[2:15].strip(): int(row[15:24].split()[0]) for row in rows}
    assert low <= values["resampling"] <= high
    assert values["latency"] == pytest.approx(40 + 7 + values["resampling"], abs=1)
    assert values["final"] == pytest.approx(1047 + values["resampling"], abs=1)
    assert f"{values['resampling']} ms from {rate / 1000:g} kHz" in resampling_part(audio, [rate])[2]


def test_a_word_counts_from_its_first_appearance_in_final_form() -> None:
    breakdown = LatencyBreakdown()
    spoken = final("one two three", start=1.0)  # ends at 1.5, 2.5 and 3.5 s
    breakdown.step(partial("on"), 1.6)
    breakdown.step(partial("one", 100.0), 1.9)
    breakdown.step(partial("one to"), 2.5)
    breakdown.step(partial("one two tree"), 3.0)
    median = breakdown.step(replace(spoken, latency_ms=50.0), 4.5)
    assert list(breakdown.word_delays) == pytest.approx([2.0 - 1.5, 3.0 - 2.5, 4.55 - 3.5])
    assert list(breakdown.final_delays) == pytest.approx([4.55 - 3.5])
    assert median == pytest.approx(500.0)
    assert breakdown.revisions == 0


def test_characters_that_are_words_count_one_by_one() -> None:
    breakdown = LatencyBreakdown()
    words = tuple(Word(one, 0.5 * at, 0.5 * at + 0.04, 0.9, joined=at > 0) for at, one in enumerate("打开灯"))
    breakdown.step(partial("打"), 0.2)
    breakdown.step(partial("打开"), 0.9)
    breakdown.step(Event("final", "打开灯", "打开灯", "", 0.0, 1.04, words), 1.5)
    assert list(breakdown.word_delays) == pytest.approx([0.2 - 0.04, 0.9 - 0.54, 1.5 - 1.04])


def test_revisions_are_changes_of_words_that_others_followed() -> None:
    breakdown = LatencyBreakdown()
    for text in ("i sea", "i see a", "eye see a", "eye see a ship"):
        breakdown.step(partial(text), 1.0)
    assert breakdown.revisions == 2  # "i" and "see" behind it
    breakdown.step(final("eye see a ship"), 2.0)
    breakdown.step(partial("next"), 3.0)
    assert breakdown.revisions == 2


class SlowTerminal(CollectingOutput):
    """Takes at least 30 ms to show a partial."""

    def show(self, event: Event, source: str = "") -> None:  # noqa: D102
        if event.type == "partial":
            time.sleep(0.03)
        super().show(event, source)


def test_the_latency_of_a_final_ends_when_its_words_are_on_the_screen() -> None:
    class Stream(FakeStream):
        def accept(self, samples: Any) -> list[Event]:
            self.blocks += 1
            return [partial("part", 5.0)] if self.blocks < 3 else [final("part", 0.5)]  # ends at 1.0 s

    recognizer: Any = SimpleNamespace(sample_rate=RATE, stream=lambda *_: Stream())
    for output, shown_ms in ((CollectingOutput(), 0.0), (SlowTerminal(), 30.0)):
        source = FakeSource(0.5, 0.5, 0.5)
        source.arrives = time.perf_counter
        run_session(recognizer, [source], output)
        event = next(event for event in output.events if event.type == "final")
        assert event.word_latency_ms is not None
        assert event.word_latency_ms >= 5.0 + shown_ms
        assert json.loads(event_line(event))["word_latency_ms"] == round(event.word_latency_ms)
        assert "word_latency_ms" not in json.loads(event_line(output.events[0]))


class HoldingSource(FakeSource):
    """Holds back 0.25 s on average."""

    def __iter__(self) -> Iterator[Block]:
        for index, block in enumerate(super().__iter__()):
            yield replace(block, held_seconds=0.2 + 0.1 * (index % 2))


def test_what_the_source_holds_is_a_part_of_the_latency(tiny_bundle: Any) -> None:
    output, source = CollectingOutput(), HoldingSource(0.1, 0.1)
    source.device_seconds = 0.06
    run_session(Recognizer(tiny_bundle), [source], output, latency_report=True)
    (row,) = [row for row in output.texts("status") if row.startswith("  resampling")]
    assert "250 ms" in row
    (row,) = [row for row in output.texts("status") if row.startswith("  device")]
    assert row.split()[1] == "?" and row.endswith("the sound system states 60 ms")


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
