"""The usual server, to compare with: one process, a stream for each connection, and a pool of threads that calls them.

It is what vosk-server does with its recognizers. Each chunk is one step of the model, and Python's lock is shared by
all threads. It is a program that speaks the websocket protocol of `edgespeech serve` as far as the load test uses it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiohttp import WSMsgType, web

from edgespeech.runtime.audio import RawFormat
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.options import RecognizerOptions
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Event


def make_application(recognizer: Recognizer, threads: int) -> web.Application:
    """Make the server with this many threads for all its streams; one is a process that takes them in turns."""
    pool = ThreadPoolExecutor(threads)

    async def recognise(request: web.Request) -> web.WebSocketResponse:
        socket, loop = web.WebSocketResponse(), asyncio.get_running_loop()
        await socket.prepare(request)

        async def show(events: list[Event]) -> None:
            for event in events:
                await socket.send_str(json.dumps({"type": event.type, "text": event.text}))

        start = await socket.receive_json()
        with recognizer.stream(int(RawFormat.parse(start["format"]).sample_rate)) as stream:
            async for message in socket:
                if message.type == WSMsgType.BINARY:
                    await show(await loop.run_in_executor(pool, stream.accept_pcm16, message.data))
                else:
                    await show(await loop.run_in_executor(pool, stream.finish))
                    break
        await socket.close()
        return socket

    async def health(request: web.Request) -> web.Response:
        return web.Response()

    application = web.Application()
    application.add_routes([web.get("/v1/stream", recognise), web.get("/health", health)])
    return application


def main() -> None:
    """Serve on loopback: PORT, THREADS, BUNDLE, and the beam width if it is not the bundle's."""
    port, threads, bundle, *beam = sys.argv[1:]
    options = RecognizerOptions(beam_width=int(beam[0]) if beam else None)
    recognizer = Recognizer(load_bundle(Path(bundle)), options)
    count = int(threads) or 4 * (os.cpu_count() or 1)
    web.run_app(make_application(recognizer, count), host="127.0.0.1", port=int(port), print=None)


if __name__ == "__main__":
    main()
