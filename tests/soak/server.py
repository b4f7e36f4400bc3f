"""A day of audio through a server over its three protocols, by clients of which one in six vanishes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import psutil
import websockets
from wyoming.audio import AudioChunk, AudioStart
from wyoming.client import AsyncTcpClient

from edgespeech import Recognizer
from tests.demo.server.clients import RunningServer, pieces, running, stream_text, vosk_text, wyoming_text
from tests.soak.journal import Journal, Observer
from tests.soak.live import open_recognizer
from tests.soak.programme import PART_SAMPLES, PART_SECONDS, PARTS, RATE, part

CLIENTS = 3
LENGTHS = (600, 7, 60, 2, 240, 20)  # seconds of audio of one connection after the other
_VANISHES = 6  # one connection in six
_OPTIONS = ("--max-queue-ms=1000000", "--idle=900")


@dataclass(frozen=True)
class Connection:
    """One connection: the first ``seconds`` of a part over a protocol; the client may go away in the middle."""

    number: int

    @property
    def part(self) -> int:
        """The part of the programme."""
        return self.number % PARTS

    @property
    def seconds(self) -> int:
        """Length of its audio."""
        return LENGTHS[self.number % len(LENGTHS)]

    @property
    def protocol(self) -> str:
        """``stream``, ``vosk`` or ``wyoming``."""
        return ("stream", "vosk", "wyoming")[self.number // len(LENGTHS) % 3]

    @property
    def vanishes(self) -> bool:
        """Whether the client goes away after half of its audio."""
        return self.number % _VANISHES == self.number // _VANISHES % _VANISHES

    def audio(self) -> bytes:
        """Return its samples."""
        samples = part(self.part)[: min(self.seconds * RATE, PART_SAMPLES)]
        return np.round(samples * 32768.0).astype("<i2").tobytes()


class Expected:
    """The text of a connection as the recognizer alone finds it, computed once for each part and length."""

    def __init__(self) -> None:
        self._recognizer: Recognizer = open_recognizer()
        self._find = lru_cache(maxsize=None)(self._compute)

    def text(self, connection: Connection) -> str:
        """Return the words of all segments."""
        return self._find(connection.part, connection.seconds)

    def _compute(self, number: int, seconds: int) -> str:
        with self._recognizer.stream() as stream:
            events = stream.accept(part(number)[: seconds * RATE]) + stream.finish()
        return " ".join(event.text for event in events if event.type == "final" and event.text)


async def vanish(server: RunningServer, connection: Connection) -> list[str]:
    """Send half of the audio, and cut the connection without a farewell; return the finals that came until then."""
    half = pieces(connection.audio())[: max(1, connection.seconds * 5 // 2)]
    if connection.protocol == "wyoming":
        client = AsyncTcpClient("127.0.0.1", server.wyoming_port)
        await client.connect()
        await client.write_event(AudioStart(RATE, 2, 1).event())
        for piece in half:
            await client.write_event(AudioChunk(RATE, 2, 1, piece).event())
        assert client._writer is not None
        client._writer.transport.abort()
        return []
    url = server.stream_url if connection.protocol == "stream" else server.vosk_url
    finals: list[str] = []
    async with websockets.connect(url) as socket:
        first = {"type": "start"} if connection.protocol == "stream" else {"config": {"sample_rate": RATE}}
        await socket.send(json.dumps(first))
        for piece in half:
            await socket.send(piece)
            while True:
                try:
                    message = json.loads(await asyncio.wait_for(socket.recv(), 0.001))
                except asyncio.TimeoutError:
                    break
                if message.get("type", "final") == "final" and message.get("text"):
                    finals.append(message["text"])
        socket.transport.abort()
    return finals


async def _serve_clients(server: RunningServer, hours: float, observer: Observer, journal: Journal, done: int) -> None:
    expected, loop = Expected(), asyncio.get_running_loop()
    send: dict[str, Callable[[bytes], Awaitable[str]]] = {
        "stream": lambda audio: stream_text(server.stream_url, audio),
        "vosk": lambda audio: vosk_text(server.vosk_url, audio),
        "wyoming": lambda audio: wyoming_text(server.wyoming_port, audio),
    }
    state = {"number": done, "seconds": 0.0, "since": 0.0, "part": len(journal.of("measurement"))}
    latencies: list[float] = []

    async def client() -> None:
        while state["seconds"] < hours * 3600.0:
            connection = Connection(int(state["number"]))
            state["number"] += 1
            wanted = await loop.run_in_executor(None, expected.text, connection)
            began = time.perf_counter()
            if connection.vanishes:
                try:
                    finals = await vanish(server, connection)
                except websockets.ConnectionClosed:
                    finals = []
                right = not finals or wanted.startswith(" ".join(finals))
            else:
                right = await send[connection.protocol](connection.audio()) == wanted
                latencies.append((time.perf_counter() - began) * 1000.0 / connection.seconds)
            journal.add("connection", number=connection.number, vanished=connection.vanishes, right=right)
            state["seconds"] += connection.seconds / (1 + connection.vanishes)

    async def watch() -> None:
        while state["seconds"] < hours * 3600.0:
            await asyncio.sleep(1.0)
            if state["seconds"] - state["since"] >= PART_SECONDS * 2:
                note()

    def note() -> None:
        found = observer.note(int(state["part"]), state["seconds"] - state["since"], np.array(latencies))
        print(f"part {found.part}, {found.audio_hours:.1f} h: RSS {found.rss_mb:.1f} MB, {found.threads} threads, "
              f"{found.descriptors} descriptors, CPU {found.cpu_seconds:.0f} s", flush=True)  # fmt: skip
        latencies.clear()
        state["since"] = state["seconds"]
        state["part"] += 1

    await asyncio.gather(*(client() for _ in range(CLIENTS)), watch())
    await asyncio.sleep(5.0)  # connections that were cut are closed by then
    note()


def run_server(folder: Path, hours: float) -> None:
    """Serve the hours of audio that are missing in the journal, by one server process."""
    journal = Journal(folder / "server.jsonl")
    done = journal.of("connection")
    hours -= sum(line["audio_hours"] for line in journal.of("measurement")[-1:])
    if hours <= 0.0:
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.ExitStack() as stack:
        stack.callback(signal.signal, signal.SIGTERM, before)
        stack.callback(journal.close)
        stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        server = stack.enter_context(running(*_OPTIONS))
        main = psutil.Process(server.process.pid)
        observer = Observer(journal, [main, *main.children(recursive=True)], own=False)
        first = 1 + max((line["number"] for line in done), default=-1)
        asyncio.run(_serve_clients(server, hours, observer, journal, first))
