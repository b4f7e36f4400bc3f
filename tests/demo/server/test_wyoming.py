"""Wyoming with the client of its package, as Home Assistant uses it, and with bytes that are no events."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
from wyoming.asr import Transcribe, Transcript, TranscriptChunk
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong

from edgespeech import Recognizer
from tests.demo.server.clients import RATE, RunningServer, pieces, wyoming_events, wyoming_text
from tests.demo.server.conftest import Clip


def exchange(port: int, *events: Event) -> list[Event]:
    """Send events, close our side, and return everything that comes back."""

    async def run() -> list[Event]:
        found = []
        async with AsyncTcpClient("127.0.0.1", port, read_timeout=60.0) as client:
            for event in events:
                await client.write_event(event)
            assert client._writer is not None
            client._writer.write_eof()
            while (event_back := await client.read_event()) is not None:
                found.append(event_back)
        return found

    return asyncio.run(run())


def exchange_bytes(port: int, sent: bytes, end: bool = False) -> bytes:
    """Send bytes, close our side if wanted, and return what comes back until the server closes."""

    async def run() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(sent)
            if end:
                writer.write_eof()
            return await asyncio.wait_for(reader.read(), 50.0)  # before the server ends an idle connection
        finally:
            writer.close()

    return asyncio.run(run())


def request(audio: bytes, rate: int = RATE, width: int = 2, channels: int = 1) -> list[Event]:
    chunks = [AudioChunk(rate, width, channels, piece).event() for piece in pieces(audio)]
    return [AudioStart(rate, width, channels).event(), *chunks, AudioStop().event()]


def test_the_server_describes_itself(server: RunningServer) -> None:
    (event,) = exchange(server.wyoming_port, Describe().event())
    (program,) = Info.from_event(event).asr
    assert program.supports_transcript_streaming and not program.requires_external_vad
    assert program.installed and program.version and program.attribution.name
    assert [(model.name, model.languages) for model in program.models] == [("edge", ["en"])]


def test_words_equal_those_of_transcribe(server: RunningServer, clips: list[Clip]) -> None:
    for clip in clips[:3]:
        assert asyncio.run(wyoming_text(server.wyoming_port, clip.audio)) == clip.text


def test_a_recording_has_one_transcript_although_it_has_pauses(server: RunningServer, clips: list[Clip]) -> None:
    events = exchange(server.wyoming_port, Transcribe().event(), *request(clips[0].audio))
    assert [event.type for event in events if event.type != "transcript-chunk"] == [
        "transcript-start", "transcript", "transcript-stop",
    ]  # fmt: skip
    chunks = [TranscriptChunk.from_event(event).text for event in events if event.type == "transcript-chunk"]
    assert len(chunks) > 1 and "".join(chunks) == clips[0].text
    assert events[-2].data == {"text": clips[0].text, "language": "en"}


@pytest.mark.parametrize(
    ("rate", "width", "channels"), [(8000, 2, 1), (48000, 4, 2), (44100, 3, 1), (16000, 1, 1), (22050, 2, 6)]
)
def test_audio_of_any_format(
    server: RunningServer, clips: list[Clip], recognizer: Recognizer, rate: int, width: int, channels: int
) -> None:
    mono = np.frombuffer(clips[2].audio, "<i2")[:: max(1, RATE // rate)].astype(np.int64) << 16
    scaled = (mono + (1 << 31) >> 24) if width == 1 else mono >> (32 - 8 * width)
    wide = np.repeat(scaled.astype("<i4")[:, None], channels, axis=1)
    data = wide.copy().view(np.uint8).reshape(-1, 4)[:, :width].tobytes()
    samples = (scaled.astype(np.float64) - (128 if width == 1 else 0)) / 2.0 ** (8 * width - 1)
    expected = recognizer.transcribe((samples.astype(np.float32), rate)).text
    events = exchange(server.wyoming_port, *request(data, rate, width, channels))
    assert Transcript.from_event(events[-2]).text == expected


def test_a_client_that_speaks_live_has_its_transcript_while_it_sends(server: RunningServer, clips: list[Clip]) -> None:
    clip = clips[4]
    events = asyncio.run(wyoming_events(server.wyoming_port, clip.audio + bytes(2 * RATE * 60), pause=0.2))
    assert Transcript.from_event(events[-1]).text == clip.text
    entry = next(one for one in reversed(server.log) if one.get("protocol") == "wyoming")
    assert entry["audio_seconds"] < 30.0


def test_names_and_terms_are_hot_words(server: RunningServer, clips: list[Clip]) -> None:
    assert "warmer" not in clips[0].text
    terms = ["twentieth row", "Warmer", "a" * 10000] * 400
    wish = Transcribe(transcript_names=["Warmer", "Küche 7", "!"] * 9, transcript_terms=terms)
    events = exchange(server.wyoming_port, wish.event(), *request(clips[0].audio))
    assert "warmer" in Transcript.from_event(events[-2]).text


def test_many_requests_on_one_connection(server: RunningServer, clips: list[Clip]) -> None:
    ping, silence = Ping("x").event(), request(bytes(RATE))
    events = exchange(server.wyoming_port, *request(clips[2].audio), ping, *silence, *request(clips[4].audio))
    texts = [Transcript.from_event(event).text for event in events if event.type == "transcript"]
    assert texts == [clips[2].text, "", clips[4].text]
    kinds = [event.type for event in events]
    assert kinds.index("transcript") < kinds.index("pong") and Pong.from_event(events[kinds.index("pong")]).text == "x"


def test_the_fields_of_old_clients_are_enough(server: RunningServer, clips: list[Clip]) -> None:
    form = b'"data": {"rate": 16000, "width": 2, "channels": 1}'
    audio = clips[2].audio
    sent = b'{"type": "describe"}\n{"type": "transcribe"}\n'
    sent += b'{"type": "audio-chunk", %b, "payload_length": %d}\n%b' % (form, len(audio), audio)
    sent += b'{"type": "something-new", "data": null}\n{"type": "audio-stop", "payload_length": null}\n'
    lines = exchange_bytes(server.wyoming_port, sent, end=True)
    assert b'"info"' in lines and json.dumps({"text": clips[2].text, "language": "en"}).encode() in lines


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "not a Wyoming event"),
        (b"[]\n", "not a Wyoming event"),
        (b'{"data": {}}\n', "not a Wyoming event"),
        (b'{"type": 7}\n', "not a Wyoming event"),
        (b'{"type": "describe", "data": []}\n{"type": "describe", "data": [7]}\n', "not a Wyoming event"),
        (b'{"type": "describe", "data_length": 3}\n[7]', "not a Wyoming event"),
        (b'{"type": "describe", "data_length": "7"}\n', "not a Wyoming event"),
        (b"[" * 60000 + b"\n", "not a Wyoming event"),
        (b"x" * 100000 + b"\n", "longer than 64 KiB"),
        (b'{"type": "audio-chunk", "payload_length": 1000000000000}\n', "announces 1000000000000 bytes"),
        (b'{"type": "audio-start"}\n', "audio-start: rate is None"),
        (b'{"type": "audio-start", "data": {"rate": true, "width": 2, "channels": 1}}\n', "rate is True"),
        (b'{"type": "audio-start", "data": {"rate": 16000, "width": 5, "channels": 1}}\n', "width is 5"),
        (b'{"type": "audio-start", "data": {"rate": 1, "width": 2, "channels": 1}}\n', "sample rate 1"),
        (b'{"type": "audio-start", "data": {"rate": 16000, "width": 2, "channels": 0}}\n', "0 channels"),
        (b'{"type": "transcribe", "data": {"language": "de"}}\n', "the language de is not served"),
        (b'{"type": "transcribe", "data": {"language": 7}}\n', "language is 7"),
        (b'{"type": "transcribe", "data": {"transcript_names": "lamp"}}\n', "transcript_names is not a list"),
    ],
)
def test_what_is_not_an_event_is_answered_and_ends_the_connection(
    server: RunningServer, sent: bytes, wanted: str
) -> None:
    answer = exchange_bytes(server.wyoming_port, sent)
    assert b'"error"' in answer and wanted in answer.decode() and b"invalid-request" in answer


def test_a_format_that_changes_is_an_error(server: RunningServer) -> None:
    changed = AudioChunk(8000, 2, 1, bytes(320)).event()
    events = exchange(server.wyoming_port, AudioStart(RATE, 2, 1).event(), changed)
    assert "the format of the audio changed" in Error.from_event(events[-1]).text


def test_half_an_event_ends_quietly(server: RunningServer) -> None:
    sent = b'{"type": "audio-chunk", "payload_length": 100}\nabc'
    assert exchange_bytes(server.wyoming_port, sent, end=True) == b""
