"""A server in a process of its own, and what it takes of the machine."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from edgespeech.errors import VerificationError

_START_SECONDS = 120.0


@dataclass(frozen=True)
class ServerKind:
    """A way to serve that is compared with others.

    Attributes:
        name: Name in the table.
        command: Arguments of Python, in which ``{port}`` is replaced.
    """

    name: str
    command: Sequence[str]


@dataclass(frozen=True)
class Use:
    """What the processes of a server have used: seconds of CPU time, and bytes of resident memory."""

    cpu_seconds: float
    memory: int


@dataclass(frozen=True)
class RunningServer:
    """A server that answers at ``url``."""

    kind: ServerKind
    process: psutil.Process
    url: str

    def use(self) -> Use:
        """Read CPU time and memory of the process and its children."""
        cpu, memory = 0.0, 0
        for one in [self.process, *self.process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                cpu, memory = cpu + times.user + times.system, memory + one.memory_info().rss
        return Use(cpu, memory)


def server_kinds(bundle: Path, workers: int | None, max_streams: int, beam_width: int | None) -> dict[str, ServerKind]:
    """Return the ways to serve, by name: batches, the same without batches, threads, and one stream after the other."""
    beam = [] if beam_width is None else ["--beam-width", str(beam_width)]
    plain = [] if beam_width is None else [str(beam_width)]
    serve = [
        "-m",
        "edgespeech.demo.cli",
        "serve",
        "--bundle",
        str(bundle),
        "--http-port",
        "{port}",
        "--wyoming-port",
        "0",
    ]
    serve += ["--vosk-port", "0", "--max-streams", str(max_streams), "--max-queue-ms", "1e6", *beam]
    threaded = ["-m", "edgespeech.demo.load_test.threaded_server", "{port}"]
    processes = [] if workers is None else ["--workers", str(workers)]
    kinds = [
        ServerKind("batched", [*serve, *processes]),
        ServerKind("unbatched", [*serve, *processes, "--max-batch", "1"]),
        ServerKind("one process batched", [*serve, "--workers", "1"]),
        ServerKind("one by one", [*threaded, "1", str(bundle), *plain]),
        ServerKind("threads", [*threaded, "0", str(bundle), *plain]),
    ]
    return {kind.name: kind for kind in kinds}


@contextlib.contextmanager
def running(kind: ServerKind) -> Iterator[RunningServer]:
    """Start a server, wait until it answers, and end it afterwards.

    Raises:
        VerificationError: The server ended or did not answer.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, *(part.replace("{port}", str(port)) for part in kind.command)]
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=messages)
        try:
            _wait(process, f"http://127.0.0.1:{port}/health", kind.name, messages)
            yield RunningServer(kind, psutil.Process(process.pid), f"ws://127.0.0.1:{port}/v1/stream")
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, name: str, messages: IO[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, OSError):
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        if process.poll() is not None:
            messages.seek(0)
            reason = messages.read().decode(errors="replace").strip().splitlines()[-1:]
            raise VerificationError(f"the server ({name}) ended: {' '.join(reason)}")
        time.sleep(0.2)
    raise VerificationError(f"the server ({name}) did not answer at {url} within {_START_SECONDS:g} s")
