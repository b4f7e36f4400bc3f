"""Clients of the server: whole conversations as bytes, sent to a server in this process.

The engine runs in this process too, with a tiny model. What a server logs with a traceback is raised here.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import struct
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from edgespeech.demo.server.logs import server_logging
from edgespeech.demo.server.request import Limits, ServeRequest
from edgespeech.demo.server.run import Server
from edgespeech.errors import EdgespeechError
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.serving.dispatcher import Command, Dispatcher
from edgespeech.runtime.serving.service import Service, ServiceRequest
from edgespeech.runtime.serving.worker import Round
from tests.fuzz.kind import Kind
from tests.fuzz.mutators import mutate_bytes, mutate_json
from tests.tiny_models import TINY, unpack_tiny_bundles

_ANSWER_SECONDS = 20.0
_AUDIO = bytes(range(256)) * 8
Message = dict[str, Any] | bytes


class FaultError(Exception):
    """A traceback that a server has logged."""


class _LocalLink:
    """Takes the place of a worker process: carries out commands on the event loop, with one dispatcher for all."""

    is_ready, process_id, stream_count = True, None, 0

    def __init__(self, service: Service, dispatcher: Dispatcher) -> None:
        self._service, self._dispatcher = service, dispatcher

    def send(self, command: Command) -> None:
        self._dispatcher.add(command)
        asyncio.get_running_loop().call_soon(self._work)

    async def stop(self) -> None:
        """Do nothing, as the work is done in this process."""

    def _work(self) -> None:
        while self._dispatcher.is_busy:
            replies = tuple(self._dispatcher.step())
            self._service._receive(Round(replies, self._dispatcher.last_batch, 0.0))


class _Faults(logging.Handler):
    """Keeps the tracebacks in the log."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self.found.append(record.exc_info[1])


class _Protocol(Kind[bytes]):
    """A protocol of the server; `make` returns all that a client sends."""

    protocol = "http"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        unpack_tiny_bundles(folder)
        self._faults = _Faults()
        logging.disable(logging.NOTSET)
        logging.getLogger("edgespeech").addHandler(self._faults)
        self._logging = server_logging(as_json=False)
        self._logging.__enter__()
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._take_exception)
        self._loop.run_until_complete(self._start(folder / TINY))

    async def _start(self, bundle: Path) -> None:
        limits = Limits(message_bytes=1 << 20, file_bytes=1 << 20, audio_seconds=60.0, idle_seconds=5.0)
        service = ServiceRequest(bundle)
        server = Server(ServeRequest(service, http_port=0, vosk_port=0, wyoming_port=0, limits=limits))
        hub = server._hub
        dispatcher = Dispatcher(Recognizer(load_bundle(bundle), beam_width=8))

        async def start() -> None:
            hub.service._links = [_LocalLink(hub.service, dispatcher)]  # type: ignore[list-item]

        hub.service.start = start  # type: ignore[method-assign]
        await server.start()
        self._dispatcher, self._server = dispatcher, server
        self._ports = {one.protocol: one.socket.getsockname()[1] for one in server.listeners}

    def _take_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Exception) and not isinstance(error, (OSError, EdgespeechError)):
            self._faults.found.append(error)

    def run(self, given: bytes) -> None:
        """Send all of it, and read until the server closes the connection."""
        self._loop.run_until_complete(self._talk(given))
        if self._faults.found:
            raise FaultError(str(self._faults.found[-1])) from self._faults.found.pop()

    async def _talk(self, given: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._ports[self.protocol])
        try:
            writer.write(given)
            await writer.drain()
            writer.write_eof()
            await asyncio.wait_for(reader.read(), _ANSWER_SECONDS)
        except OSError:
            pass  # the server may close at any time
        finally:
            writer.close()
        for _ in range(200):  # the streams of a client that has gone end a moment later
            if not self._dispatcher.stream_count:
                return
            await asyncio.sleep(0.01)
        raise FaultError(f"{self._dispatcher.stream_count} streams are left of a client that has gone")


class EventSockets(_Protocol):
    """Our own websocket."""

    _start_message: dict[str, Any] = {
        "type": "start", "format": "s16le:16000:1", "hot_words": {"new york": 8.0}, "nbest": 2, "endpoint": 0.5,
        "fast_partials": False,
    }  # fmt: skip
    _others: Sequence[Message] = (
        {"type": "start", "grammar": ["turn on", "turn off"]},
        {"type": "hot_words", "hot_words": ["hello"]},
        {"type": "end_segment"},
        {"type": "finish"},
        _AUDIO,
    )

    def make(self, chance: Random) -> bytes:
        """Mutate messages, their order, frames and the request."""
        return _websocket("/v1/stream", [self._start_message, *self._others], chance)


class Vosks(_Protocol):
    """The websocket of vosk-server."""

    protocol = "vosk"
    _messages: Sequence[Message] = (
        {"config": {"sample_rate": 16000, "words": True, "max_alternatives": 3, "phrase_list": ["a b", "[unk]"]}},
        {"config": {"sample_rate": "8000"}},
        {"reset": 1},
        {"eof": 1},
        _AUDIO,
    )

    def make(self, chance: Random) -> bytes:
        """Mutate messages, their order, frames and the request."""
        return _websocket("/", self._messages, chance)


