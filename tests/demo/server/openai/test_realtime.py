"""Realtime transcription by the package ``openai[realtime]``, and in the older form as pages use it."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import numpy as np
import pytest

from edgespeech import Recognizer
from edgespeech.runtime import audio
from edgespeech.runtime.audio import RawFormat
from tests.demo.server.clients import RunningServer
from tests.demo.server.openai.sessions import (
    COMPLETED,
    DELTA,
    PAUSE,
    RATE,
    SHORT,
    Events,
    append,
    g711,
    pcm,
    raw,
    session,
    text_of,
    until,
)  # fmt: skip


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/pcmu", "audio/pcma"])
def test_a_commit_gives_the_words_of_transcribe(server: RunningServer, recognizer: Recognizer, kind: Any) -> None:
    chosen = {"audio/pcm": RawFormat("s16le", RATE), "audio/pcmu": RawFormat("mulaw", 8000),
              "audio/pcma": RawFormat("alaw", 8000)}[kind]  # fmt: skip
    samples = audio.read(PAUSE, int(chosen.sample_rate))
    data = pcm(samples) if kind == "audio/pcm" else g711(samples, chosen.encoding)

    async def run() -> Events:
        async with session(server) as connection:
            (created,) = await until(connection, "session.created")
            assert created["session"]["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": RATE}
            await connection.session.update(
                session={
                    "type": "transcription",
                    "audio": {"input": {
                        "format": {"type": kind}, "turn_detection": None,
                        "transcription": {"model": "gpt-4o-transcribe", "language": "en"},
                    }},
                    "include": ["item.input_audio_transcription.logprobs"],
                }
            )  # fmt: skip
            (updated,) = await until(connection, "session.updated")
            chosen = updated["session"]["audio"]["input"]
            assert (chosen["format"]["type"], chosen["turn_detection"]) == (kind, None)
            await append(connection, data)
            await connection.input_audio_buffer.commit()
            return await until(connection, COMPLETED)

    events = asyncio.run(run())
    expected = recognizer.transcribe((chosen.decode(data), int(chosen.sample_rate)))
    assert text_of(events, COMPLETED) == text_of(events, DELTA) == expected.text != ""
    assert len(expected.segments) > 1
    others = [one["type"] for one in events if one["type"] != DELTA]
    assert others == ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done", COMPLETED]
    assert len({one["item_id"] for one in events if "item_id" in one}) == 1
    assert events[-1]["usage"] == {
        "type": "duration",
        "seconds": round(len(data) / chosen.frame_bytes / chosen.sample_rate, 3),
    }
    assert "".join(one["token"] for one in events[-1]["logprobs"]).split() == expected.text.split()


def test_the_server_ends_items_at_pauses(server: RunningServer, recognizer: Recognizer) -> None:
    data = pcm(np.concatenate([audio.read(PAUSE, RATE), np.zeros(2 * RATE, np.float32)]))
    expected = recognizer.transcribe((np.frombuffer(data, np.int16), RATE))

    async def run() -> Events:
        async with session(server) as connection:
            await append(connection, data)
            found: Events = []
            while [one["type"] for one in found].count(COMPLETED) < len(expected.segments):
                found += await until(connection, COMPLETED)
            return found

    events = asyncio.run(run())
    assert text_of(events, COMPLETED) == expected.text
    assert [one["transcript"] for one in events if one["type"] == COMPLETED] == [one.text for one in expected.segments]
    created, *rest = [one for one in events if one["type"] != DELTA]
    assert created["session"]["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 1000.0
    each = ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "input_audio_buffer.committed",
            "conversation.item.added", "conversation.item.done", COMPLETED]  # fmt: skip
    assert [one["type"] for one in rest] == each * len(expected.segments)
    for number, segment in enumerate(expected.segments):
        started, stopped = rest[6 * number], rest[6 * number + 1]
        assert stopped["audio_end_ms"] == round(segment.end * 1000)
        assert started["audio_start_ms"] < stopped["audio_end_ms"]


def test_silence_of_the_client_ends_items(server: RunningServer, recognizer: Recognizer) -> None:
    data = pcm(np.concatenate([audio.read(PAUSE, RATE), np.zeros(RATE, np.float32)]))
    wanted = Recognizer(beam_width=64, endpoint_seconds=0.3).transcribe((np.frombuffer(data, np.int16), RATE))
    assert len(wanted.segments) > len(recognizer.transcribe((np.frombuffer(data, np.int16), RATE)).segments)

    async def run() -> Events:
        async with session(server) as connection:
            detection: Any = {"type": "server_vad", "silence_duration_ms": 300}
            await connection.session.update(
                session={"type": "transcription", "audio": {"input": {"turn_detection": detection}}}
            )
            await append(connection, data)
            await connection.input_audio_buffer.commit()
            found = await until(connection, COMPLETED)
            while len([one for one in found if one["type"] == COMPLETED and one["transcript"]]) < len(wanted.segments):
                found += await until(connection, COMPLETED)
            return found

    events = asyncio.run(run())
    assert [one["transcript"] for one in events if one["type"] == COMPLETED][: len(wanted.segments)] == [
        one.text for one in wanted.segments
    ]


def test_clear_forgets_what_was_said(server: RunningServer, recognizer: Recognizer) -> None:
    data = pcm(audio.read(SHORT, RATE))

    async def run() -> Events:
        async with session(server) as connection:
            detection: Any = None
            await connection.session.update(
                session={"type": "transcription", "audio": {"input": {"turn_detection": detection}}}
            )
            await append(connection, pcm(audio.read(PAUSE, RATE)))
            await connection.input_audio_buffer.clear()
            await until(connection, "input_audio_buffer.cleared")
            await append(connection, data)
            await connection.input_audio_buffer.commit()
            return await until(connection, COMPLETED)

    events = asyncio.run(run())
    wanted = recognizer.transcribe((np.frombuffer(data, np.int16), RATE)).text
    assert text_of(events, COMPLETED) == text_of(events, DELTA) == wanted


def test_prompt_and_keywords_are_hot_words(server: RunningServer) -> None:
    data = pcm(audio.read(SHORT, RATE))
    phrase = "he will be bach"
    wanted = Recognizer(beam_width=64, hot_words={phrase: 8.0}).transcribe((np.frombuffer(data, np.int16), RATE)).text

    async def run() -> str:
        async with session(server) as connection:
            known: Any = {"model": "gpt-transcribe", "keywords": [phrase]}
            await connection.session.update(
                session={"type": "transcription", "audio": {"input": {"transcription": known}}}
            )
            await append(connection, data)
            await connection.input_audio_buffer.commit()
            return text_of(await until(connection, COMPLETED), COMPLETED)

    assert asyncio.run(run()) == wanted


def test_the_format_can_change_between_items(server: RunningServer, recognizer: Recognizer) -> None:
    slow = g711(audio.read(SHORT, 8000), "mulaw")
    expected = recognizer.transcribe((RawFormat("mulaw", 8000).decode(slow), 8000)).text

    async def run() -> Events:
        async with session(server) as connection:
            await append(connection, pcm(np.zeros(2 * RATE, np.float32)))
            await connection.session.update(
                session={"type": "transcription", "audio": {"input": {"format": {"type": "audio/pcmu"}}}}
            )
            await append(connection, slow)
            await connection.input_audio_buffer.commit()
            return await until(connection, COMPLETED)

    events = asyncio.run(run())
    assert text_of(events, COMPLETED) == expected
    (started,) = [one for one in events if one["type"] == "input_audio_buffer.speech_started"]
    assert started["audio_start_ms"] >= 2000


def test_the_older_form(server: RunningServer, recognizer: Recognizer) -> None:
    coded = g711(audio.read(SHORT, 8000), "alaw")
    expected = recognizer.transcribe((RawFormat("alaw", 8000).decode(coded), 8000)).text

    async def run() -> tuple[Events, str | None]:
        found: Events = []
        offered = ["realtime", "openai-insecure-api-key.none", "openai-beta.realtime-v1"]
        async with raw(server, subprotocols=offered) as socket:
            update = {"input_audio_format": "g711_alaw", "turn_detection": None,
                      "input_audio_transcription": {"model": "whisper-1", "prompt": ""}}  # fmt: skip
            await socket.send(json.dumps({"type": "transcription_session.update", "session": update}))
            await socket.send(
                json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(coded).decode()})
            )
            await socket.send('{"type": "input_audio_buffer.commit"}')
            while not found or found[-1]["type"] != COMPLETED:
                found.append(json.loads(await socket.recv()))
            return found, socket.subprotocol

    events, chosen = asyncio.run(run())
    assert chosen == "realtime" and text_of(events, COMPLETED) == expected
    others = [one["type"] for one in events if one["type"] != DELTA]
    assert others == ["transcription_session.created", "transcription_session.updated", "input_audio_buffer.committed",
                      "conversation.item.created", COMPLETED]  # fmt: skip
    assert events[0]["session"]["input_audio_format"] == "pcm16"
    assert events[1]["session"]["input_audio_format"] == "g711_alaw" and events[1]["session"]["turn_detection"] is None
