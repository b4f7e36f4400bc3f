"""Clients that break the rules, or vanish: a clear error for them, and the right words for the others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
import websockets
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart
from wyoming.client import AsyncTcpClient
from wyoming.error import Error

from tests.demo.server.clients import (
    RATE,
    RunningServer,
    pieces,
    running,
    stream_text,
    vosk_text,
    wyoming_events,
    wyoming_text,
)  # fmt: skip
from tests.demo.server.conftest import Clip

TOKEN = "correct-horse"


@pytest.fixture(scope="module")
def strict() -> Iterator[RunningServer]:
    """A server with low limits."""
    limits = ("--max-streams=2", "--max-message-mib=0.1", "--max-audio-minutes=0.2", "--idle=1.5")
    with running(*limits, EDGESPEECH_TOKEN=TOKEN) as started:
        yield started


async def closing(url: str, *messages: str | bytes) -> tuple[dict[str, str], int, str]:
    """Send messages; return the last reply, and the code and the reason of the close."""
    last: dict[str, str] = {}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with websockets.connect(url, additional_headers=headers, max_size=None) as socket:
        try:
            for message in messages:
                await socket.send(message)
            while True:
                last = json.loads(await socket.recv())
        except websockets.ConnectionClosed as closed:
            assert closed.rcvd is not None
            return last, closed.rcvd.code, closed.rcvd.reason


def urls(server: RunningServer) -> tuple[str, str]:
    return server.stream_url, server.vosk_url


def test_the_token_comes_from_the_environment(strict: RunningServer) -> None:
    async def run() -> None:
        for url in urls(strict):
            with pytest.raises(websockets.InvalidStatus) as refused:
                await websockets.connect(url)
            assert refused.value.response.status_code == 401
            async with websockets.connect(f"{url}?token={TOKEN}"):
                pass

    asyncio.run(run())
    assert not any(TOKEN in json.dumps(entry) for entry in strict.log)


def test_a_message_that_is_too_large_closes_the_connection(strict: RunningServer) -> None:
    for url in urls(strict):
        assert asyncio.run(closing(url, bytes(200_000)))[1] == 1009
        assert asyncio.run(closing(url, "x" * 200_000))[1] == 1009
    events = asyncio.run(wyoming_events(strict.wyoming_port, b""))
    assert events[-1].type == "transcript"


def test_a_client_that_sends_nothing_is_disconnected(strict: RunningServer) -> None:
    for url in urls(strict):
        last, code, reason = asyncio.run(closing(url, bytes(320)))
        assert code == 1008 and reason.startswith("nothing arrived for 1.5 s")
        assert reason in (last.get("message", "") + last.get("error", ""))

    async def run() -> Error:
        async with AsyncTcpClient("127.0.0.1", strict.wyoming_port, read_timeout=60.0) as client:
            event = await client.read_event()
            assert event is not None
            return Error.from_event(event)

    assert asyncio.run(run()).text.startswith("nothing arrived for 1.5 s")


def test_a_stream_that_is_too_long_ends(strict: RunningServer) -> None:
    for url in urls(strict):
        last, code, reason = asyncio.run(closing(url, *pieces(bytes(2 * RATE * 13), 64000)))
        assert code == 1008 and reason == "the audio is longer than 12 s; begin another stream"
    events = asyncio.run(wyoming_events(strict.wyoming_port, bytes(2 * RATE * 13)))
    assert "longer than 12 s" in Error.from_event(events[-1]).text


def test_a_full_server_refuses_in_the_way_of_the_protocol(strict: RunningServer, clips: list[Clip]) -> None:
    clip = clips[2]

    async def run() -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with contextlib.AsyncExitStack() as stack:
            sockets = [
                await stack.enter_async_context(websockets.connect(strict.stream_url, additional_headers=headers))
                for _ in range(2)
            ]
            for socket in sockets:
                await socket.send('{"type": "start"}')
                assert json.loads(await socket.recv())["type"] == "ready"
            for url in urls(strict):
                last, code, reason = await closing(url, bytes(320))
                assert code == 1013 and reason.startswith("2 streams are open, the most that are allowed")
            refused = (await wyoming_events(strict.wyoming_port, bytes(320)))[-1]
            assert Error.from_event(refused).code == "busy" and "2 streams are open" in Error.from_event(refused).text
            for socket in sockets:
                await socket.send(clip.audio[:64000])
                await socket.send(clip.audio[64000:])
                await socket.send('{"type": "finish"}')
                events = [json.loads(message) async for message in socket]
                assert events[-1]["text"] == clip.text

    asyncio.run(run())
    assert asyncio.run(stream_text(f"{strict.stream_url}?token={TOKEN}", clip.audio)) == clip.text


async def vanish(server: RunningServer, audio: bytes) -> None:
    """Begin a stream of each protocol and cut the connections without a word."""
    for url in urls(server):
        socket = await websockets.connect(url)
        await socket.send(audio)
        socket.transport.abort()
        await socket.wait_closed()
    client = AsyncTcpClient("127.0.0.1", server.wyoming_port)
    await client.connect()
    await client.write_event(AudioStart(RATE, 2, 1).event())
    await client.write_event(AudioChunk(RATE, 2, 1, audio).event())
    assert client._writer is not None
    client._writer.write(b'{"type": "audio-chunk", "payload_length": 1000}\nhalf')
    await client._writer.drain()
    client._writer.transport.abort()
    with contextlib.suppress(OSError):
        await client.disconnect()


async def send_nonsense(server: RunningServer, audio: bytes) -> None:
    """Send what is not of the protocol, to each port."""
    for name in ("http", "vosk", "wyoming"):
        host, port = server.addresses[name].rpartition("/")[2].split(":")
        for data in (
            b"\x00\xff" * 500,
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n",
            b"\x16\x03\x01\x02\x00",
        ):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(data)
            await writer.drain()
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 60.0)
            writer.close()


async def send_wrong_types(server: RunningServer, audio: bytes) -> None:
    """Send messages of wrong types in the middle of a stream."""
    for url in urls(server):
        async with websockets.connect(url) as socket:
            await socket.send(audio)
            await socket.send('{"type": 7, "config": 7}')
            with pytest.raises(websockets.ConnectionClosedError):
                while True:
                    await socket.recv()
    events = await wyoming_events(server.wyoming_port, audio, request=Transcribe(language="xx"))
    assert events[-1].type == "error"


@pytest.mark.parametrize("misbehave", [vanish, send_nonsense, send_wrong_types])
def test_others_have_their_words_while_a_client_misbehaves(
    server: RunningServer, clips: list[Clip], misbehave: Callable[[RunningServer, bytes], Awaitable[None]]
) -> None:
    clip = clips[2]

    async def run() -> None:
        good = [
            asyncio.ensure_future(stream_text(server.stream_url, clip.audio, pause=0.02)),
            asyncio.ensure_future(vosk_text(server.vosk_url, clip.audio, pause=0.02)),
            asyncio.ensure_future(wyoming_text(server.wyoming_port, clip.audio, pause=0.02)),
        ]
        await asyncio.sleep(0.1)
        await misbehave(server, clips[0].audio[:96000])
        assert await asyncio.gather(*good) == [clip.text] * 3

    asyncio.run(run())
    wait_until_no_streams(server)


def wait_until_no_streams(server: RunningServer) -> None:
    """Streams of vanished clients must be given back."""

    async def count() -> int:
        import aiohttp

        async with aiohttp.ClientSession() as http, http.get(f"{server.addresses['http']}/health") as response:
            streams: int = (await response.json())["streams"]
            return streams

    deadline = time.monotonic() + 60.0
    while asyncio.run(count()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
