"""The websocket protocol of vosk-server, on a port of its own.

The client may begin with ``{"config": {...}}``, sends 16-bit mono audio as binary messages, each of which is answered
by exactly one text message, and ``{"eof": 1}`` at the end; ``{"reset": 1}`` makes what was said so far final.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from aiohttp import web

from edgespeech.demo.server.application import HUB, client_of
from edgespeech.demo.server.conversation import Conversation
from edgespeech.demo.server.hub import ClientStream
from edgespeech.demo.server.phrases import check_phrases, spell_all
from edgespeech.demo.server.websocket import Frame, Socket, serve_socket
from edgespeech.errors import EdgespeechError, UsageError
from edgespeech.runtime.audio import RawFormat
from edgespeech.runtime.decoder.grammar import UNKNOWN
from edgespeech.runtime.decoder.hypothesis import Word, join_words
from edgespeech.runtime.serving.settings import MAX_NBEST, StreamSettings
from edgespeech.runtime.transcript import Event, hypotheses_by_rank

log = logging.getLogger(__name__)

UNKNOWN_PHRASE = "[unk]"  # in the list of phrases, and in results


class Config(msgspec.Struct):
    """What a client chooses before its first audio; keys that are not here, such as a model, have no effect.

    Attributes:
        sample_rate: Sample rate of the audio in hertz.
        phrase_list: The only phrases to recognise, and their words in any order; ``[unk]`` marks other speech, which is
            left out of the results without it. Empty for free speech.
        words: Whether results have the words with their times.
        max_alternatives: Number of hypotheses in results; 0 for one, in the short form.
        written: Whether texts have marks and capitals; None for what the server does. Vosk has no such key.
    """

    sample_rate: float | str = 8000.0
    phrase_list: list[str] | None = None
    words: bool | int | None = True
    max_alternatives: int | str | None = 0
    written: bool | None = None


class _Message(msgspec.Struct):
    config: dict[str, Any] | None = None
    reset: Any = None
    eof: Any = None


_decoder: msgspec.json.Decoder[_Message] = msgspec.json.Decoder(_Message)


def vosk_routes() -> list[web.RouteDef]:
    """Return the routes of the port; clients give no path, or any."""
    return [web.get("/{path:.*}", _serve)]


async def _serve(request: web.Request) -> web.StreamResponse:
    return await serve_socket(request, lambda *ends: _Vosk(request, *ends).run(), _describe)


def _describe(error: EdgespeechError) -> str:
    return json.dumps({"error": str(error)})


class _Vosk:
    def __init__(self, request: web.Request, socket: Socket, conversation: Conversation[Frame]) -> None:
        self._hub, self._client = request.app[HUB], client_of(request, "vosk")
        self._socket, self._conversation = socket, conversation
        self._stream: ClientStream | None = None
        self._config = Config()
        self._form = ResultForm()
        self._partial = ""

    async def run(self) -> None:
        try:
            finished = False
            async for message in self._conversation.messages():
                if isinstance(message, bytes):
                    await self._conversation.reply(self._answer, await self._open().accept(message))
                elif finished := await self._take(_decode(message)):
                    break
            if finished or (self._conversation.is_stopped and self._stream is not None):
                await self._conversation.reply(self._answer_final, self._open().finish())
                await self._conversation.wait_for_replies()
        finally:
            if self._stream is not None:
                self._stream.close()

    async def _take(self, message: _Message) -> bool:
        """Carry out a control message; return whether it was the last one."""
        if message.config is not None and self._stream is None:
            self._config = _configure(self._config, message.config)
        if message.reset:
            await self._conversation.reply(self._answer_final, self._open().end_segment())
        return bool(message.eof)

    def _open(self) -> ClientStream:
        if self._stream is None:
            settings, self._form = _settings(self._config, self._hub.labels)
            self._stream = self._hub.open(settings, self._client)
        return self._stream

    async def _answer(self, events: list[Event]) -> None:
        """Send the one reply to a piece of audio: the segments that it ended, or the text so far."""
        finals = [event for event in events if event.type == "final"]
        if events:
            self._partial = events[-1].text if events[-1].type == "partial" else ""
        if finals:
            await self._socket.send(self._form.result(finals))
        else:
            await self._socket.send(json.dumps({"partial": self._form.partial(self._partial)}))

    async def _answer_final(self, events: list[Event]) -> None:
        self._partial = ""
        await self._socket.send(self._form.result([event for event in events if event.type == "final"]))


@dataclass(frozen=True)
class ResultForm:
    """The form of a result: with words and their times or without, with alternatives or without."""

    words: bool = True
    alternatives: bool = False
    unknown: bool = False

    def result(self, finals: Sequence[Event]) -> str:
        """Return the result for segments, several of which one message can end; an empty text if there are none."""
        if not self.alternatives:
            return json.dumps(self._piece([word for event in finals for word in event.words], "conf"))
        alternatives = []
        for chosen in hypotheses_by_rank(finals):
            piece = self._piece([word for one in chosen for word in one.words])
            alternatives.append({"confidence": round(sum(one.score for one in chosen), 3), **piece})
        return json.dumps({"alternatives": alternatives or [{"confidence": 1.0, "text": ""}]})

    @property
    def mark(self) -> str:
        """The mark of unknown speech as the client has it."""
        return UNKNOWN_PHRASE if self.unknown else ""

    def partial(self, text: str) -> str:
        """Return a partial text with this mark."""
        return " ".join(text.replace(UNKNOWN, self.mark).split())

    def text(self, words: Iterable[Word]) -> str:
        """Return the text of words with this mark."""
        return join_words(replace(word, written=self.mark if word.word == UNKNOWN else word.written) for word in words)

    def _piece(self, words: Sequence[Word], confidence: str = "") -> dict[str, object]:
        text = self.text(words)
        if not (self.words and text):
            return {"text": text}
        result = [
            {
                **({confidence: round(word.confidence, 6)} if confidence else {}),
                "end": round(word.end, 6),
                "start": round(word.start, 6),
                "word": plain,
            }
            for word in words
            if (plain := self.text([replace(word, written=None)]))
        ]
        return {"result": result, "text": text}


def _decode(text: str) -> _Message:
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(f"a text message that is not JSON with config, reset or eof: {error}") from None


def _configure(before: Config, given: dict[str, Any]) -> Config:
    try:
        return msgspec.convert({**msgspec.structs.asdict(before), **given}, Config)
    except msgspec.ValidationError as error:
        raise UsageError(f"invalid config: {error}") from None


def _settings(config: Config, labels: Sequence[str]) -> tuple[StreamSettings, ResultForm]:
    grammar = None
    if config.phrase_list:
        check_phrases(config.phrase_list)
        phrases = [phrase for phrase in config.phrase_list if phrase.strip() not in (UNKNOWN_PHRASE, UNKNOWN)]
        grammar = spell_all([*phrases, *(word for phrase in phrases for word in phrase.split())], labels)
        if not grammar:
            raise UsageError("phrase_list has no phrase that the letters of the bundle can spell; correct it")
    alternatives = int(_number("max_alternatives", config.max_alternatives or 0))
    settings = StreamSettings(
        RawFormat("s16le", _number("sample_rate", config.sample_rate)),
        grammar=grammar,
        nbest=max(1, min(MAX_NBEST, alternatives)),
        written=config.written,
    )
    has_unknown = UNKNOWN_PHRASE in (phrase.strip() for phrase in config.phrase_list or ())
    return settings, ResultForm(bool(config.words), alternatives >= 1, has_unknown)


def _number(name: str, given: float | str) -> float:
    try:
        number = float(given)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{name} is {given!r}; wanted a number")
    return number
