"""The order of a realtime session's events, from the events of the engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from edgespeech.demo.server.openai.realtime_items import Items
from edgespeech.runtime.decoder.hypothesis import Word
from edgespeech.runtime.transcript import Event

COMMITTED = "input_audio_buffer.committed"
STARTED, STOPPED = "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"


def partial(committed: str, tentative: str = "", end: float = 1.0) -> Event:
    return Event("partial", committed + tentative, committed, tentative, end=end)


def final(text: str, start: float, end: float) -> Event:
    words = tuple(Word(word, start, end, 0.5) for word in text.split())
    return Event("final", text, text, "", start, end, words)


def items(prefix_seconds: float | None, flat: bool = False) -> Items:
    made = Items(flat)
    made.configure(flat, False, prefix_seconds)
    return made


def names(messages: Iterable[dict[str, Any]]) -> list[str]:
    """The types, the long prefix of which is left out, with the text that they carry."""
    found = []
    for one in messages:
        short = one["type"].removeprefix("conversation.item.").removeprefix("input_audio_transcription.")
        found.append(short + "".join(f" {one[key]!r}" for key in ("delta", "transcript") if key in one))
    return found


def test_a_segment_that_the_server_ends_is_an_item() -> None:
    state = items(0.3)
    messages = [
        *state.take([partial("", "he"), partial("he ", "will", 1.5)]),
        *state.take([final("he will be", 0.5, 2.0)]),
        *state.take([final("yes", 3.0, 3.4)]),
    ]
    assert names(messages) == [
        STARTED, "delta 'he '", STOPPED, COMMITTED, "added", "done", "delta 'will be'", "completed 'he will be'",
        STARTED, STOPPED, COMMITTED, "added", "done", "delta 'yes'", "completed 'yes'",
    ]  # fmt: skip
    first, second = messages[0]["item_id"], messages[8]["item_id"]
    assert first != second and messages[3]["previous_item_id"] is None and messages[10]["previous_item_id"] == first
    assert (messages[0]["audio_start_ms"], messages[2]["audio_end_ms"]) == (700, 2000)
    assert (messages[8]["audio_start_ms"], messages[9]["audio_end_ms"]) == (2700, 3400)
    assert messages[7]["usage"] == {"type": "duration", "seconds": 1.3}
    assert len({one["event_id"] for one in messages}) == len(messages)


def test_without_turn_detection_only_a_commit_ends_an_item() -> None:
    state = items(None)
    messages = [
        *state.take([partial("he"), final("he will", 0.5, 2.0), partial("be", end=3.0)]),
        *state.commit([final("be back", 2.5, 3.5)], 4.0),
        *state.commit([], 5.0),
    ]
    assert names(messages) == [
        "delta 'he'", "delta ' will'", "delta ' be'",
        COMMITTED, "added", "done", "delta ' back'", "completed 'he will be back'",
        COMMITTED, "added", "done", "completed ''",
    ]  # fmt: skip
    assert [one["usage"]["seconds"] for one in messages if "usage" in one] == [4.0, 1.0]


def test_the_older_form_has_one_event_for_the_item() -> None:
    assert names(items(None, flat=True).commit([], 1.0)) == [COMMITTED, "created", "completed ''"]


def test_words_that_were_noise_complete_an_empty_item() -> None:
    state = items(0.0)
    assert names(state.take([partial("", "he"), partial("")])) == [
        STARTED, STOPPED, COMMITTED, "added", "done", "completed ''",
    ]  # fmt: skip
    assert names(state.take([partial("")])) == []


def test_a_cleared_item_is_forgotten() -> None:
    state = items(0.0)
    (started,) = state.take([partial("", "he")])
    assert names(state.clear()) == ["input_audio_buffer.cleared"]
    (again,) = state.take([partial("", "she")])
    assert started["item_id"] != again["item_id"]


def test_only_an_item_that_has_begun_can_fail() -> None:
    state = items(0.0)
    assert list(state.fail({"message": "lost"})) == []
    (started,) = state.take([partial("", "he")])
    (failed,) = state.fail({"message": "lost"})
    assert failed["item_id"] == started["item_id"] and failed["error"] == {"message": "lost"}
    assert failed["type"] == "conversation.item.input_audio_transcription.failed"


@pytest.mark.parametrize("prefix", [0.0, None])
def test_times_go_on_in_another_stream(prefix: float | None) -> None:
    state = items(prefix)
    list(state.commit([], 10.0))
    state.begin_stream(10.0)
    messages = [*state.take([final("yes", 1.0, 2.0)]), *(state.commit([], 3.0) if prefix is None else ())]
    if prefix is not None:
        assert (messages[0]["audio_start_ms"], messages[1]["audio_end_ms"]) == (11000, 12000)
    assert messages[-1]["usage"]["seconds"] == (1.0 if prefix is not None else 3.0)
