"""Transcripts in the forms of the OpenAI API."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from edgespeech.demo.server.openai.form import TranscriptionForm
from edgespeech.runtime import formats
from edgespeech.runtime.decoder.hypothesis import Word
from edgespeech.runtime.transcript import Segment

_TYPES = {"text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}
_MIN_CONFIDENCE = 1e-9


@dataclass(frozen=True)
class Transcription:
    """What was recognised in an upload.

    Attributes:
        segments: The parts between endpoints.
        duration: Seconds of audio.
        language: Language of the bundle.
        damage: Where audio is missing in the upload; None if it was read to its end.
    """

    segments: Sequence[Segment]
    duration: float
    language: str
    damage: str | None = None

    @property
    def text(self) -> str:
        """All segments joined by one space."""
        return " ".join(segment.text for segment in self.segments)

    @property
    def words(self) -> list[Word]:
        """The words of all segments, in order."""
        return [word for segment in self.segments for word in segment.words]


def reply(found: Transcription, form: TranscriptionForm) -> web.Response:
    """Return the answer in the format that the client chose."""
    if form.response_format == "verbose_json":
        return _json_response(found, _verbose(found, form))
    if form.response_format == "json":
        logprobs = {"logprobs": word_logprobs(found.words)} if form.logprobs else {}
        return _json_response(found, {"text": found.text, **logprobs, "usage": usage(found.duration)})
    text = {
        "text": lambda: found.text + "\n",
        "srt": lambda: formats.to_srt(found.segments),
        "vtt": lambda: formats.to_vtt(found.segments),
    }[form.response_format]()
    return web.Response(text=text, content_type=_TYPES[form.response_format], charset="utf-8")


def delta_event(delta: str) -> bytes:
    """Return a server-sent event with text that follows what has been sent."""
    return server_sent_event({"type": "transcript.text.delta", "delta": delta})


def done_event(found: Transcription, form: TranscriptionForm) -> bytes:
    """Return the last server-sent event."""
    body: dict[str, object] = {"type": "transcript.text.done", "text": found.text}
    if form.logprobs:
        body["logprobs"] = word_logprobs(found.words)
    return server_sent_event(body | _damage(found))


def server_sent_event(body: dict[str, object]) -> bytes:
    """Return an event of a stream of the type ``text/event-stream``."""
    return f"data: {json.dumps(body)}\n\n".encode()


def usage(seconds: float) -> dict[str, object]:
    """Return the length of audio as the API has it."""
    return {"type": "duration", "seconds": round(seconds, 3)}


def word_logprobs(words: Sequence[Word]) -> list[dict[str, object]]:
    """Return the natural log of the confidence of each word, which is a token of its own."""
    tokens = [(" " if number and not word.joined else "") + word.word for number, word in enumerate(words)]
    return [
        {"token": token, "bytes": list(token.encode()), "logprob": round(_log(word), 4)}
        for token, word in zip(tokens, words, strict=True)
    ]


def _verbose(found: Transcription, form: TranscriptionForm) -> dict[str, object]:
    body: dict[str, object] = {
        "task": "transcribe",
        "language": found.language,
        "duration": round(found.duration, 3),
        "text": found.text,
    }
    if "word" in form.granularities:
        body["words"] = [
            {"word": word.word, "start": round(word.start, 3), "end": round(word.end, 3)}
            | ({} if word.written is None else {"written": word.written})
            for word in found.words
        ]
    if "segment" in form.granularities:
        body["segments"] = [_segment(number, segment) for number, segment in enumerate(found.segments)]
    return body | {"usage": usage(found.duration)}


def _segment(number: int, segment: Segment) -> dict[str, object]:
    """Return a segment with the keys of Whisper, of which those that only Whisper has are empty or zero."""
    text = segment.text.encode()
    return {
        "id": number,
        "seek": 0,
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": round(sum(map(_log, segment.words)) / max(1, len(segment.words)), 4),
        "compression_ratio": round(len(text) / len(zlib.compress(text)), 3),
        "no_speech_prob": 0.0,
    }


def _log(word: Word) -> float:
    return math.log(max(_MIN_CONFIDENCE, word.confidence))


def _damage(found: Transcription) -> dict[str, object]:
    return {} if found.damage is None else {"damage": found.damage}


def _json_response(found: Transcription, body: dict[str, object]) -> web.Response:
    return web.json_response(body | _damage(found))
