"""A multipart form from a client: its text fields, and its recording as a temporary file that has no name."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from edgespeech.demo.server.application import RequestError
from edgespeech.demo.server.request import Limits

FILE = "file"
_PIECE_BYTES = 2**16
_MAX_FIELD_BYTES = 2**16
_MAX_PARTS = 2000

Result = TypeVar("Result")


@dataclass(frozen=True)
class Upload:
    """A form that has arrived.

    Attributes:
        file: The recording.
        fields: Values of each field in their order; ``name[]`` counts as ``name``.
    """

    file: BinaryIO
    fields: dict[str, list[str]]


@asynccontextmanager
async def receive_upload(request: web.Request, limits: Limits) -> AsyncIterator[Upload]:
    """Receive a form within the limits, and delete its recording at the end.

    Raises:
        RequestError: The body is not a form with a recording, is too large, or stops to arrive.
    """
    if request.content_type != "multipart/form-data":
        raise RequestError(
            f"the body is {request.content_type}; wanted multipart/form-data with the recording in the field file"
        )
    if (request.content_length or 0) > limits.file_bytes + _MAX_PARTS * 1024:
        raise _too_large(limits)
    with tempfile.TemporaryFile(buffering=0) as file:
        try:
            fields = await _receive(request, file, limits)
        except (ValueError, AssertionError, EOFError, HttpProcessingError) as error:  # of the parser
            raise RequestError(f"the body is not a complete multipart/form-data: {error}") from None
        yield Upload(file, fields)


async def _receive(request: web.Request, file: BinaryIO, limits: Limits) -> dict[str, list[str]]:
    """Write the recording to the file, and return the other fields."""
    fields: dict[str, list[str]] = {}
    count = 0
    reader = await request.multipart()
    for _ in range(_MAX_PARTS):
        part = await _arrival(reader.next(), limits)
        if part is None:
            if not count:
                raise RequestError("the form has no file; send the recording in the field file", FILE)
            return fields
        if not isinstance(part, BodyPartReader):
            raise RequestError("the form has another form inside; send plain fields")
        name = re.sub(r"\[\d*\]$", "", part.name or "")
        if name != FILE:
            fields.setdefault(name, []).append(await _text(part, name, limits))
        elif count:
            raise RequestError("the form has several files; send one in each request", FILE)
        elif not (count := await _store(part, file, limits)):
            raise RequestError("the file is empty (0 bytes); record or copy it again", FILE)
    raise RequestError(f"the form has more than {_MAX_PARTS} fields")


async def _store(part: BodyPartReader, file: BinaryIO, limits: Limits) -> int:
    """Write a part to a file, without keeping the event loop waiting for the disk; return its bytes."""
    count = 0
    while piece := await _arrival(part.read_chunk(_PIECE_BYTES), limits):
        count += len(piece)
        if count > limits.file_bytes:
            raise _too_large(limits)
        await asyncio.to_thread(file.write, piece)
    return count


async def _text(part: BodyPartReader, name: str, limits: Limits) -> str:
    text = bytearray()
    while piece := await _arrival(part.read_chunk(_PIECE_BYTES), limits):
        text += piece
        if len(text) > _MAX_FIELD_BYTES:
            raise RequestError(f"{name} is longer than {_MAX_FIELD_BYTES} bytes", name)
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise RequestError(f"{name} is not UTF-8 text", name) from None


async def _arrival(arriving: Awaitable[Result], limits: Limits) -> Result:
    try:
        return await asyncio.wait_for(arriving, limits.idle_seconds)
    except asyncio.TimeoutError:
        raise RequestError(
            f"nothing arrived for {limits.idle_seconds:g} s; send the whole form at once", status=408
        ) from None


def _too_large(limits: Limits) -> RequestError:
    return RequestError(
        f"the file is larger than {limits.file_bytes / 2**20:.4g} MiB, the most that this server takes; compress or "
        "divide it",
        FILE,
        413,
    )
