"""The asyncio side of batch dispatch: sessions for clients, spread over worker processes."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

from edgespeech.errors import BusyError, EdgespeechError, UsageError
from edgespeech.runtime.options import RecognizerOptions
from edgespeech.runtime.serving.dispatcher import DEFAULT_MAX_BATCH
from edgespeech.runtime.serving.observer import Observer
from edgespeech.runtime.serving.session import Session
from edgespeech.runtime.serving.settings import StreamSettings
from edgespeech.runtime.serving.worker import Round, WorkerRequest
from edgespeech.runtime.serving.worker_link import WorkerLink

log = logging.getLogger(__name__)

_RESTART_SECONDS = 1.0


@dataclass(frozen=True)
class ServiceRequest:
    """What a service loads and what it admits.

    Attributes:
        bundle: Bundle folder; None for the default bundle.
        options: Settings of the recognizer that all streams share.
        workers: Number of processes that recognise; None for one per CPU core.
        max_streams: Number of streams beyond which a new one is refused.
        max_queue_seconds: Age of the oldest audio that waits, beyond which a new stream is refused.
        max_batch: Largest number of streams in one step of the model.

    Raises:
        UsageError: A limit is out of range.
    """

    bundle: Path | None = None
    options: RecognizerOptions = RecognizerOptions()
    workers: int | None = None
    max_streams: int = 100
    max_queue_seconds: float = 2.0
    max_batch: int = DEFAULT_MAX_BATCH

    def __post_init__(self) -> None:
        for name, least in (("workers", 1), ("max_streams", 1), ("max_batch", 1), ("max_queue_seconds", 0.0)):
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise UsageError(f"{name} is {value}; wanted {least} or more")


class Service:
    """Sessions over worker processes, each of which computes the streams that it was given in batches.

    Args:
        request: What to load and to admit.
        observer: Takes what happens, for metrics.
    """

    def __init__(self, request: ServiceRequest, observer: Observer | None = None) -> None:
        self.request = request
        self.observer = observer or Observer()
        self._links: list[WorkerLink] = []
        self._sessions: dict[int, tuple[Session, WorkerLink]] = {}
        self._keys = itertools.count(1)
        self._is_stopping = False
        self._restarts: set[asyncio.Task[None]] = set()

    @property
    def is_ready(self) -> bool:
        """Whether every worker has recognised its sample clip and none is stopping."""
        return bool(self._links) and not self._is_stopping and all(link.is_ready for link in self._links)

    @property
    def process_ids(self) -> list[int]:
        """Process numbers of the workers."""
        return [link.process_id for link in self._links if link.process_id is not None]

    @property
    def stream_count(self) -> int:
        """Number of sessions that are open."""
        return len(self._sessions)

    @property
    def queue_seconds(self) -> float:
        """Age of the oldest audio that waits, in seconds."""
        oldest = (session.oldest for session, _ in self._sessions.values())
        return max((time.monotonic() - one for one in oldest if one is not None), default=0.0)

    async def start(self) -> None:
        """Start the workers and wait until each has recognised a sample clip.

        Raises:
            EdgespeechError: The bundle or a setting is invalid.
        """
        count = self.request.workers or os.cpu_count() or 1
        wanted = WorkerRequest(self.request.bundle, self.request.options, self.request.max_batch)
        self._links = [WorkerLink(wanted, self._receive, self._lose) for _ in range(count)]
        results = await asyncio.gather(*(link.start() for link in self._links), return_exceptions=True)
        if failure := next((one for one in results if isinstance(one, BaseException)), None):
            await self.stop(0.0)
            raise failure

    def open(self, settings: StreamSettings) -> Session:
        """Open a session with the worker that has the fewest.

        Raises:
            BusyError: There are too many streams, or their audio waits too long; those that run keep their speed.
        """
        links = [link for link in self._links if link.is_ready]
        if self._is_stopping or not links:
            self._refuse("stopping", "the server is stopping or not ready yet; connect again in a moment")
        if len(self._sessions) >= self.request.max_streams:
            self._refuse(
                "streams", f"{self.request.max_streams} streams are open, the most that are allowed; try later"
            )
        if (age := self.queue_seconds) > self.request.max_queue_seconds:
            self._refuse("queue", f"audio waits for {age * 1000:.0f} ms, so no further stream is taken; try later")
        link = min(links, key=lambda one: one.stream_count)
        key = next(self._keys)
        link.stream_count += 1
        session = Session(key, settings, link.send, self.observer, self._forget)
        self._sessions[key] = session, link
        self.observer.opened(len(self._sessions))
        return session

    async def stop(self, seconds: float = 10.0) -> None:
        """Refuse new sessions, wait this long for the open ones to end, then end the workers."""
        self._is_stopping = True
        deadline = time.monotonic() + seconds
        while self._sessions and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        for session, _ in tuple(self._sessions.values()):
            session.fail(BusyError("the server has stopped; connect again later"))
        for task in self._restarts:
            task.cancel()
        await asyncio.gather(*(link.stop() for link in self._links))

    def _forget(self, key: int) -> None:
        if (entry := self._sessions.pop(key, None)) is not None:
            entry[1].stream_count -= 1
            self.observer.opened(len(self._sessions))

    def _refuse(self, reason: str, message: str) -> None:
        self.observer.refused(reason)
        raise BusyError(message)

    def _receive(self, found: Round) -> None:
        if found.batch:
            self.observer.computed(found.batch, found.seconds)
        for reply in found.replies:
            if (entry := self._sessions.get(reply.key)) is not None:
                entry[0].receive(reply)

    def _lose(self, link: WorkerLink) -> None:
        """End the sessions of a worker whose process has ended, and start it again."""
        log.error("edgespeech: a recognition process ended; its streams are closed and it starts again")
        for session, owner in tuple(self._sessions.values()):
            if owner is link:
                session.fail(EdgespeechError("the recognition process has ended; connect again"))
        if not self._is_stopping:
            task = asyncio.get_running_loop().create_task(self._restart(link))
            self._restarts.add(task)
            task.add_done_callback(self._restarts.discard)

    async def _restart(self, link: WorkerLink) -> None:
        while not self._is_stopping:
            await asyncio.sleep(_RESTART_SECONDS)
            try:
                await link.start()
                return
            except EdgespeechError as error:
                log.error("edgespeech: the recognition process does not start: %s", error)
