"""Written finals in every protocol, by the clients that programs use, and plain ones for the clients that ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest
import websockets
from wyoming.asr import Transcribe, Transcript, TranscriptChunk

from edgespeech import Recognizer
from edgespeech.runtime import audio
from edgespeech.runtime.formats import to_srt
from edgespeech.runtime.transcript import Transcript as Whole
from tests.demo.server.clients import RATE, RunningServer, pieces, running, vosk_results, vosk_text, wyoming_events
from tests.demo.server.conftest import Clip
from tests.demo.server.openai import sessions
from tests.demo.server.openai.sessions import COMPLETED, DELTA, PAUSE, append, pcm, session, text_of, until


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A server that writes unless a client wants plain words."""
    with running("--written") as started:
        yield started


@pytest.fixture(scope="module")
def writer() -> Recognizer:
    """A recognizer that writes, with the settings of the server."""
    return Recognizer(beam_width=64, written=True)


@pytest.fixture(scope="module")
def expected(writer: Recognizer, clips: list[Clip]) -> Whole:
    """What `transcribe` writes for the first clip, which has a pause within."""
    found = writer.transcribe((np.frombuffer(clips[0].audio, np.int16), RATE))
    assert found.text != found.plain_text == clips[0].text and len(found.segments) > 1
    return found


def stream_finals(server: RunningServer, data: bytes, **start: Any) -> list[dict[str, Any]]:
    async def run() -> list[dict[str, Any]]:
        found = []
        async with websockets.connect(server.stream_url) as socket:
            await socket.send(json.dumps({"type": "start", **start}))
            for piece in pieces(data):
                await socket.send(piece)
            await socket.send('{"type": "finish"}')
            async for message in socket:
                found.append(json.loads(message))
        assert all(one["text"] == one["text"].lower() for one in found if one["type"] == "partial")
        assert all(not one["committed"] for one in found if one["type"] == "partial" and not start)
        return [one for one in found if one["type"] in ("final", "error")]

    return asyncio.run(run())


def test_our_websocket(server: RunningServer, clips: list[Clip], expected: Whole) -> None:
    finals = stream_finals(server, clips[0].audio)
    assert [one["text"] for one in finals] == [one.text for one in expected.segments]
    words = [word for one in finals for word in one["words"]]
    assert " ".join(word["word"] for word in words) == expected.plain_text
    assert " ".join(word["written"] for word in words if word["written"]) == expected.text
    plain = stream_finals(server, clips[0].audio, written=False)
    assert " ".join(one["text"] for one in plain) == clips[0].text == expected.plain_text
    assert not any("written" in word for one in plain for word in one["words"])


def test_hot_words_of_a_client_keep_their_case(server: RunningServer, clips: list[Clip]) -> None:
    words = clips[0].text.split()
    phrase = words[1].upper()
    (first, *_) = stream_finals(server, clips[0].audio, hot_words=[phrase])
    assert phrase in first["text"]
    assert [word["word"] for word in first["words"]][:3] == words[:3]


def test_vosk(server: RunningServer, clips: list[Clip], expected: Whole) -> None:
    results = asyncio.run(vosk_results(server.vosk_url, clips[0].audio))
    assert " ".join(one["text"] for one in results if one["text"]) == expected.text
    assert " ".join(word["word"] for one in results for word in one.get("result", [])) == expected.plain_text
    assert asyncio.run(vosk_text(server.vosk_url, clips[0].audio, written=False)) == expected.plain_text


def test_the_best_alternative_of_vosk_is_plain_as_the_others_are(server: RunningServer, clips: list[Clip]) -> None:
    (result,) = asyncio.run(vosk_results(server.vosk_url, clips[2].audio, max_alternatives=2))
    texts = [one["text"] for one in result["alternatives"]]
    assert texts[0] == clips[2].text and texts[1] == texts[1].lower()


@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_wyoming(server: RunningServer, clips: list[Clip], expected: Whole, pause: float) -> None:
    events = asyncio.run(wyoming_events(server.wyoming_port, clips[0].audio, pause=pause))
    text = Transcript.from_event(events[-1]).text
    assert expected.text.startswith(text) and text.startswith(expected.segments[0].text)
    chunks = [TranscriptChunk.from_event(one).text for one in events if TranscriptChunk.is_type(one.type)]
    assert "".join(chunks) == text


def test_names_of_home_assistant_keep_their_case(server: RunningServer, clips: list[Clip]) -> None:
    name = clips[2].text.split()[0].upper()
    wish = Transcribe(language="en").event()
    wish.data = {**(wish.data or {}), "transcript_names": [name], "transcript_terms": [name.lower()]}

    class Wish:
        def event(self) -> Any:
            return wish

    events = asyncio.run(wyoming_events(server.wyoming_port, clips[2].audio, request=Wish()))  # type: ignore[arg-type]
    assert name in Transcript.from_event(events[-1]).text


def test_openai(server: RunningServer, writer: Recognizer) -> None:
    expected = writer.transcribe(PAUSE)
    with openai.OpenAI(base_url=server.addresses["http"] + "/v1", api_key="none", max_retries=0) as client:
        create = client.audio.transcriptions.create
        assert create(file=PAUSE, model="any").text == expected.text
        assert create(file=PAUSE, model="any", response_format="text") == expected.text + "\n"
        assert create(file=PAUSE, model="any", response_format="srt") == to_srt(expected.segments)
        assert create(file=PAUSE, model="any", extra_body={"written": False}).text == expected.plain_text
        whole = create(file=PAUSE, model="any", response_format="verbose_json")
        events = create(file=PAUSE, model="any", stream=True)
        deltas = [one.delta for one in events if one.type == "transcript.text.delta"]
        with pytest.raises(openai.BadRequestError, match="written is 'maybe'; wanted true or false"):
            create(file=PAUSE, model="any", extra_body={"written": "maybe"})
    assert "".join(deltas) == whole.text == expected.text
    assert whole.words is not None and whole.segments is not None
    assert [one.text for one in whole.segments] == [one.text for one in expected.segments]
    assert [one.word for one in whole.words] == [word.word for word in expected.words]
    assert [one.to_dict()["written"] for one in whole.words] == [word.written for word in expected.words]


def test_openai_realtime(server: RunningServer, writer: Recognizer) -> None:
    data = pcm(np.concatenate([audio.read(PAUSE, sessions.RATE), np.zeros(sessions.RATE, np.float32)]))

    async def run() -> sessions.Events:
        async with session(server) as connection:
            await connection.session.update(
                session={"type": "transcription", "audio": {"input": {"turn_detection": None}}}
            )
            await append(connection, data)
            await connection.input_audio_buffer.commit()
            return await until(connection, COMPLETED)

    events = asyncio.run(run())
    wanted = writer.transcribe((np.frombuffer(data, np.int16), sessions.RATE)).text
    assert text_of(events, COMPLETED) == text_of(events, DELTA) == wanted
    assert wanted[:1].isupper()


def test_a_client_of_a_plain_server_may_ask_for_written_text(clips: list[Clip], expected: Whole) -> None:
    with running() as plain:
        assert asyncio.run(vosk_text(plain.vosk_url, clips[0].audio)) == expected.plain_text
        assert asyncio.run(vosk_text(plain.vosk_url, clips[0].audio, written=True)) == expected.text
        finals = stream_finals(plain, clips[0].audio, written=True)
        assert [one["text"] for one in finals] == [one.text for one in expected.segments]