class OpenAIs(_Protocol):
    """Uploads and realtime sessions of the OpenAI API."""

    _fields = {
        "model": "whisper-1", "response_format": "verbose_json", "timestamp_granularities[]": "word",
        "temperature": "0", "language": "en", "prompt": "new york", "stream": "true",
    }  # fmt: skip
    _session = {
        "type": "transcription",
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": {"model": "gpt-4o-transcribe", "language": "en", "prompt": "new york"},
                "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
            }
        },
    }
    _messages: Sequence[Message] = (
        {"type": "session.update", "session": _session},
        {"type": "transcription_session.update", "session": {"input_audio_format": "g711_ulaw"}},
        {"type": "input_audio_buffer.append", "audio": base64.b64encode(_AUDIO).decode()},
        {"type": "input_audio_buffer.commit"},
        {"type": "input_audio_buffer.clear"},
        {"type": "conversation.item.delete", "item_id": "item_1"},
    )

    def make(self, chance: Random) -> bytes:
        """Mutate an upload, or the messages of a session."""
        if chance.random() < 0.5:
            return _websocket("/v1/realtime?intent=transcription", self._messages, chance)
        return self._upload(chance)

    def _upload(self, chance: Random) -> bytes:
        form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16)
        body = b"WAVE" + form + struct.pack("<4sI", b"data", len(_AUDIO)) + _AUDIO
        wav = struct.pack("<4sI", b"RIFF", len(body)) + body
        parts = []
        for name, value in self._fields.items():
            if chance.random() < 0.5:
                text = mutate_json(value, chance).strip('"') if chance.random() < 0.5 else value
                parts.append(f'Content-Disposition: form-data; name="{name}"\r\n\r\n{text}'.encode("utf-8", "replace"))
        content = mutate_bytes(wav, chance) if chance.random() < 0.5 else wav
        parts.insert(
            chance.randrange(len(parts) + 1),
            b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + content,
        )
        body = b"".join(b"--xyz\r\n" + part + b"\r\n" for part in parts) + b"--xyz--\r\n"
        body = mutate_bytes(body, chance) if chance.random() < 0.3 else body
        path = chance.choice(("/v1/audio/transcriptions", "/v1/audio/translations", "/v1/models", "/health"))
        path = "/v1/audio/transcriptions" if chance.random() < 0.7 else path
        length = len(body) if chance.random() < 0.9 else chance.choice((0, -1, 10**12, len(body) + 1))
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n"
        head += "Content-Type: multipart/form-data; boundary=xyz\r\n"
        if chance.random() < 0.1:
            head += chance.choice(
                ("Content-Encoding: gzip\r\n", "Transfer-Encoding: chunked\r\n", "Expect: 100-continue\r\n")
            )
        return head.encode() + b"\r\n" + body


class Wyomings(_Protocol):
    """Events of Home Assistant: a line of JSON, then data and payload of the lengths in it."""

    protocol = "wyoming"
    _format = {"rate": 16000, "width": 2, "channels": 1}
    _events: Sequence[tuple[dict[str, Any], bytes]] = (
        ({"type": "describe"}, b""),
        ({"type": "ping", "data": {"text": "a"}}, b""),
        ({"type": "transcribe", "data": {"language": "en", "context": {"names": ["Kitchen"], "terms": ["on"]}}}, b""),
        ({"type": "audio-start", "data": _format}, b""),
        ({"type": "audio-chunk", "data": _format}, _AUDIO),
        ({"type": "audio-stop"}, b""),
    )

    def make(self, chance: Random) -> bytes:
        """Mutate events and their order."""
        sent = b""
        for event, payload in _some(self._events, chance):
            data = mutate_bytes(payload, chance) if payload and chance.random() < 0.3 else payload
            header = {**event, "payload_length": len(data)} if data else dict(event)
            text = mutate_json(header, chance) if chance.random() < 0.4 else json.dumps(header)
            sent += text.replace("\n", " ").encode("utf-8", "surrogatepass") + b"\n" + data
        return mutate_bytes(sent, chance) if chance.random() < 0.2 else sent


def _some(items: Sequence[Any], chance: Random) -> list[Any]:
    """Take the items in their order most often, else some of them in any order."""
    if chance.random() < 0.6:
        return [one for one in items if chance.random() < 0.85]
    return chance.choices(items, k=chance.randrange(1, 8))


def _websocket(path: str, messages: Sequence[Message], chance: Random) -> bytes:
    head = f"GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    head += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    if chance.random() < 0.1:
        head += "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    request = head.encode() + b"\r\n"
    sent = b"".join(_frame(_message(one, chance), isinstance(one, bytes), chance) for one in _some(messages, chance))
    sent += _frame(struct.pack("!H", 1000), False, chance, 8) if chance.random() < 0.5 else b""
    if chance.random() < 0.1:
        request = mutate_bytes(request, chance)
    return request + (mutate_bytes(sent, chance) if chance.random() < 0.15 else sent)


def _message(message: Message, chance: Random) -> bytes:
    if isinstance(message, bytes):
        return mutate_bytes(message, chance) if chance.random() < 0.3 else message
    text = mutate_json(message, chance) if chance.random() < 0.5 else json.dumps(message)
    return text.encode("utf-8", "surrogatepass")


def _frame(data: bytes, binary: bool, chance: Random, opcode: int = 0) -> bytes:
    """Make a masked frame; the mask is zero."""
    opcode = opcode or (2 if binary else 1)
    first = 0x80 | opcode if chance.random() < 0.97 else chance.randrange(256)
    length = len(data)
    if length < 126:
        size = bytes([0x80 | length])
    else:
        size = struct.pack("!BH", 0x80 | 126, length) if length < 1 << 16 else struct.pack("!BQ", 0x80 | 127, length)
    return bytes([first]) + size + bytes(4) + data
