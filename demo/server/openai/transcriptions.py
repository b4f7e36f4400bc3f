"""``POST /v1/audio/transcriptions``: an uploaded recording becomes text, in pieces beside the streams of others."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator

import numpy as np
from aiohttp import web
from numpy.typing import NDArray

from edgespeech.demo.server.application import HUB, RequestError, client_of, error_body
from edgespeech.demo.server.hub import ClientStream, Hub
from edgespeech.demo.server.openai.form import TranscriptionForm
from edgespeech.demo.server.openai.replies import Transcription, delta_event, done_event, reply, server_sent_event
from edgespeech.demo.server.openai.upload import FILE, receive_upload
from edgespeech.errors import AudioError, BusyError, DamagedAudioError, EdgespeechError, UsageError
from edgespeech.runtime import audio
from edgespeech.runtime.audio import RawFormat
from edgespeech.runtime.serving.settings import StreamSettings
from edgespeech.runtime.transcript import Event, Segment

PATH = "/v1/audio/transcriptions"
_NAME = "the uploaded file"  # its name at the client is not needed: kinds are known by their first bytes


def transcription_routes() -> list[web.RouteDef]:
    """Return the route for uploads."""
    return [web.post(PATH, _Transcriptions().serve)]


class _Transcriptions:
    """The uploads of one server, which are not more at once than there may be streams."""

    def __init__(self) -> None:
        self._count = 0

    async def serve(self, request: web.Request) -> web.StreamResponse:
        hub = request.app[HUB]
        if not hub.is_ready or self._count >= hub.service.request.max_streams:
            hub.service.observer.refused("streams" if hub.is_ready else "stopping")
            raise BusyError("the server has too many uploads, is stopping, or is not ready yet; try again in a moment")
        self._count += 1
        try:
            return await self._transcribe(request, hub)
        finally:
            self._count -= 1

    async def _transcribe(self, request: web.Request, hub: Hub) -> web.StreamResponse:
        async with receive_upload(request, hub.request.limits) as upload:
            form = TranscriptionForm.parse(upload.fields, hub.labels, hub.request.language)
            rate = hub.bundle.manifest.audio.sample_rate
            settings = StreamSettings(
                RawFormat("f32le", rate),
                hot_words=form.hot_words,
                endpoint_seconds=form.endpoint_seconds,
                written=form.written,
            )
            with hub.open(settings, client_of(request, "openai")) as stream:
                work = _Recording(request, stream, audio.read_file_blocks(upload.file, _NAME, rate))
                try:
                    if form.stream:
                        return await _stream(request, work, form)
                    async for _ in work.segments():
                        pass
                    return reply(work.transcription, form)
                except (AudioError, UsageError) as error:
                    raise RequestError(str(error), FILE) from None


class _Recording:
    """An upload on its way through a stream.

    Attributes:
        transcription: What has been recognised so far.
    """

    def __init__(self, request: web.Request, stream: ClientStream, blocks: Iterator[NDArray[np.float32]]) -> None:
        self._request, self._stream, self._blocks = request, stream, blocks
        self._found: list[Segment] = []
        self._damage: str | None = None

    @property
    def transcription(self) -> Transcription:
        language = self._request.app[HUB].request.language
        return Transcription(self._found, self._stream.seconds, language, self._damage)

    async def segments(self) -> AsyncIterator[Segment]:
        """Yield each segment as soon as it is final.

        Raises:
            EdgespeechError: The upload is not audio, or too long, or the stream has failed.
            ConnectionResetError: The client has gone.
        """
        waiting: deque[asyncio.Future[list[Event]]] = deque()
        while (block := await self._next_block()) is not None:
            if self._request.transport is None or self._request.transport.is_closing():
                raise ConnectionResetError("the client has disconnected")
            waiting.append(await self._stream.accept(block.astype("<f4").tobytes()))
            while waiting and waiting[0].done():
                for segment in self._take(await waiting.popleft()):
                    yield segment
        waiting.append(self._stream.finish())
        for events in waiting:
            for segment in self._take(await events):
                yield segment

    async def _next_block(self) -> NDArray[np.float32] | None:
        try:
            return await asyncio.to_thread(next, self._blocks, None)
        except DamagedAudioError as error:
            if not self._stream.seconds:
                raise
            self._damage = str(error)
            return None

    def _take(self, events: list[Event]) -> list[Segment]:
        found = [Segment.from_final(event) for event in events if event.type == "final"]
        self._found += found
        return found


async def _stream(request: web.Request, work: _Recording, form: TranscriptionForm) -> web.StreamResponse:
    """Send server-sent events; what goes wrong before the first of them is answered by a status."""
    seconds = request.app[HUB].request.limits.idle_seconds
    segments = work.segments()
    segment = await anext(segments, None)
    response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    response.content_type = "text/event-stream"
    await response.prepare(request)

    async def send(event: bytes) -> None:
        try:
            await asyncio.wait_for(response.write(event), seconds)
        except asyncio.TimeoutError:
            raise ConnectionResetError("the client does not read") from None

    try:
        space = ""
        while segment is not None:
            await send(delta_event(space + segment.text))
            space, segment = " ", await anext(segments, None)
        await send(done_event(work.transcription, form))
    except EdgespeechError as error:
        await send(server_sent_event({"error": error_body(error)}))
    await response.write_eof()
    return response
