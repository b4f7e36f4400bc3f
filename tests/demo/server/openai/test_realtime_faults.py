"""Realtime sessions with mistakes, of clients that may not connect, or on servers that are full, stop or break."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil
import pytest
import websockets
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from edgespeech import Recognizer
from edgespeech.runtime import audio
from tests.demo.server.clients import RunningServer, running
from tests.demo.server.openai.sessions import (
    COMPLETED,
    DELTA,
    RATE,
    SHORT,
    Events,
    append,
    pcm,
    raw,
    session,
    text_of,
    until,
)  # fmt: skip

TOKEN = "correct-horse"


@pytest.fixture(scope="module")
def strict() -> Iterator[RunningServer]:
    """A server with a token and low limits."""
    limits = ("--max-streams=1", "--max-audio-minutes=0.1", "--max-message-mib=0.5")
    with running(*limits, EDGESPEECH_TOKEN=TOKEN) as started:
        yield started


APPEND = {"type": "input_audio_buffer.append"}


def update(**given: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": {"type": "transcription", "audio": {"input": given}}}


@pytest.mark.parametrize(
    ("message", "param", "wanted"),
    [
        ("no json", None, "not JSON"),
        ("[]", None, "not a JSON object"),
        (b"\0\0", None, "not a JSON object"),
        ({"type": "response.create"}, "type", "'response.create'; wanted session.update"),
        ({"type": ["session.update"]}, "type", "wanted session.update"),
        ({**APPEND, "audio": "*"}, "audio", "not base64"),
        ({**APPEND}, "audio", "wanted base64"),
        ({"type": "input_audio_buffer.commit"}, None, "no audio has arrived"),
        ({"type": "session.update"}, "session", "not an object"),
        ({"type": "session.update", "session": {"type": "realtime"}}, "session.type", "only transcribes"),
        (update(format={"type": "audio/opus"}), "session", "opus"),
        (update(format={"type": "audio/pcm", "rate": 16000}), "session.audio.input.format.rate", "wanted 24000"),
        (update(turn_detection={"silence_duration_ms": -1}), "session.audio.input.turn_detection", "wanted 0 to 60"),
        (update(transcription={"language": "de"}), "language", "'de'"),
        (update(transcription={"prompt": 3}), "session", "prompt"),
        (
            {"type": "transcription_session.update", "session": {"input_audio_format": "mp3"}},
            "session.input_audio_format", "'mp3'",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_answered_and_the_session_goes_on(
    server: RunningServer, recognizer: Recognizer, message: Any, param: str | None, wanted: str
) -> None:
    data = pcm(audio.read(SHORT, RATE))[: RATE * 2]

    async def run() -> tuple[dict[str, Any], str]:
        async with raw(server) as socket:
            await socket.recv()
            if isinstance(message, dict):
                await socket.send(json.dumps({"event_id": "mine", **message}))
            else:
                await socket.send(message)
            error = json.loads(await socket.recv())
            await socket.send(json.dumps({**APPEND, "audio": base64.b64encode(data).decode()}))
            await socket.send('{"type": "input_audio_buffer.commit"}')
            found: Events = []
            while not found or found[-1]["type"] != COMPLETED:
                found.append(json.loads(await socket.recv()))
            return error, text_of(found, COMPLETED)

    event, text = asyncio.run(run())
    error = event["error"]
    assert event["type"] == "error" and error["type"] == "invalid_request_error"
    assert error["param"] == param and wanted in error["message"]
    assert error["event_id"] == ("mine" if isinstance(message, dict) else None)
    assert text == recognizer.transcribe((np.frombuffer(data, np.int16), RATE)).text


async def refused(server: RunningServer, query: str = "?intent=transcription", **options: Any) -> int:
    try:
        async with raw(server, query, **options):
            return 101
    except websockets.InvalidStatus as error:
        return error.response.status_code


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({}, 401),
        ({"subprotocols": ["realtime", "openai-insecure-api-key.wrong"]}, 401),
        ({"subprotocols": ["realtime", f"openai-insecure-api-key.{TOKEN}"]}, 101),
        ({"additional_headers": {"Authorization": f"Bearer {TOKEN}"}}, 101),
        ({"query": f"?intent=transcription&token={TOKEN}"}, 101),
        ({"query": f"?intent=conversation&token={TOKEN}"}, 400),
    ],
)
def test_who_may_connect(strict: RunningServer, options: dict[str, Any], status: int) -> None:
    assert asyncio.run(refused(strict, **options)) == status


def test_what_ends_a_session_is_told_before_it_closes(strict: RunningServer) -> None:
    async def closing(connection: AsyncRealtimeConnection) -> tuple[Events, int]:
        found: Events = []
        try:
            while True:
                found.append((await connection.recv()).to_dict())
        except websockets.ConnectionClosedError as closed:
            assert closed.rcvd is not None
            return found, closed.rcvd.code

    async def run() -> None:
        async with session(strict, TOKEN) as first:
            await append(first, pcm(audio.read(SHORT, RATE)))
            await until(first, "input_audio_buffer.speech_started")
            async with session(strict, TOKEN) as second:
                await append(second, bytes(960))
                found, code = await closing(second)
                assert code == 1013 and found[-1]["error"]["code"] == "busy"
            await append(first, bytes(RATE * 2 * 6))
            found, code = await closing(first)
            assert code == 1008 and "longer than 6 s" in found[-1]["error"]["message"]
        async with session(strict, TOKEN) as third:
            await third.input_audio_buffer.append(audio=base64.b64encode(bytes(500000)).decode())
            assert (await closing(third))[1] == 1009

    asyncio.run(run())


def test_an_item_whose_process_ends_has_failed() -> None:
    async def run(server: RunningServer) -> Events:
        async with session(server) as connection:
            await append(connection, pcm(audio.read(SHORT, RATE)))
            found = await until(connection, "input_audio_buffer.speech_started")
            for worker in psutil.Process(server.process.pid).children(recursive=True):
                if "spawn_main" in " ".join(worker.cmdline()):
                    worker.kill()
            return found + await until(connection, "error")

    with running() as server:
        events = [one for one in asyncio.run(run(server)) if one["type"] != DELTA]
    assert [one["type"] for one in events[-3:]] == [
        "input_audio_buffer.speech_started", "conversation.item.input_audio_transcription.failed", "error",
    ]  # fmt: skip
    assert events[-2]["item_id"] == events[-3]["item_id"] and events[-2]["error"]["type"] == "server_error"
    assert "the recognition process has ended" in events[-1]["error"]["message"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs the signals of POSIX systems")
def test_a_server_that_stops_completes_items(recognizer: Recognizer) -> None:
    data = pcm(audio.read(SHORT, RATE))

    async def run(server: RunningServer) -> Events:
        async with session(server) as connection:
            await append(connection, data)
            await until(connection, "input_audio_buffer.speech_started")
            server.signal(signal.SIGTERM)
            found = await until(connection, COMPLETED)
            with pytest.raises(websockets.ConnectionClosedOK) as closed:
                await connection.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
            return found

    with running() as server:
        events = asyncio.run(run(server))
    wanted = recognizer.transcribe((np.frombuffer(data, np.int16), RATE)).text
    assert wanted.startswith(text_of(events, COMPLETED)) and text_of(events, COMPLETED)
