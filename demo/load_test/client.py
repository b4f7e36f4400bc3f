"""Clients that replay clips in real time over a websocket, and note when each result arrives."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp

from edgespeech.demo.load_test.timeline import Timeline

_END_SECONDS = 30.0  # after its last piece, a clip that has not ended counts as failed


@dataclass
class Tally:
    """What all clients of one process have seen.

    Attributes:
        final_ms: Milliseconds from sending the piece that causes a final to the final, for each.
        partial_ms: The same for partials.
        late_ms: Milliseconds that pieces were sent late, because this process was busy.
        clips: Clips that ended, of which ``wrong`` had other results than the recognizer alone.
        failures: Reasons why clips did not end.
        sent_seconds: Length of all audio that was sent, before the noting began too.
    """

    final_ms: list[float] = field(default_factory=list)
    partial_ms: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)
    clips: int = 0
    wrong: int = 0
    failures: list[str] = field(default_factory=list)
    sent_seconds: float = 0.0

    def add(self, other: Tally) -> None:
        """Add what another process has seen."""
        for name in ("final_ms", "partial_ms", "late_ms", "failures"):
            getattr(self, name).extend(getattr(other, name))
        self.clips, self.wrong = self.clips + other.clips, self.wrong + other.wrong
        self.sent_seconds += other.sent_seconds


@dataclass(frozen=True)
class Load:
    """What one process of clients does.

    Attributes:
        url: Address of the server's websocket.
        timelines: Clips, from which each client takes one after the other.
        clients: Number of clients.
        seconds: Time after which no client begins another clip.
        warm_seconds: Time at the beginning of which nothing is noted.
        seed: Seed of the random beginnings.
    """

    url: str
    timelines: Sequence[Timeline]
    clients: int
    seconds: float
    warm_seconds: float = 0.0
    seed: int = 0


async def run_clients(load: Load) -> Tally:
    """Run all clients, which begin at random times within the longest clip, until the time is over."""
    tally, chooser = Tally(), random.Random(load.seed)
    began = time.monotonic()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=False)) as http:
        longest = max(timeline.seconds for timeline in load.timelines)
        delays = [chooser.uniform(0.0, min(longest, load.warm_seconds or load.seconds)) for _ in range(load.clients)]
        firsts = [chooser.randrange(len(load.timelines)) for _ in range(load.clients)]
        await asyncio.gather(
            *(_client(http, load, began, delay, first, tally) for delay, first in zip(delays, firsts, strict=True))
        )
    return tally


async def _client(
    http: aiohttp.ClientSession, load: Load, began: float, delay: float, first: int, tally: Tally
) -> None:
    await asyncio.sleep(delay)
    for number in itertools.count(first):
        if time.monotonic() - began > load.seconds:
            return
        timeline = load.timelines[number % len(load.timelines)]
        noted = Tally() if time.monotonic() - began < load.warm_seconds else tally
        try:
            await _replay(http, load.url, timeline, noted)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as error:
            tally.failures.append(f"{timeline.name}: {type(error).__name__}: {error}")
            await asyncio.sleep(1.0)
        tally.sent_seconds += timeline.seconds


async def _replay(http: aiohttp.ClientSession, url: str, timeline: Timeline, tally: Tally) -> None:
    """Send one clip in real time; match results with their causes."""
    sent = [0.0] * (len(timeline.pieces) + 1)
    piece_seconds = len(timeline.pieces[0]) / 2 / timeline.sample_rate
    async with http.ws_connect(url, max_msg_size=0) as socket:
        await socket.send_json({"type": "start", "format": f"s16le:{timeline.sample_rate}:1"})
        begin = time.monotonic()

        async def send() -> None:
            for at, piece in enumerate(timeline.pieces):
                due = begin + (at + 1) * piece_seconds  # a piece is complete when its sound is over
                await asyncio.sleep(due - time.monotonic())
                sent[at] = time.monotonic()
                tally.late_ms.append((sent[at] - due) * 1000.0)
                await socket.send_bytes(piece)
            sent[-1] = time.monotonic()
            await socket.send_str('{"type": "finish"}')

        sending = asyncio.create_task(send())
        try:
            found = await asyncio.wait_for(_receive(socket, timeline, sent, tally), timeline.seconds + _END_SECONDS)
            await sending
        finally:
            sending.cancel()
    tally.clips += 1
    tally.wrong += found != [(cause.type, cause.text) for cause in timeline.causes]


async def _receive(
    socket: aiohttp.ClientWebSocketResponse, timeline: Timeline, sent: Sequence[float], tally: Tally
) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    async for message in socket:
        if message.type != aiohttp.WSMsgType.TEXT:
            continue
        event = json.loads(message.data)
        if event["type"] == "error":
            raise ValueError(event["message"])
        if event["type"] not in ("partial", "final"):
            continue
        if len(found) < len(timeline.causes):
            waited = (time.monotonic() - sent[timeline.causes[len(found)].piece]) * 1000.0
            (tally.final_ms if event["type"] == "final" else tally.partial_ms).append(waited)
        found.append((event["type"], event["text"]))
    return found
