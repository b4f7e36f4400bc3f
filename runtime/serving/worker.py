"""A process that recognises streams: commands come in through a pipe, replies go out."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from edgespeech.errors import EdgespeechError
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.options import RecognizerOptions
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.serving.dispatcher import Command, Dispatcher, Reply

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerRequest:
    """What a worker loads: a bundle (None for the default one), the options of its recognizer, its largest batch."""

    bundle: Path | None
    options: RecognizerOptions
    max_batch: int


@dataclass(frozen=True)
class Ready:
    """A worker has loaded its models and recognised a sample clip.

    Attributes:
        text: Text of the clip.
        seconds: Time that the clip took to recognise.
    """

    text: str
    seconds: float


@dataclass(frozen=True)
class Round:
    """Replies of one step of the dispatcher.

    Attributes:
        replies: Replies, in order for each stream.
        batch: Number of streams in the step of the model; 0 if none needed it.
        seconds: Time of the step.
    """

    replies: tuple[Reply, ...]
    batch: int
    seconds: float


def run_worker(request: WorkerRequest, connection: Connection[Any, Any]) -> None:
    """Load the models, then serve commands until None comes or the pipe closes; the target of a process.

    The first message is a `Ready` or the `EdgespeechError` that prevented it. Then come
    `Round`s, for the lists of `Command`s that are received. Signals from the terminal are left to the process that
    started this one.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        try:
            recognizer = Recognizer(load_bundle(request.bundle), request.options)
            dispatcher = Dispatcher(recognizer, request.max_batch)
            ready = _recognise_a_clip(recognizer)
        except EdgespeechError as error:
            connection.send(error)
            return
        connection.send(ready)
        _serve(dispatcher, connection)


def _serve(dispatcher: Dispatcher, connection: Connection[Any, Any]) -> None:
    arrived: queue.SimpleQueue[list[Command]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, arrived), daemon=True).start()
    while True:
        if not dispatcher.is_busy:
            _add(dispatcher, arrived.get())
        while not arrived.empty():
            _add(dispatcher, arrived.get())
        began = time.perf_counter()
        replies = tuple(dispatcher.step())
        if replies or dispatcher.last_batch:
            connection.send(Round(replies, dispatcher.last_batch, time.perf_counter() - began))


def _add(dispatcher: Dispatcher, commands: list[Command]) -> None:
    for command in commands:
        dispatcher.add(command)


def _receive(connection: Connection[Any, Any], arrived: queue.SimpleQueue[list[Command]]) -> None:
    """Empty the pipe all the time, so that the process at its other end never waits; end this one with it."""
    try:
        while (commands := connection.recv()) is not None:
            arrived.put(commands)
    except (EOFError, OSError):
        pass
    os._exit(0)


def _recognise_a_clip(recognizer: Recognizer) -> Ready:
    clip = read_manifest(SAMPLE_CLIPS)[0].path
    began = time.perf_counter()
    text = recognizer.transcribe(clip).text
    return Ready(text, time.perf_counter() - began)
