#!/usr/bin/env bash
# What one would guess: a client of the package websockets that sends a recording as fast as it can to a recogniser that
#   takes audio at three times real time is only held back: TCP stops it while the server is busy, and all audio arrives.
# What happens: the client's own keepalive ends the connection with the code 1011. It sends a ping every 20 s, and wants the
#   answer within 20 s; the ping waits behind minutes of audio in the buffers of both sides, which the server reads in
#   order. With ping_timeout=None the same upload arrives whole.
# Whom it hurts: whoever uploads recordings over a websocket to a small device, where it works with short ones: the error
#   names the ping and not the upload, and the server sees a client that left.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check websockets==15.0.1 aiohttp==3.14.5
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import contextlib
import multiprocessing
import sys
import time

import aiohttp
import websockets
from aiohttp import web

PORT = 18765
SECOND = 32000  # bytes of 16-bit samples at 16 kHz
SPEED = 3.0  # seconds of audio that the server takes in a second
PIECE = SECOND // 10
UPLOAD = 180 * SECOND  # three minutes of silence, a minute of work for the server


async def take(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(autoping=True)
    await socket.prepare(request)
    taken, began = 0, time.monotonic()
    with contextlib.suppress(ConnectionError):  # the client may have left
        async for message in socket:
            if message.type != aiohttp.WSMsgType.BINARY:
                await socket.send_str(str(taken))
                continue
            taken += len(message.data)
            await asyncio.sleep(max(0.0, began + taken / (SPEED * SECOND) - time.monotonic()))
    return socket


def serve() -> None:
    app = web.Application()
    app.router.add_get("/", take)
    web.run_app(app, host="127.0.0.1", port=PORT, print=None)


async def upload(**settings: object) -> str:
    began = time.monotonic()
    try:
        async with websockets.connect(f"ws://127.0.0.1:{PORT}/", max_size=None, **settings) as socket:
            for start in range(0, UPLOAD, PIECE):
                await socket.send(bytes(PIECE))
            await socket.send("end")
            return f"{int(await socket.recv()) / SECOND:.0f} s of audio arrived"
    except websockets.ConnectionClosedError as error:
        return f"closed after {time.monotonic() - began:.0f} s: {error}"


async def main() -> int:
    await asyncio.sleep(2.0)
    print(f"websockets {websockets.__version__}, aiohttp {aiohttp.__version__}; {UPLOAD // SECOND} s of audio at once, {SPEED:g} s of it are taken per second")
    by_default = await upload()
    patient = await upload(ping_timeout=None)
    print(f"by default: {by_default}")
    print(f"with ping_timeout=None: {patient}")
    changed = "keepalive ping timeout" not in by_default or patient != "180 s of audio arrived"
    print("CHANGED" if changed else "as described: the sender's own ping ends its upload")
    return int(changed)


if __name__ == "__main__":
    server = multiprocessing.get_context("fork").Process(target=serve, daemon=True)
    server.start()
    try:
        code = asyncio.run(main())
    finally:
        server.kill()
    sys.exit(code)
PYTHON
