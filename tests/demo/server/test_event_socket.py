"""Our own websocket: the events of ``edgespeech live --json``."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import websockets

from edgespeech.runtime.measure.word_errors import word_edit_distance
from tests.demo.server.clients import RATE, RunningServer, pieces, stream_text
from tests.demo.server.conftest import Clip


def talk(url: str, *messages: str | bytes | dict[str, Any]) -> tuple[list[dict[str, Any]], int | None]:
    """Send messages, and return all replies and the code with which the server closed."""

    async def run() -> tuple[list[dict[str, Any]], int | None]:
        found = []
        async with websockets.connect(url) as socket:
            for message in messages:
                await socket.send(json.dumps(message) if isinstance(message, dict) else message)
            try:
                async for reply in socket:
                    found.append(json.loads(reply))
            except websockets.ConnectionClosedError:
                pass
        return found, socket.close_code

    return asyncio.run(run())


FINISH = {"type": "finish"}


def test_words_equal_those_of_transcribe(server: RunningServer, clips: list[Clip]) -> None:
    for clip in clips[:3]:
        assert asyncio.run(stream_text(server.stream_url, clip.audio)) == clip.text


def test_events_are_those_of_live(server: RunningServer, clips: list[Clip]) -> None:
    start = {"type": "start", "nbest": 3, "fast_partials": True}
    (ready, *events), code = talk(server.stream_url, start, *pieces(clips[0].audio), FINISH)
    assert code == 1000 and ready["type"] == "ready" and ready["bundle"] == "edge"
    assert {event["type"] for event in events} == {"partial", "final"}
    assert {"type", "text", "committed", "tentative", "start", "end", "latency_ms"} == set(events[0])
    finals = [event for event in events if event["type"] == "final"]
    assert len(finals) == 2 and all(len(event["nbest"]) == 3 and event["words"] for event in finals)


def test_audio_needs_no_start(server: RunningServer, clips: list[Clip]) -> None:
    (_, *events), _ = talk(server.stream_url, clips[2].audio, FINISH)
    assert events[-1]["text"] == clips[2].text


def test_a_segment_ends_when_the_client_wants_it(server: RunningServer, clips: list[Clip]) -> None:
    audio, end = clips[2].audio, {"type": "end_segment"}
    (_, *events), _ = talk(server.stream_url, {"type": "start", "endpoint": 0}, audio, end, audio, FINISH)
    first, second = (event["text"] for event in events if event["type"] == "final")
    # The acoustic state goes on, so a word may differ.
    assert first == clips[2].text and word_edit_distance(first, second) <= 1


def test_hot_words_and_grammars_are_spelled_as_people_write_them(server: RunningServer, clips: list[Clip]) -> None:
    audio = clips[0].audio
    (_, *events), _ = talk(server.stream_url, {"type": "start", "hot_words": {"Warmer!": 8.0}}, audio, FINISH)
    assert "warmer" in events[-1]["text"] and "warmer" not in clips[0].text
    (_, *later), _ = talk(server.stream_url, {"type": "hot_words", "hot_words": ["Warmer"]}, audio, FINISH)
    assert "warmer" in later[-1]["text"]
    (_, *events), _ = talk(server.stream_url, {"type": "start", "grammar": ["First", "same as"]}, audio, FINISH)
    words = {word for event in events if event["type"] == "final" for word in event["text"].split()}
    assert words == {"first", "same", "as", "<unknown>"}


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("hello", "not JSON of the type"),
        ('{"type": "begin"}', "not JSON of the type"),
        ('{"type": "start", "model": "/etc/passwd"}', "unknown field `model`"),
        ('{"type": "start", "nbest": "many"}', "Expected `int`"),
        ('{"type": "start", "nbest": 1000}', "1000 hypotheses"),
        ('{"type": "start", "format": "mp3"}', "raw audio 'mp3'"),
        ('{"type": "start", "endpoint": -1}', "an endpoint after -1 s"),
        ('{"type": "start", "hot_words": ["7"]}', "'7' cannot be spelled"),
        ('{"type": "start", "hot_words": {"light": 1000}}', "boost 1000"),
        (json.dumps({"type": "start", "hot_words": ["a" * 201]}), "a phrase of 201 characters"),
        (json.dumps({"type": "start", "grammar": ["a"] * 1001}), "1001 phrases"),
        ('{"type": "start", "grammar": []}', "the grammar has no phrases"),
        ('{"type": "start", "grammar": ["a"], "hot_words": ["b"]}', "the two clash"),
        ("[" * 100000, "not JSON of the type"),
    ],
)
def test_an_invalid_message_is_answered_and_ends_the_connection(
    server: RunningServer, message: str, wanted: str
) -> None:
    replies, code = talk(server.stream_url, message, bytes(320), FINISH)
    assert code == 1008 and replies[-1]["type"] == "error" and wanted in replies[-1]["message"]


def test_a_second_start_is_refused(server: RunningServer) -> None:
    replies, code = talk(server.stream_url, bytes(320), {"type": "start"})
    assert code == 1008 and "start came after the first message" in replies[-1]["message"]


def test_samples_may_be_cut_anywhere(server: RunningServer, clips: list[Clip]) -> None:
    parts = pieces(clips[2].audio, 7777)
    (_, *events), _ = talk(server.stream_url, *parts, FINISH)
    assert events[-1]["text"] == clips[2].text and RATE == 16000
