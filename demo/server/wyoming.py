"""Wyoming, the protocol of Home Assistant: events over TCP, read and written by the ``wyoming`` package."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event as WyomingEvent
from wyoming.event import async_write_event
from wyoming.info import Describe
from wyoming.ping import Ping, Pong

from edgespeech.demo.server.conversation import ClientGoneError, Conversation
from edgespeech.demo.server.hub import Client, Hub
from edgespeech.demo.server.listeners import Listener
from edgespeech.demo.server.phrases import MAX_LETTERS, MAX_PHRASES, spell_hot_words
from edgespeech.demo.server.request import same_language
from edgespeech.demo.server.utterance import Utterance
from edgespeech.demo.server.wyoming_events import EventReader, Wish, audio_format, info_event, read_wish
from edgespeech.errors import BusyError, EdgespeechError, UsageError
from edgespeech.runtime.audio import RawFormat
from edgespeech.runtime.decoder.hot_words import DEFAULT_BOOST
from edgespeech.runtime.serving.settings import StreamSettings
from edgespeech.runtime.transcript import Event

log = logging.getLogger(__name__)

TERM_BOOST = 5.0  # natural log; names have the usual boost
_ENDPOINT_SECONDS = {"aggressive": 0.5, "relaxed": 1.5}
_END_SECONDS = 5.0


class WyomingServer:
    """Serves the clients of one port until it is closed."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self, listener: Listener) -> None:
        """Begin to accept clients of the listener."""
        self._server = await asyncio.start_server(self._serve, sock=listener.socket)

    async def cleanup(self) -> None:
        """Accept no more clients, and wait for those whose conversations end."""
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            await self._talk(reader, writer)
        finally:
            self._clients.discard(task)
            writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        limits = self._hub.request.limits
        receive = EventReader(reader, limits.message_bytes).read
        conversation = Conversation[WyomingEvent](receive, limits.idle_seconds)
        async with self._hub.hold(conversation, "wyoming"):
            await _Connection(self._hub, writer, conversation).run()
        failure = conversation.failure
        if not isinstance(failure, ClientGoneError):
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                await asyncio.wait_for(_end(reader, writer, failure), _END_SECONDS)


async def _end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, failure: EdgespeechError | None) -> None:
    """Send the error, and wait for the client to close: to one that still sends, a closed connection is a failure."""
    if failure is not None:
        await async_write_event(Error(str(failure), _code(failure)).event(), writer)
    writer.write_eof()
    while await reader.read(2**16):
        pass


def _code(error: EdgespeechError) -> str:
    if isinstance(error, BusyError):
        return "busy"
    return "invalid-request" if isinstance(error, UsageError) else "failed"


class _Connection:
    def __init__(self, hub: Hub, writer: asyncio.StreamWriter, conversation: Conversation[WyomingEvent]) -> None:
        self._hub, self._writer, self._conversation = hub, writer, conversation
        self._client = Client("wyoming", writer.get_extra_info("peername", ("unknown",))[0])
        self._wish = Wish()
        self._utterance: Utterance | None = None
        self._open: list[Utterance] = []

    async def run(self) -> None:
        try:
            async for event in self._conversation.messages():
                await self._take(event)
            if self._conversation.is_stopped and self._utterance is not None:
                await self._finish()
            await self._conversation.wait_for_replies()
        finally:
            for utterance in self._open:
                utterance.stream.close()

    async def _take(self, event: WyomingEvent) -> None:
        """Carry out an event; those of other kinds are ignored, as the protocol asks."""
        if Describe.is_type(event.type):
            bundle = self._hub.bundle.manifest.name
            await self._send_later(info_event(bundle, self._hub.request.language))
        elif Ping.is_type(event.type):
            await self._send_later(Pong((event.data or {}).get("text")).event())
        elif Transcribe.is_type(event.type):
            self._wish = read_wish(event)
            self._check_language()
        elif AudioStart.is_type(event.type):
            await self._begin(audio_format(event))
        elif AudioChunk.is_type(event.type):
            await self._accept(event)
        elif AudioStop.is_type(event.type) and self._utterance is not None:
            await self._finish()

    async def _begin(self, chosen: RawFormat) -> Utterance:
        if self._utterance is not None:  # the client starts again without an end
            self._utterance.stream.close()
            self._open.remove(self._utterance)
        settings = StreamSettings(
            chosen,
            hot_words=_hot_words(self._wish, self._hub.labels),
            endpoint_seconds=_ENDPOINT_SECONDS.get(self._wish.vad_sensitivity or ""),
        )
        stream = self._hub.open(settings, self._client)
        self._utterance = Utterance(stream, chosen, self._send, self._hub.request.language)
        self._open.append(self._utterance)
        return self._utterance

    async def _accept(self, event: WyomingEvent) -> None:
        chosen = audio_format(event)
        utterance = self._utterance or await self._begin(chosen)
        if utterance.format != chosen:
            raise UsageError("the format of the audio changed; send audio-stop and audio-start first")
        data = event.payload or b""
        utterance.count_arrived(len(data), asyncio.get_running_loop().time())
        await self._conversation.reply(utterance.answer, await utterance.stream.accept(data))

    async def _finish(self) -> None:
        assert self._utterance is not None
        utterance, self._utterance = self._utterance, None

        async def answer(events: list[Event]) -> None:
            utterance.stream.close()
            self._open.remove(utterance)
            await utterance.answer_last(events)

        await self._conversation.reply(answer, utterance.stream.finish())

    def _check_language(self) -> None:
        wanted, ours = self._wish.language, self._hub.request.language
        if wanted and not same_language(wanted, ours):
            raise UsageError(f"the language {wanted} is not served; this bundle recognises {ours}")

    async def _send(self, event: WyomingEvent) -> None:
        await async_write_event(event, self._writer)

    async def _send_later(self, event: WyomingEvent) -> None:
        async def answer(events: list[Event]) -> None:
            await self._send(event)

        await self._conversation.reply(answer)


def _hot_words(wish: Wish, labels: tuple[str, ...]) -> dict[str, float]:
    """Return names and terms that can be spelled, with their boosts; names come first where there are too many."""
    names, terms = ([one for one in given if len(one) <= MAX_LETTERS] for given in (wish.names, wish.terms))
    if len(names) + len(terms) > MAX_PHRASES:
        log.warning("%d names and terms; the first %d are used", len(names) + len(terms), MAX_PHRASES)
    names = names[:MAX_PHRASES]
    terms = spell_hot_words(terms[: MAX_PHRASES - len(names)], labels)
    boosts = {phrase.lower(): (phrase, TERM_BOOST) for phrase in terms}
    boosts |= {phrase.lower(): (phrase, DEFAULT_BOOST) for phrase in spell_hot_words(names, labels)}
    return dict(boosts.values())
