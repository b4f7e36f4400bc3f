"""The websocket ``/v1/realtime`` of the OpenAI API, for transcription: base64 audio in, deltas and transcripts out.

What is committed is a recording of its own, with the words that `transcribe` finds in it: a commit ends the stream of
the engine, because a segment that ends within a sound has no silence behind it in which its last letters come.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
from aiohttp import web

from edgespeech.demo.server.application import HUB, RequestError, client_of, error_body
from edgespeech.demo.server.conversation import ClientGoneError, Conversation
from edgespeech.demo.server.hub import ClientStream
from edgespeech.demo.server.openai.realtime_items import Items, Message, server_event
from edgespeech.demo.server.openai.realtime_session import Session
from edgespeech.demo.server.websocket import Frame, Socket, serve_socket
from edgespeech.errors import EdgespeechError
from edgespeech.runtime.transcript import Event

PATH = "/v1/realtime"
INTENT = "transcription"
_PROTOCOLS = ("realtime",)
_BETA_PROTOCOL = "openai-beta.realtime-v1"
_PIECE_SECONDS = 1.0
_SEND_SECONDS = 5.0


def realtime_routes() -> list[web.RouteDef]:
    """Return the route of the websocket."""
    return [web.get(PATH, _serve)]


async def _serve(request: web.Request) -> web.StreamResponse:
    if (intent := request.query.get("intent", INTENT)) != INTENT:
        raise RequestError(f"intent is {intent!r}; this server only transcribes: wanted {INTENT}", "intent")
    return await serve_socket(request, lambda *ends: _Realtime(request, *ends).run(), _describe, _PROTOCOLS)


def _describe(error: EdgespeechError, event_id: str | None = None) -> str:
    return json.dumps(server_event("error", error={**error_body(error), "event_id": event_id}))


class _Realtime:
    def __init__(self, request: web.Request, socket: Socket, conversation: Conversation[Frame]) -> None:
        self._hub, self._client = request.app[HUB], client_of(request, "realtime")
        self._socket, self._conversation = socket, conversation
        self._stream: ClientStream | None = None
        self._session, self._identity = Session(), f"sess_{secrets.token_hex(10)}"
        self._items = Items(_is_flat(request))
        self._apply(self._items.flat)
        self._handlers: dict[str, Callable[[Message], Awaitable[None]]] = {
            "session.update": self._update,
            "transcription_session.update": self._update_flat,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
        }

    async def run(self) -> None:
        try:
            await self._report_session("created")
            async for message in self._conversation.messages():
                await self._take(message)
            if self._stream is not None and self._conversation.is_stopped:
                await self._reply(self._items.commit, self._stream.finish(), self._stream.seconds)
                await self._conversation.wait_for_replies()
        except ClientGoneError:
            raise
        except EdgespeechError as error:
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                await asyncio.wait_for(self._send(self._items.fail(error_body(error))), _SEND_SECONDS)
            raise
        finally:
            if self._stream is not None:
                self._stream.close()

    async def _take(self, frame: Frame) -> None:
        """Carry out a message; one that cannot be is answered, and the session goes on."""
        message: Message = {}
        try:
            message = _decode(frame)
            kind = message.get("type")
            if not isinstance(kind, str) or kind not in self._handlers:
                raise RequestError(f"type is {kind!r}; wanted {', '.join(self._handlers)}", "type")
            await self._handlers[kind](message)
        except RequestError as error:
            identity = message.get("event_id")
            text = _describe(error, identity if isinstance(identity, str) else None)
            await self._conversation.reply(lambda events: self._socket.send(text))

    async def _append(self, message: Message) -> None:
        if not (audio := _decode_audio(message.get("audio"))):
            return
        if self._stream is None:
            self._stream = self._hub.open(self._session.stream_settings(self._hub.labels), self._client)
            await self._reply(self._items.take, self._stream.opened)
        chosen = self._session.format
        size = int(_PIECE_SECONDS * chosen.sample_rate) * chosen.frame_bytes
        for start in range(0, len(audio), size):
            await self._reply(self._items.take, await self._stream.accept(audio[start : start + size]))

    async def _commit(self, message: Message) -> None:
        if self._stream is None:
            raise RequestError(
                "no audio has arrived since the last commit; append some", code="input_audio_buffer_commit_empty"
            )
        await self._reply(self._items.commit, self._stream.finish(), self._stream.seconds)
        await self._leave_stream()

    async def _clear(self, message: Message) -> None:
        await self._leave_stream()
        await self._reply(lambda events: self._items.clear(), None)

    async def _update_flat(self, message: Message) -> None:
        await self._change(message, True)

    async def _update(self, message: Message) -> None:
        await self._change(message, self._items.flat)

    async def _change(self, message: Message, flat: bool) -> None:
        labels = self._hub.labels
        before = self._session
        self._session = before.updated(message.get("session"), labels, self._hub.request.language)
        if self._stream is not None:
            if (before.format, before.turn_detection) != (self._session.format, self._session.turn_detection):
                await self._reply(self._items.take, self._stream.finish())
                await self._leave_stream()
            elif (boosts := self._session.hot_words(labels)) != before.hot_words(labels):
                await self._reply(self._items.take, self._stream.set_hot_words(boosts))
        await self._conversation.wait_for_replies()
        self._apply(flat)
        await self._report_session("updated")

    async def _leave_stream(self) -> None:
        """Close the stream, behind the replies to what it was given; the next audio begins another one."""
        await self._conversation.wait_for_replies()
        if self._stream is not None:
            self._items.begin_stream(self._stream.seconds)
            self._stream.close()
            self._stream = None

    def _apply(self, flat: bool) -> None:
        detection = self._session.turn_detection
        prefix = None if detection is None else detection.prefix_padding_ms / 1000.0
        self._items.configure(flat, self._session.has_logprobs, prefix)

    async def _report_session(self, what: str) -> None:
        flat, silence = self._items.flat, self._hub.service.request.options.endpoint_seconds
        described = self._session.described(self._identity, flat, silence)
        event = server_event(f"{'transcription_' if flat else ''}session.{what}", session=described)
        await self._conversation.reply(lambda events: self._send([event]))

    async def _reply(
        self, answer: Callable[..., Iterable[Message]], events: Awaitable[list[Event]] | None, *values: Any
    ) -> None:
        await self._conversation.reply(lambda found: self._send(answer(found, *values)), events)

    async def _send(self, messages: Iterable[Message]) -> None:
        for message in messages:
            await self._socket.send(json.dumps(message))


def _is_flat(request: web.Request) -> bool:
    """Whether a client announces that it uses the older form."""
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    return _BETA_PROTOCOL in offered or "realtime=v1" in request.headers.get("OpenAI-Beta", "")


def _decode(frame: Frame) -> Message:
    try:
        message = msgspec.json.decode(frame) if isinstance(frame, str) else None
    except (msgspec.DecodeError, RecursionError) as error:
        raise RequestError(f"a message that is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise RequestError("a message that is not a JSON object; audio comes as base64 in input_audio_buffer.append")
    return message


def _decode_audio(audio: object) -> bytes:
    if not isinstance(audio, str):
        raise RequestError("audio is not a text; wanted base64", "audio")
    try:
        return base64.b64decode(audio, validate=True)
    except ValueError as error:
        raise RequestError(f"audio is not base64: {error}", "audio") from None
