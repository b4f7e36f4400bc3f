"""One worker process as the event loop sees it: commands go out, rounds of replies come in."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import queue
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from edgespeech.errors import EdgespeechError
from edgespeech.runtime.serving.dispatcher import Command
from edgespeech.runtime.serving.worker import Ready, Round, WorkerRequest, run_worker

log = logging.getLogger(__name__)

_END_SECONDS = 5.0


class WorkerLink:
    """A worker process with a thread that sends and one that receives, so that the event loop never waits for a pipe.

    Args:
        request: What the worker loads.
        receive: Called on the event loop with each round.
        lose: Called on the event loop when the process has ended by itself.
    """

    def __init__(
        self, request: WorkerRequest, receive: Callable[[Round], None], lose: Callable[[WorkerLink], None]
    ) -> None:
        self._request, self._receive, self._lose = request, receive, lose
        self._process: BaseProcess | None = None
        self._outgoing: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self.is_ready = False
        self.stream_count = 0

    @property
    def process_id(self) -> int | None:
        """Process number of the worker; None while it is not running."""
        return self._process.pid if self._process is not None and self._process.is_alive() else None

    async def start(self) -> None:
        """Start the process and wait for its first message.

        Raises:
            EdgespeechError: The worker could not load its models, or its process ended.
        """
        loop = asyncio.get_running_loop()
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=run_worker, args=(self._request, theirs), name="edgespeech", daemon=True)
        await loop.run_in_executor(None, process.start)
        self._process = process
        theirs.close()
        try:
            first: Ready | EdgespeechError = await loop.run_in_executor(None, ours.recv)
        except (EOFError, OSError):
            raise EdgespeechError("the recognition process ended while it loaded; see its messages above") from None
        if isinstance(first, EdgespeechError):
            raise first
        self._outgoing, self.is_ready = queue.SimpleQueue(), True
        threading.Thread(target=_send, args=(ours, self._outgoing), daemon=True).start()
        threading.Thread(target=self._receive_all, args=(ours, loop), daemon=True).start()
        log.debug("worker %d: a sample clip took %.2f s: %s", process.pid, first.seconds, first.text)

    def send(self, command: Command) -> None:
        """Queue a command; what is queued while the thread is busy goes out as one message."""
        self._outgoing.put(command)

    async def stop(self) -> None:
        """End the process, at once while it loads, and wait until it has ended."""
        seconds, self.is_ready = _END_SECONDS if self.is_ready else 0.0, False
        self._outgoing.put(None)
        if (process := self._process) is not None:
            await asyncio.get_running_loop().run_in_executor(None, _end, process, seconds)

    def _receive_all(self, connection: Connection[Any, Any], loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(EOFError, OSError, RuntimeError):  # RuntimeError: the loop has ended
            while True:
                loop.call_soon_threadsafe(self._receive, connection.recv())
        connection.close()
        if self.is_ready:
            self.is_ready = False
            self._outgoing.put(None)
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._lose, self)


def _send(connection: Connection[Any, Any], outgoing: queue.SimpleQueue[Command | None]) -> None:
    try:
        while True:
            commands = [outgoing.get()]
            while not outgoing.empty():
                commands.append(outgoing.get())
            if wanted := [one for one in commands if one is not None]:
                connection.send(wanted)
            if None in commands:
                connection.send(None)
                return
    except OSError:  # the process has ended
        return


def _end(process: BaseProcess, seconds: float) -> None:
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
