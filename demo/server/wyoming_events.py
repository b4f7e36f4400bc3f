"""Wyoming's events as the package reads them, with a limit on their size and one error for what is none of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wyoming.event import Event, async_read_event

from edgespeech import __version__
from edgespeech.demo.server.conversation import ClientGoneError
from edgespeech.errors import UsageError
from edgespeech.runtime.audio import RawFormat

_ENCODINGS = {1: "u8", 2: "s16le", 3: "s24le", 4: "s32le"}
_ATTRIBUTION = {"name": "edgespeech, after Deep Speech 2", "url": "https://arxiv.org/abs/1512.02595"}


class EventReader:
    """Reads the events of a client from a connection.

    Args:
        reader: The connection.
        limit: Largest data and largest payload of an event, in bytes.
    """

    def __init__(self, reader: asyncio.StreamReader, limit: int) -> None:
        self._bytes = _LimitedReader(reader, limit)

    async def read(self) -> Event | None:
        """Wait for an event; None when the client has closed.

        Raises:
            UsageError: What came is not an event, or too large.
            ClientGoneError: The connection ended inside an event.
        """
        try:
            event = await async_read_event(self._bytes)  # type: ignore[arg-type]
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            event = None
        if event is None:
            if not self._bytes.line:
                return None
            raise UsageError("not a Wyoming event; wanted one line of JSON with a type, then its data and payload")
        if not isinstance(event.type, str) or not isinstance(event.data or {}, dict):
            raise UsageError("not a Wyoming event: its type is a text and its data an object")
        if not _is_unicode(event):
            raise UsageError("not a Wyoming event: half of a surrogate pair stands alone in it")
        return event


def _is_unicode(event: Event) -> bool:
    """Return whether texts of an event can be sent back, which JSON's escapes do not ensure."""
    try:
        json.dumps([event.type, event.data], ensure_ascii=False).encode()
        return True
    except UnicodeEncodeError:
        return False


class _LimitedReader:
    """The part of `asyncio.StreamReader` that the package calls."""

    def __init__(self, reader: asyncio.StreamReader, limit: int) -> None:
        self._reader, self._limit = reader, limit
        self.line = b""

    async def readline(self) -> bytes:
        try:
            self.line = await self._reader.readline()
        except ValueError:
            raise UsageError(
                "the first line of an event is longer than 64 KiB; put its data into data_length"
            ) from None
        return self.line

    async def readexactly(self, count: int) -> bytes:
        if count > self._limit:
            raise UsageError(f"an event announces {count} bytes; wanted at most {self._limit}: send shorter pieces")
        try:
            return await self._reader.readexactly(count)
        except asyncio.IncompleteReadError:
            raise ClientGoneError("the connection ended inside an event") from None


def audio_format(event: Event) -> RawFormat:
    """Return the format that an audio event states.

    Raises:
        UsageError: A part of it is missing or out of range.
    """
    rate, width, channels = (_whole_number(event, name) for name in ("rate", "width", "channels"))
    if width not in _ENCODINGS:
        raise UsageError(f"{event.type}: width is {width} bytes; wanted 1 to 4")
    return RawFormat(_ENCODINGS[width], rate, channels)


def _whole_number(event: Event, name: str) -> int:
    value = (event.data or {}).get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise UsageError(f"{event.type}: {name} is {value!r}; wanted a whole number")
    return value


@dataclass(frozen=True)
class Wish:
    """What a ``transcribe`` event asks for; the fields of old packages are the language alone."""

    language: str | None = None
    names: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    vad_sensitivity: str | None = None


def read_wish(event: Event) -> Wish:
    """Return what a ``transcribe`` event asks for, whatever the version of our package.

    Raises:
        UsageError: A field has another type than it should.
    """
    given = {name: value for name, value in (event.data or {}).items() if value is not None}
    for name in ("transcript_names", "transcript_terms"):
        value = given.get(name, [])
        if not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
            raise UsageError(f"transcribe: {name} is not a list of texts")
    for name in ("language", "vad_sensitivity"):
        if not isinstance(given.get(name, ""), str):
            raise UsageError(f"transcribe: {name} is {given[name]!r}; wanted a text")
    return Wish(
        given.get("language"),
        tuple(given.get("transcript_names", ())),
        tuple(given.get("transcript_terms", ())),
        given.get("vad_sensitivity"),
    )


def info_event(bundle: str, language: str) -> Event:
    """Return what the server is, with the fields of new packages, whatever the version of ours."""
    artifact: Mapping[str, Any] = {"attribution": _ATTRIBUTION, "installed": True, "version": __version__}
    model = {**artifact, "name": bundle, "description": f"bundle {bundle}", "languages": [language]}
    program = {
        **artifact,
        "name": "edgespeech",
        "description": "Streaming speech recognition on the device",
        "models": [model],
        "supports_transcript_streaming": True,
        "requires_external_vad": False,
        "prefers_auto_gain_enabled": False,
        "prefers_noise_reduction_enabled": False,
    }
    others = ("tts", "handle", "intent", "wake", "mic", "snd")
    return Event("info", {"asr": [program], **{name: [] for name in others}})
