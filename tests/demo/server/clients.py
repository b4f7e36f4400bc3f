"""Clients of each protocol, made of the packages that real clients use, and a server in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import websockets
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event

RATE = 16000
PIECE = 6400  # bytes: 0.2 s
_PATIENCE_SECONDS = 120.0


@dataclass
class RunningServer:
    """A server process, the addresses that it printed, and its log as JSON objects."""

    process: subprocess.Popen[str]
    addresses: dict[str, str] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)
    is_ready: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self.read_log, daemon=True)
        self.reader.start()

    @property
    def stream_url(self) -> str:
        """Address of our own websocket."""
        return self.addresses["http"].replace("http", "ws", 1) + "/v1/stream"

    @property
    def vosk_url(self) -> str:
        """Address for clients of Vosk."""
        return self.addresses["vosk"]

    @property
    def wyoming_port(self) -> int:
        """Port for clients of Wyoming."""
        return int(self.addresses["wyoming"].rpartition(":")[2])

    def signal(self, number: int) -> None:
        """Send a signal to the main process."""
        self.process.send_signal(number)

    def read_log(self) -> None:
        """Read the log until the process ends."""
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                entry = json.loads(line)
                self.log.append(entry)
                if "address" in entry:
                    self.addresses[entry["protocol"]] = entry["address"]
                if entry.get("ready"):
                    self.is_ready.set()


def start_server(*options: object, **environment: str) -> RunningServer:
    """Start ``edgespeech serve`` on free ports with one worker and a narrow beam."""
    ports = [f"--{name}-port=any" for name in ("http", "vosk", "wyoming")]
    command = ["serve", *ports, "--workers=1", "--beam-width=64", "--log-json", *map(str, options)]
    process = subprocess.Popen(
        [sys.executable, "-m", "edgespeech.demo.cli", *command],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )
    return RunningServer(process)


@contextlib.contextmanager
def running(*options: object, **environment: str) -> Iterator[RunningServer]:
    server = start_server(*options, **environment)
    try:
        assert server.is_ready.wait(_PATIENCE_SECONDS), server.log
        yield server
    finally:
        stop(server)
    assert [entry for entry in server.log if "traceback" in entry] == []


def stop(server: RunningServer) -> int:
    if server.process.poll() is None:
        server.signal(signal.SIGTERM)
    try:
        return server.process.wait(_PATIENCE_SECONDS)
    finally:
        server.process.kill()
        server.process.wait()
        server.reader.join(_PATIENCE_SECONDS)


def pieces(audio: bytes, size: int = PIECE) -> list[bytes]:
    return [audio[start : start + size] for start in range(0, len(audio), size)]


async def stream_text(url: str, audio: bytes, pause: float = 0.0, **start: Any) -> str:
    """Send audio to our own websocket, and return the text of all finals."""
    texts = []
    # By default the client closes the connection if a ping waits 20 s behind its own audio.
    async with websockets.connect(url, ping_timeout=None) as socket:
        await socket.send(json.dumps({"type": "start", **start}))
        for piece in pieces(audio):
            await socket.send(piece)
            await asyncio.sleep(pause)
        await socket.send('{"type": "finish"}')
        async for message in socket:
            event = json.loads(message)
            assert event["type"] != "error", event
            if event["type"] == "final":
                texts.append(event["text"])
    assert socket.close_code == 1000
    return " ".join(texts)


async def vosk_results(url: str, audio: bytes, pause: float = 0.0, **config: Any) -> list[dict[str, Any]]:
    """Send audio as the test programs of vosk-server do, and return all results that are not partial."""
    found = []
    async with websockets.connect(url) as socket:
        await socket.send(json.dumps({"config": {"sample_rate": RATE, **config}}))
        for piece in pieces(audio):
            await socket.send(piece)
            found.append(json.loads(await socket.recv()))
            await asyncio.sleep(pause)
        await socket.send('{"eof" : 1}')
        found.append(json.loads(await socket.recv()))
    return [one for one in found if "partial" not in one]


async def vosk_text(url: str, audio: bytes, pause: float = 0.0, **config: Any) -> str:
    results = await vosk_results(url, audio, pause, **config)
    return " ".join(one["text"] for one in results if one["text"])


async def wyoming_events(
    port: int,
    audio: bytes,
    audio_format: tuple[int, int, int] = (RATE, 2, 1),
    pause: float = 0.0,
    request: Transcribe | None = None,
) -> list[Event]:
    """Send audio as Home Assistant does, and return the events up to the first transcript or error."""
    rate, width, channels = audio_format
    events: list[Event] = []
    async with AsyncTcpClient("127.0.0.1", port) as client:

        async def send() -> None:
            await client.write_event((request or Transcribe(language="en-US")).event())
            await client.write_event(AudioStart(rate, width, channels).event())
            for piece in pieces(audio):
                await client.write_event(AudioChunk(rate, width, channels, piece).event())
                await asyncio.sleep(pause)
            await client.write_event(AudioStop().event())

        sending = asyncio.create_task(send())
        try:
            while not events or events[-1].type not in ("transcript", "error"):
                event = await client.read_event()
                if event is None:
                    break
                events.append(event)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    return events


async def wyoming_text(port: int, audio: bytes, pause: float = 0.0) -> str:
    return Transcript.from_event((await wyoming_events(port, audio, pause=pause))[-1]).text
