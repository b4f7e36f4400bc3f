"""Start and end: signals while clients stream, ports that are taken, a killed server that starts again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest
import websockets
from wyoming.asr import Transcript
from wyoming.audio import AudioChunk, AudioStart
from wyoming.client import AsyncTcpClient

from tests.conftest import Outcome
from tests.demo.server.clients import RATE, RunningServer, running, start_server, stop, stream_text
from tests.demo.server.conftest import Clip

posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


async def interrupted_stream(server: RunningServer, audio: bytes, arrived: Callable[[], Awaitable[None]]) -> str:
    """Send audio, never finish, and return the final that comes because the server stops."""
    async with websockets.connect(server.stream_url) as connection:
        await connection.send(audio)
        while json.loads(await connection.recv())["type"] != "partial":
            pass
        await arrived()
        finals = []
        with pytest.raises(websockets.ConnectionClosedOK) as closed:
            while True:
                event = json.loads(await connection.recv())
                finals += [event["text"]] if event["type"] == "final" else []
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
        assert closed.value.rcvd.reason == "the server stops"
    return " ".join(finals)


async def interrupted_vosk(server: RunningServer, audio: bytes, arrived: Callable[[], Awaitable[None]]) -> str:
    async with websockets.connect(server.vosk_url) as connection:
        await connection.send(json.dumps({"config": {"sample_rate": RATE}}))
        await connection.send(audio)
        assert "partial" in json.loads(await connection.recv())
        await arrived()
        text: str = json.loads(await connection.recv())["text"]
        with pytest.raises(websockets.ConnectionClosedOK) as closed:
            await connection.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
    return text


async def interrupted_wyoming(server: RunningServer, audio: bytes, arrived: Callable[[], Awaitable[None]]) -> str:
    async with AsyncTcpClient("127.0.0.1", server.wyoming_port, read_timeout=60.0) as client:
        await client.write_event(AudioStart(RATE, 2, 1).event())
        await client.write_event(AudioChunk(RATE, 2, 1, audio).event())
        event = await client.read_event()
        assert event is not None and event.type == "transcript-start"
        await arrived()
        while event is not None and event.type != "transcript":
            event = await client.read_event()
        assert event is not None
        assert (await client.read_event() is not None) and await client.read_event() is None
        return Transcript.from_event(event).text


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_makes_every_stream_final(clips: list[Clip], number: signal.Signals) -> None:
    clip, kinds = clips[2], (interrupted_stream, interrupted_vosk, interrupted_wyoming)
    with running() as server:
        waiting = 2 * len(kinds)

        async def arrived() -> None:
            nonlocal waiting
            waiting -= 1
            if not waiting:
                server.signal(number)

        async def run() -> list[str]:
            return await asyncio.gather(*(kind(server, clip.audio, arrived) for kind in kinds * 2))

        assert asyncio.run(run()) == [clip.text] * 2 * len(kinds)
        assert server.process.wait(60.0) == 0
        workers = [one["message"] for one in server.log if one["level"] == "error"]
        assert workers == []
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.wyoming_port), timeout=5.0)


@posix
@pytest.mark.slow
def test_a_second_signal_ends_at_once_and_a_killed_server_starts_again(clips: list[Clip]) -> None:
    clip = clips[2]
    server = start_server("--grace=100")
    try:
        assert server.is_ready.wait(120.0)
        ports = [f"--{name}-port={address.rpartition(':')[2]}" for name, address in server.addresses.items()]
        workers = psutil.Process(server.process.pid).children(recursive=True)
        silent = socket.create_connection(("127.0.0.1", int(ports[0].rpartition("=")[2])))
        key = "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        silent.sendall(f"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n{key}\r\n".encode())
        assert b"101" in silent.recv(1000)
        server.signal(signal.SIGTERM)
        assert silent.recv(1000)  # the server closes, and waits for the answer
        server.signal(signal.SIGTERM)
        assert server.process.wait(60.0) == 128 + signal.SIGTERM
        silent.close()
    finally:
        stop(server)
    for _ in range(2):
        server = start_server(*ports)
        try:
            assert server.is_ready.wait(120.0), server.log
            assert asyncio.run(stream_text(server.stream_url, clip.audio)) == clip.text
            workers += psutil.Process(server.process.pid).children(recursive=True)
            server.process.kill()
        finally:
            stop(server)
    psutil.wait_procs(workers, timeout=60.0)
    assert [one for one in workers if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []


@posix
def test_signals_that_come_until_the_end_are_no_trouble() -> None:
    server = start_server()
    try:
        assert server.is_ready.wait(120.0), server.log
        deadline = time.monotonic() + 120.0
        while server.process.poll() is None and time.monotonic() < deadline:
            server.signal(signal.SIGTERM)
            time.sleep(0.0002)
        # The last one, when the loop is closed, can also find no handler any more.
        assert server.process.wait(1.0) in (0, 128 + signal.SIGTERM, -signal.SIGTERM)
    finally:
        stop(server)
    assert server.log[-1]["message"].startswith(("stopped", "ended at once"))  # every line is JSON


def test_a_port_that_is_taken_is_one_line(edgespeech: Callable[..., Outcome]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for name in ("http", "vosk", "wyoming"):
            others = [f"--{other}-port=off" for other in ("http", "vosk", "wyoming") if other != name]
            outcome = edgespeech("serve", f"--{name}-port={port}", *others)
            assert outcome.code == 2 and outcome.err.count("\n") == 1
            assert f"{name} cannot listen on 127.0.0.1:{port}" in outcome.err and f"--{name}-port" in outcome.err


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--host", "0.0.0.0"], "needs a token"),
        (["--host", "no.such.host.invalid", "--token=x", "--insecure"], "cannot listen on no.such.host.invalid"),
        (["--http-port", "http"], "'http' is not a port"),
        (["--http-port", "70000"], "'70000' is not a port"),
        (["--bundle", "no-such-bundle"], "no-such-bundle"),
        (["--certificate", "no.pem", "--key", "no.pem"], "cannot read no.pem"),
        (["--max-streams", "0"], "max_streams is 0"),
        (["--max-message-mib", "nan"], "--max-message-mib is nan"),
        (["--workers", "0"], "workers is 0"),
        (["--provider", "nonsense"], "nonsense"),
    ],
)
def test_what_cannot_be_served_is_one_line(edgespeech: Callable[..., Outcome], options: list[str], wanted: str) -> None:
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    outcome = edgespeech("serve", "--http-port=any", "--vosk-port=any", "--wyoming-port=any", *options)
    assert outcome.code == 2 and wanted in outcome.err.splitlines()[-1]
    assert "Traceback" not in outcome.err
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


def test_options_come_from_the_environment(edgespeech: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGESPEECH_HOST", "0.0.0.0")
    monkeypatch.setenv("EDGESPEECH_HTTP_PORT", "any")
    assert "0.0.0.0 can be reached from other machines" in edgespeech("serve").err
    monkeypatch.setenv("EDGESPEECH_HOST", "127.0.0.1")
    monkeypatch.setenv("EDGESPEECH_HTTP_PORT", "never")
    assert "'never' is not a port" in edgespeech("serve").err


@posix
@pytest.mark.slow
def test_a_server_with_tls(tmp_path: Path, clips: list[Clip]) -> None:
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "certificate.pem"],
        cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("needs the program openssl")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    context = ssl.create_default_context(cafile=certificate)
    with running("--certificate", certificate, "--key", key) as server:
        assert server.addresses["http"].startswith("https://") and server.vosk_url.startswith("wss://")

        async def run() -> None:
            async with websockets.connect(server.stream_url, ssl=context) as connection:
                await connection.send(clips[2].audio)
                await connection.send('{"type": "finish"}')
                events = [json.loads(message) async for message in connection]
                assert events[-1]["text"] == clips[2].text
            async with websockets.connect(server.vosk_url, ssl=context) as connection:
                await connection.send('{"eof": 1}')
                assert json.loads(await connection.recv()) == {"text": ""}

        asyncio.run(run())
