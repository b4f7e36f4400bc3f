"""When a Wyoming client gets its transcript: live clients at the end of speech, recordings at their end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from wyoming.event import Event as WyomingEvent

from edgespeech.demo.server.utterance import Utterance
from edgespeech.runtime.audio import RawFormat
from edgespeech.runtime.transcript import Event


@dataclass
class Audio:
    """Stands for a stream: its length."""

    seconds: float = 0.0


@dataclass
class Case:
    """An utterance with a clock, and what it sends."""

    clock: float = 100.0
    sent: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.audio = Audio()
        self.utterance = Utterance(cast(Any, self.audio), RawFormat(), self._send, "en")
        self.utterance.count_arrived(0, self.clock)

    async def _send(self, event: WyomingEvent) -> None:
        self.sent.append((event.type.removeprefix("transcript"), event.data.get("text", "")))

    def arrive(self, seconds: float, waited: float) -> None:
        """Let audio arrive after a time."""
        self.clock += waited
        self.utterance.count_arrived(round(seconds * 32000), self.clock)
        self.audio.seconds += seconds

    def answer(self, *events: Event, last: bool = False) -> list[tuple[str, str]]:
        """Return what is sent because of the events."""
        self.sent.clear()
        asyncio.run((self.utterance.answer_last if last else self.utterance.answer)(list(events)))
        return list(self.sent)


def partial(text: str, committed: str) -> Event:
    return Event("partial", text, committed)


def final(text: str) -> Event:
    return Event("final", text, text)


@pytest.fixture
def case() -> Case:
    return Case()


def test_a_live_client_has_one_transcript_for_each_time_it_speaks(case: Case) -> None:
    case.arrive(1.0, waited=0.5)
    assert case.answer(partial("turn on", "turn ")) == [("-start", ""), ("-chunk", "turn ")]
    case.arrive(1.0, waited=1.0)
    assert case.answer(final("turn on")) == [("-chunk", "on"), ("", "turn on"), ("-stop", "")]
    assert case.answer(final("the light")) == [
        ("-start", ""),
        ("-chunk", "the light"),
        ("", "the light"),
        ("-stop", ""),
    ]
    assert case.answer(last=True) == []


def test_a_recording_has_one_transcript_of_all_segments(case: Case) -> None:
    case.arrive(5.0, waited=0.1)
    assert case.answer(final("turn on"), partial("the", "")) == [("-start", ""), ("-chunk", "turn on")]
    assert case.answer(final("the light"), last=True) == [
        ("-chunk", " the light"), ("", "turn on the light"), ("-stop", ""),
    ]  # fmt: skip


def test_a_client_that_was_ahead_once_sends_a_recording(case: Case) -> None:
    case.arrive(5.0, waited=0.1)
    case.arrive(0.1, waited=60.0)
    assert case.answer(final("turn on")) == [("-start", ""), ("-chunk", "turn on")]


def test_what_was_kept_before_a_wake_word_is_not_a_recording(case: Case) -> None:
    case.arrive(1.5, waited=0.0)
    assert case.answer(final("turn on"))[-2:] == [("", "turn on"), ("-stop", "")]


@pytest.mark.parametrize("event", [partial("", ""), partial("so", "so")])
def test_a_live_client_that_does_not_speak_has_an_empty_transcript(case: Case, event: Event) -> None:
    case.arrive(15.5, waited=15.5)
    case.answer(event)
    case.arrive(1.0, waited=1.0)
    assert case.answer() == []
    sent = case.answer(last=True)
    assert sent == ([("", ""), ("-stop", "")] if event.text else [])


def test_words_that_were_withdrawn_end_in_an_empty_transcript(case: Case) -> None:
    case.arrive(1.0, waited=1.0)
    case.answer(partial("uh", "uh"))
    assert case.answer(partial("", "")) == []
    assert case.answer(last=True) == [("", ""), ("-stop", "")]


def test_silence_alone_has_an_empty_transcript_at_its_end(case: Case) -> None:
    assert case.answer(last=True) == [("-start", ""), ("", ""), ("-stop", "")]
