"""Items processed by processes of this machine, each of which opens the task once."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from edgespeech.demo.jobs.task import Outcome, Task, attempt
from edgespeech.errors import EdgespeechError

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 2  # for an item whose process ended: a full memory may be the fault of another one
MAX_LOST_IN_A_ROW = 5  # processes that ended before they were ready

Item = TypeVar("Item")
_READY = "ready"


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    connection: Connection[Any, Any]
    ready: bool = False
    index: int | None = None  # of the item that it works on


def run_in_processes(task: Task[Item], items: Sequence[Item], jobs: int) -> Iterator[Outcome]:
    """Yield the outcome of each item as soon as it is known; items are begun in their order.

    An item whose process ends, as when the memory is full, is tried once more. All processes end with the generator,
    and with this process, however that ends.

    Raises:
        EdgespeechError: The task cannot be opened.
    """
    pool = _Pool(task, items)
    try:
        for _ in range(min(jobs, len(items))):
            pool.start()
        yield from pool.outcomes()
    finally:
        pool.stop()


class _Pool(Generic[Item]):
    def __init__(self, task: Task[Item], items: Sequence[Item]) -> None:
        self._task, self._items = task, items
        self._waiting = deque(range(len(items)))
        self._attempts: Counter[int] = Counter()
        self._lost_in_a_row = 0
        self._workers: list[_Worker] = []
        self._context = multiprocessing.get_context("spawn")  # onnxruntime does not survive a fork

    def start(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(self._task, theirs), name="edgespeech", daemon=True)
        process.start()
        theirs.close()
        self._workers.append(_Worker(process, ours))

    def stop(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.connection.close()

    def outcomes(self) -> Iterator[Outcome]:
        left = len(self._items)
        while left:
            by_connection = {worker.connection: worker for worker in self._workers}
            for connection in wait(list(by_connection)):
                for outcome in self._receive(by_connection[connection]):  # type: ignore[index]
                    left -= 1
                    yield outcome

    def _receive(self, worker: _Worker) -> Iterator[Outcome]:
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            yield from self._replace(worker)
            return
        if isinstance(message, EdgespeechError):
            raise message
        self._lost_in_a_row = 0
        worker.ready = True
        if isinstance(message, Outcome):
            worker.index = None
            yield message
        self._send_next(worker)

    def _send_next(self, worker: _Worker) -> None:
        if self._waiting:
            worker.index = self._waiting.popleft()
            with contextlib.suppress(OSError):  # it has ended, which the next `wait` reports
                worker.connection.send((worker.index, self._items[worker.index]))
        else:
            with contextlib.suppress(OSError):
                worker.connection.send(None)
            worker.connection.close()
            self._workers.remove(worker)
            worker.process.join()

    def _replace(self, worker: _Worker) -> Iterator[Outcome]:
        """Start a process in place of one that has ended, and try its item again."""
        worker.connection.close()
        worker.process.join()
        self._workers.remove(worker)
        code = worker.process.exitcode or 0
        end = f"signal {-code}" if code < 0 else f"exit code {code}"
        if worker.index is not None:
            self._attempts[worker.index] += 1
            if self._attempts[worker.index] < MAX_ATTEMPTS:
                log.warning("a worker process ended by %s; its item is tried again", end)
                self._waiting.appendleft(worker.index)
            else:
                yield Outcome(worker.index, error=f"its worker process ended by {end}, {MAX_ATTEMPTS} times")
        elif not worker.ready:
            self._lost_in_a_row += 1
            if self._lost_in_a_row >= MAX_LOST_IN_A_ROW:
                raise EdgespeechError(f"worker processes end by {end} while they load; try fewer --jobs")
        if self._waiting:
            self.start()


def _work(task: Task[Any], connection: Connection[Any, Any]) -> None:
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # left to the process that started this one
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.getLogger("edgespeech").addHandler(logging.NullHandler())
    with contextlib.suppress(EOFError, OSError):
        try:
            work = task.open()
        except EdgespeechError as error:
            connection.send(error)
            return
        connection.send(_READY)
        while (message := connection.recv()) is not None:
            index, item = message
            connection.send(attempt(work, index, item))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
