"""Realtime sessions of the package ``openai``, and bare websockets to the same address; audio in their formats."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import openai
import websockets
from numpy.typing import NDArray
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from edgespeech.runtime.audio import RawFormat
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from tests.demo.server.clients import RunningServer, pieces

RATE = 24000
PAUSE, _, SHORT = [entry.path for entry in read_manifest(SAMPLE_CLIPS)][:3]
Events = list[dict[str, Any]]
COMPLETED = "conversation.item.input_audio_transcription.completed"
DELTA = "conversation.item.input_audio_transcription.delta"


def pcm(samples: NDArray[np.float32]) -> bytes:
    return (samples * 32767).astype("<i2").tobytes()


def g711(samples: NDArray[np.float32], name: str) -> bytes:
    """Code samples by the nearest value of each code."""
    values = RawFormat(name, 8000).decode(bytes(range(256)))[:, 0]
    order = np.argsort(values)
    index = np.clip(np.searchsorted(values[order], samples), 1, 255)
    nearer = np.abs(values[order][index] - samples) < np.abs(values[order][index - 1] - samples)
    return order[np.where(nearer, index, index - 1)].astype(np.uint8).tobytes()


@asynccontextmanager
async def session(server: RunningServer, token: str = "none", **query: str) -> AsyncIterator[AsyncRealtimeConnection]:
    address = server.addresses["http"] + "/v1"
    async with openai.AsyncOpenAI(base_url=address, api_key=token, max_retries=0) as client:
        asked = {"intent": "transcription", **query}
        async with client.realtime.connect(model="gpt-4o-transcribe", extra_query=asked) as connection:
            yield connection


async def until(connection: AsyncRealtimeConnection, last: str) -> Events:
    """Receive until an event of this type."""
    found: Events = []
    while not found or found[-1]["type"] != last:
        found.append((await asyncio.wait_for(connection.recv(), 60.0)).to_dict())
        assert found[-1]["type"] != "error" or last == "error", found[-1]
    return found


async def append(connection: AsyncRealtimeConnection, data: bytes) -> None:
    for piece in pieces(data, 9600):
        await connection.input_audio_buffer.append(audio=base64.b64encode(piece).decode())


def text_of(events: Events, kind: str) -> str:
    key = "delta" if kind == DELTA else "transcript"
    return ("" if kind == DELTA else " ").join(one[key] for one in events if one["type"] == kind)


def raw(server: RunningServer, query: str = "?intent=transcription", **options: Any) -> websockets.connect:
    address = server.addresses["http"].replace("http", "ws", 1)
    return websockets.connect(f"{address}/v1/realtime{query}", max_size=None, **options)
