"""One client's stream: commands go to the worker that has it, events come back in their order."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edgespeech.errors import EdgespeechError, UsageError
from edgespeech.runtime.serving.dispatcher import Command, Reply
from edgespeech.runtime.serving.observer import Observer
from edgespeech.runtime.serving.settings import StreamSettings
from edgespeech.runtime.transcript import Event

MAX_WAITING_SECONDS = 5.0  # of audio of one session, beyond which `Session.room` waits

_MAX_GATHERED_SECONDS = 1.0
_ROUNDING = 1e-9  # seconds


@dataclass
class _Pending:
    """A command that waits for its reply, or audio that is gathered for one.

    Attributes:
        futures: Those of the pieces of audio in the command, in order, or that of another command.
        pieces: The audio.
        audio_seconds: Its length.
        unanswered_seconds: The length of its pieces whose future waits.
        first: When the first of them arrived (`time.monotonic`).
        last: When the last of them arrived.
    """

    futures: list[asyncio.Future[list[Event]]] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    audio_seconds: float = 0.0
    unanswered_seconds: float = 0.0
    first: float = 0.0
    last: float = 0.0

    def add(self, future: asyncio.Future[list[Event]], data: bytes = b"", seconds: float = 0.0) -> None:
        """Take the future of a command, or of a piece of audio of this length."""
        self.last = time.monotonic()
        if not self.futures:
            self.first = self.last
        self.futures.append(future)
        self.pieces.append(data)
        self.audio_seconds += seconds
        self.unanswered_seconds += seconds

    def answer(self, events: list[Event]) -> None:
        """Give the events to the last future, and none to those before it."""
        for future in self.futures:
            if not future.done():
                future.set_result(events if future is self.futures[-1] else [])
        self.futures, self.unanswered_seconds = [], 0.0

    def fail(self, error: EdgespeechError) -> None:
        """Let all futures raise the error."""
        for future in self.futures:
            if not future.done():
                future.set_exception(error)


class Session:
    """A client's stream, made by `Service.open`.

    Commands are carried out in their order. Each returns a future of the events that follow from it, which raises the
    `EdgespeechError` of a failed command. That ends the session.

    Audio goes to the worker when it completes a chunk of the model. What arrives before is gathered here, as it cannot
    lead to events, and so is what arrives while the worker has not replied. So a fault of gathered audio shows later.

    Attributes:
        settings: What the client chose.
        opened: Future of the opening, which fails if a hot word or the grammar is invalid.
    """

    def __init__(
        self,
        key: int,
        settings: StreamSettings,
        send: Callable[[Command], None],
        observer: Observer,
        forget: Callable[[int], None],
    ) -> None:
        self._key, self.settings, self._send, self._observer, self._forget = key, settings, send, observer, forget
        self._numbers = itertools.count()
        self._pending: deque[_Pending] = deque()
        self._gathered = _Pending()
        self._seconds_to_step = 0.0
        self._waiting_seconds = 0.0
        self._room = asyncio.Event()
        self._room.set()
        self._error: EdgespeechError | None = None
        self._is_finished = self._is_closed = False
        self.opened = self._command("open", settings)

    @property
    def oldest(self) -> float | None:
        """Clock reading (`time.monotonic`) at which the oldest audio that waits arrived; None if none waits."""
        return next((one.first for one in (*self._pending, self._gathered) if one.unanswered_seconds), None)

    def accept(self, data: bytes) -> asyncio.Future[list[Event]]:
        """Process bytes in the format of the settings; they may be cut anywhere."""
        future = self._future()
        if not future.done():
            seconds = self.settings.format.seconds(len(data))
            self._gathered.add(future, data, seconds)
            self._count(seconds)
            self._release()
        return future

    def end_segment(self) -> asyncio.Future[list[Event]]:
        """End the segment now; the session goes on."""
        return self._command("end_segment")

    def finish(self) -> asyncio.Future[list[Event]]:
        """End the stream; the future has its last events."""
        future = self._command("finish")
        self._is_finished = True
        return future

    def set_hot_words(self, hot_words: Mapping[str, float]) -> asyncio.Future[list[Event]]:
        """Change the hot words from the next segment on."""
        return self._command("hot_words", dict(hot_words))

    async def room(self) -> None:
        """Wait until little enough audio waits, so that a client that sends faster than it is served is slowed down."""
        await self._room.wait()

    def close(self) -> None:
        """End the session at once; what has not become an event is lost. A closed session can be closed again."""
        if not self._is_closed:
            self._is_closed = True
            self._send(Command(self._key, next(self._numbers), "close"))
            self._end(UsageError(f"the session is {'finished' if self._is_finished else 'closed'}; open a new one"))
            self._forget(self._key)

    def receive(self, reply: Reply) -> None:
        """Take the reply to the oldest command that waits; called by the service."""
        if self._is_closed or not self._pending:
            return
        if reply.error is not None:
            self.fail(reply.error)
            return
        done, events = self._pending.popleft(), list(reply.events)
        self._count(-done.unanswered_seconds)
        for event in events:
            self._observer.replied(event, time.monotonic() - done.last)
        if done.audio_seconds:
            self._observer.processed(done.audio_seconds)
        done.answer(events)
        self._seconds_to_step = reply.seconds_to_step
        self._release()
        if self._is_finished and not self._pending:
            self.close()

    def fail(self, error: EdgespeechError) -> None:
        """End the session with an error; called by the service."""
        if not self._is_closed:
            self._end(error)
            self.close()

    def _command(self, kind: str, data: object = None) -> asyncio.Future[list[Event]]:
        future = self._future()
        if not future.done():
            self._send_audio()
            command = _Pending()
            command.add(future)
            self._queue(kind, data, command)
        return future

    def _future(self) -> asyncio.Future[list[Event]]:
        """Return the future of a command that comes now; it has failed if the session has ended."""
        future: asyncio.Future[list[Event]] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_ignore_unread_error)
        if self._is_closed or self._is_finished:
            future.set_exception(self._error or UsageError("the session is finished; open a new one"))
        return future

    def _release(self) -> None:
        """Send the gathered audio if it leads to a step of the model, else answer it."""
        gathered = self._gathered
        if gathered.audio_seconds > _MAX_GATHERED_SECONDS:
            self._send_audio()
        elif self._pending:
            return
        elif gathered.audio_seconds + _ROUNDING >= self._seconds_to_step:
            self._send_audio()
        else:
            self._count(-gathered.unanswered_seconds)
            gathered.answer([])

    def _send_audio(self) -> None:
        if (gathered := self._gathered).pieces:
            self._gathered = _Pending()
            self._queue("audio", b"".join(gathered.pieces), gathered)

    def _queue(self, kind: str, data: object, command: _Pending) -> None:
        self._pending.append(command)
        self._send(Command(self._key, next(self._numbers), kind, data))  # type: ignore[arg-type]

    def _count(self, seconds: float) -> None:
        self._waiting_seconds += seconds
        if self._waiting_seconds > MAX_WAITING_SECONDS:
            self._room.clear()
        else:
            self._room.set()

    def _end(self, error: EdgespeechError) -> None:
        self._error = self._error or error
        self._room.set()
        for one in (*self._pending, self._gathered):
            one.fail(self._error)
        self._pending.clear()
        self._gathered = _Pending()


def _ignore_unread_error(future: asyncio.Future[list[Event]]) -> None:
    if not future.cancelled():
        future.exception()
