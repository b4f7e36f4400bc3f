"""Our own websocket at ``/v1/stream``: audio in, the events of ``edgespeech live --json`` out.

The client may begin with ``{"type": "start", ...}``, whose fields are those of `Start`; then it sends audio as binary
messages, and ``{"type": "finish"}`` at the end. In between, ``{"type": "end_segment"}`` ends the segment now, and
``{"type": "hot_words", "hot_words": {...}}`` changes the hot words of the next one. The server sends
``{"type": "ready", ...}`` when it has a stream for the client, one text message for each event, and closes the
connection after the last; ``{"type": "error", "message": ...}`` comes before it closes because of an error.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec
from aiohttp import web

from edgespeech import __version__
from edgespeech.demo.server.application import HUB, client_of
from edgespeech.demo.server.conversation import Conversation
from edgespeech.demo.server.hub import ClientStream
from edgespeech.demo.server.phrases import check_phrases, spell, spell_hot_words
from edgespeech.demo.server.websocket import Frame, Socket, serve_socket
from edgespeech.errors import EdgespeechError, UsageError
from edgespeech.runtime.audio import RawFormat
from edgespeech.runtime.decoder.hot_words import DEFAULT_BOOST
from edgespeech.runtime.formats import event_to_json
from edgespeech.runtime.serving.settings import StreamSettings
from edgespeech.runtime.transcript import Event

PATH = "/v1/stream"

Boosts = dict[str, float] | list[str]


class Start(msgspec.Struct, tag="start", forbid_unknown_fields=True):
    """What a stream begins with.

    Attributes:
        format: Format of the audio, as ``--raw`` of the command line has it.
        hot_words: Expected phrases, with or without their boosts.
        grammar: The only phrases to recognise; excludes hot words.
        nbest: Number of hypotheses in finals.
        endpoint: Silence in seconds that ends a segment; 0 for no such rule, None for that of the server.
        fast_partials: Whether partials include audio inside the look-ahead, at twice the computation.
        written: Whether finals have marks and capitals; None for what the server does.
    """

    format: str = "s16le:16000:1"
    hot_words: Boosts = {}
    grammar: list[str] | None = None
    nbest: int = 1
    endpoint: float | None = None
    fast_partials: bool = False
    written: bool | None = None


class HotWords(msgspec.Struct, tag="hot_words", forbid_unknown_fields=True):
    """Other hot words, from the next segment on."""

    hot_words: Boosts


class EndSegment(msgspec.Struct, tag="end_segment", forbid_unknown_fields=True):
    """The end of a segment, now."""


class Finish(msgspec.Struct, tag="finish", forbid_unknown_fields=True):
    """The end of the stream: everything that was sent becomes final."""


Control = Start | HotWords | EndSegment | Finish
_decoder: msgspec.json.Decoder[Control] = msgspec.json.Decoder(Control)


def event_socket_routes() -> list[web.RouteDef]:
    """Return the route of the websocket."""
    return [web.get(PATH, _serve)]


async def _serve(request: web.Request) -> web.StreamResponse:
    return await serve_socket(request, lambda *ends: _EventSocket(request, *ends).run(), _describe)


def _describe(error: EdgespeechError) -> str:
    return json.dumps({"type": "error", "message": str(error)})


class _EventSocket:
    def __init__(self, request: web.Request, socket: Socket, conversation: Conversation[Frame]) -> None:
        self._hub, self._client = request.app[HUB], client_of(request, "stream")
        self._socket, self._conversation = socket, conversation
        self._stream: ClientStream | None = None

    async def run(self) -> None:
        try:
            finished = False
            async for message in self._conversation.messages():
                if finished := await self._take(message):
                    break
            if self._stream is not None and (finished or self._conversation.is_stopped):
                await self._conversation.reply(self._send_events, self._stream.finish())
                await self._conversation.wait_for_replies()
        finally:
            if self._stream is not None:
                self._stream.close()

    async def _take(self, message: Frame) -> bool:
        """Carry out a message; return whether it was the last one."""
        control = None if isinstance(message, bytes) else _decode(message)
        if self._stream is None:
            settings = _settings(control if isinstance(control, Start) else Start(), self._hub.labels)
            self._stream = self._hub.open(settings, self._client)
            await self._conversation.reply(self._send_ready, self._stream.opened)
        elif isinstance(control, Start):
            raise UsageError("start came after the first message; open another connection for other settings")
        if isinstance(message, bytes):
            await self._conversation.reply(self._send_events, await self._stream.accept(message))
        elif isinstance(control, EndSegment):
            await self._conversation.reply(self._send_events, self._stream.end_segment())
        elif isinstance(control, HotWords):
            boosts = _boosts(control.hot_words, self._hub.labels)
            await self._conversation.reply(self._send_events, self._stream.set_hot_words(boosts))
        return isinstance(control, Finish)

    async def _send_ready(self, events: list[Event]) -> None:
        bundle = self._hub.bundle.manifest
        ready = {"type": "ready", "version": __version__, "bundle": bundle.name, "language": self._hub.request.language}
        await self._socket.send(json.dumps(ready))

    async def _send_events(self, events: list[Event]) -> None:
        for event in events:
            await self._socket.send(event_to_json(event))


def _decode(text: str) -> Control:
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        kinds = "start, hot_words, end_segment or finish"
        raise UsageError(f"a message that is not JSON of the type {kinds}: {error}") from None


def _settings(start: Start, labels: Sequence[str]) -> StreamSettings:
    check_phrases(start.grammar or ())
    return StreamSettings(
        format=RawFormat.parse(start.format),
        hot_words=_boosts(start.hot_words, labels),
        grammar=None if start.grammar is None else [_spell(phrase, labels) for phrase in start.grammar],
        nbest=start.nbest,
        endpoint_seconds=start.endpoint,
        fast_partials=start.fast_partials,
        written=start.written,
    )


def _boosts(hot_words: Boosts, labels: Sequence[str]) -> dict[str, float]:
    check_phrases(hot_words)
    pairs = hot_words.items() if isinstance(hot_words, dict) else ((phrase, DEFAULT_BOOST) for phrase in hot_words)
    boosts = {_spell(phrase, labels): (phrase, boost) for phrase, boost in pairs}
    return {spell_hot_words([phrase], labels)[0]: boost for phrase, boost in boosts.values()}


def _spell(phrase: str, labels: Sequence[str]) -> str:
    if (spelled := spell(phrase, labels)) is None:
        raise UsageError(f"{phrase!r} cannot be spelled with the letters of the bundle; leave it out or spell it out")
    return spelled
