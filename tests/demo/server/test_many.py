"""Many clients at once and one after the other: the right words for each, and no memory that stays behind."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import time

import psutil
import pytest
import websockets

from tests.demo.server.clients import RATE, RunningServer, running, stream_text, vosk_text, wyoming_text
from tests.demo.server.conftest import Clip
from tests.demo.server.test_faults import wait_until_no_streams

CLIENTS = 20
CONNECTIONS = int(os.environ.get("CONNECTIONS", "1500"))


@pytest.mark.parametrize("protocol", ["stream", "vosk", "wyoming"])
def test_clients_that_begin_at_random_times_have_their_words(
    server: RunningServer, clips: list[Clip], protocol: str
) -> None:
    chooser = random.Random(7)

    async def client(clip: Clip, delay: float) -> str:
        await asyncio.sleep(delay)
        if protocol == "wyoming":
            return await wyoming_text(server.wyoming_port, clip.audio, pause=0.01)
        if protocol == "vosk":
            return await vosk_text(server.vosk_url, clip.audio, pause=0.01)
        return await stream_text(server.stream_url, clip.audio, pause=0.01)

    async def run() -> list[str]:
        chosen = [clips[number % len(clips)] for number in range(CLIENTS)]
        return await asyncio.gather(*(client(clip, chooser.uniform(0.0, 1.0)) for clip in chosen))

    expected = [clips[number % len(clips)].text for number in range(CLIENTS)]
    assert asyncio.run(run()) == expected


@pytest.mark.slow
def test_a_client_that_does_not_read_costs_the_others_nothing(clips: list[Clip]) -> None:
    clip = clips[2]

    async def flood(server: RunningServer) -> None:
        """Send many tiny pieces, each of which has a reply, and read none."""
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", int(server.vosk_url.rpartition(":")[2])))
        slow.setblocking(False)
        async with websockets.connect(server.vosk_url, sock=slow, max_queue=1, close_timeout=1) as connection:
            await connection.send(json.dumps({"config": {"sample_rate": RATE}}))
            await connection.send(clip.audio)
            while True:
                await connection.send(bytes(2))
                await asyncio.sleep(0)

    async def run(server: RunningServer) -> None:
        flooding = asyncio.ensure_future(flood(server))
        memory, deadline = 0, time.monotonic() + 120.0
        while not flooding.done():
            assert time.monotonic() < deadline, "the client was not disconnected"
            assert await stream_text(server.stream_url, clip.audio) == clip.text
            memory = memory or psutil.Process(server.process.pid).memory_info().rss
        with pytest.raises((OSError, websockets.ConnectionClosedError)):
            await flooding
        assert psutil.Process(server.process.pid).memory_info().rss < memory + 30 * 2**20

    with running("--idle=3") as server:
        asyncio.run(run(server))
        wait_until_no_streams(server)


@pytest.mark.slow
def test_memory_is_flat_over_connections(server: RunningServer, clips: list[Clip]) -> None:
    audio = clips[2].audio[:9600]

    async def connections(count: int) -> None:
        """Open streams of each protocol, a part of which vanish."""
        for number in range(count):
            await wyoming_text(server.wyoming_port, audio)
            async with websockets.connect(server.stream_url) as connection:
                await connection.send(audio)
                if number % 2:
                    connection.transport.abort()
                else:
                    await connection.send('{"type": "finish"}')
                    assert [message async for message in connection]
            await vosk_text(server.vosk_url, audio)

    def memory() -> float:
        main = psutil.Process(server.process.pid)
        return sum(one.memory_info().rss for one in (main, *main.children(recursive=True))) / 2**20

    asyncio.run(connections(150))
    before = memory()
    asyncio.run(connections(CONNECTIONS // 3 - 150))
    grown = memory() - before
    print(f"memory after 450 connections {before:.1f} MiB, after {CONNECTIONS} {grown:+.1f} MiB")
    assert grown < 10.0
    wait_until_no_streams(server)


@pytest.mark.slow
def test_silent_connections_cost_next_to_nothing(server: RunningServer) -> None:
    async def run() -> float:
        main = psutil.Process(server.process.pid)
        processes = [main, *main.children(recursive=True)]
        writers = []
        for name in ("http", "vosk", "wyoming"):
            port = int(server.addresses[name].rpartition(":")[2])
            writers += [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(4)]
        async with websockets.connect(server.stream_url) as opened, websockets.connect(server.vosk_url) as other:
            for connection in (opened, other):
                await connection.send(bytes(320))
            before = sum(sum(one.cpu_times()[:2]) for one in processes)
            await asyncio.sleep(5.0)
            used = sum(sum(one.cpu_times()[:2]) for one in processes) - before
        for writer in writers:
            writer.close()
        return used / 5.0

    assert asyncio.run(run()) <= 0.03  # of a core
