"""A connection of one client: its messages in order, and the replies in the same order while later messages come.

The two directions are independent as far as they can be: audio is passed on while earlier audio is still computed, and
while a client does not read its replies, nothing is read from it, so that only its own connection waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Generic, TypeVar

from edgespeech.errors import EdgespeechError, UsageError
from edgespeech.runtime.transcript import Event

Message = TypeVar("Message")
Answer = Callable[[list[Event]], Awaitable[None]]

_MESSAGES_AHEAD = 8
_REPLIES_AHEAD = 128


class ClientGoneError(EdgespeechError):
    """A client that has disconnected, or does not read; nothing can be sent to it any more."""


class Conversation(Generic[Message]):
    """Messages from a client and the replies to it; an async context manager.

    Args:
        receive: Waits for the next message; None at the end.
        idle_seconds: Time after which a client that sends nothing, or does not read, is disconnected.

    Attributes:
        is_stopped: Whether the messages ended because the server stops.
        failure: The error that ended the conversation, as `Hub.hold` found it; None for a regular end.
    """

    def __init__(self, receive: Callable[[], Awaitable[Message | None]], idle_seconds: float) -> None:
        self._receive, self._idle_seconds = receive, idle_seconds
        self._messages: asyncio.Queue[Message | EdgespeechError | None] = asyncio.Queue()
        self._slots = asyncio.Semaphore(_MESSAGES_AHEAD)
        self._replies: asyncio.Queue[tuple[Answer, Awaitable[list[Event]] | None]] = asyncio.Queue(_REPLIES_AHEAD)
        self._all_sent = asyncio.Event()
        self._all_sent.set()
        self._is_sending = False
        self._last_activity = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._error: EdgespeechError | None = None
        self.is_stopped = False
        self.failure: EdgespeechError | None = None

    async def __aenter__(self) -> Conversation[Message]:
        loop = asyncio.get_running_loop()
        self._last_activity = loop.time()
        self._tasks = [loop.create_task(self._read_ahead()), loop.create_task(self._reply_in_order())]
        self._timer = loop.call_later(self._idle_seconds / 4, self._check_activity)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def messages(self) -> AsyncIterator[Message]:
        """Yield the messages until the client ends, or the server stops.

        Raises:
            EdgespeechError: The client was idle, or has gone, or a reply could not be computed.
        """
        while True:
            self._raise_error()
            message = await self._messages.get()
            if isinstance(message, EdgespeechError):
                raise message
            if message is None:
                return
            self._slots.release()
            yield message

    async def reply(self, answer: Answer, events: Awaitable[list[Event]] | None = None) -> None:
        """Call ``answer`` with the events as soon as they are there, after all earlier replies.

        Raises:
            EdgespeechError: An earlier reply could not be computed or sent.
        """
        self._all_sent.clear()
        await self._replies.put((answer, events))
        self._raise_error()

    async def wait_for_replies(self) -> None:
        """Wait until all replies are sent.

        Raises:
            EdgespeechError: A reply could not be computed or sent.
        """
        await self._all_sent.wait()
        self._raise_error()

    def stop(self) -> None:
        """End the messages after those that have arrived, because the server stops."""
        if not self.is_stopped:
            self.is_stopped = True
            self._tasks[0].cancel()
            self._messages.put_nowait(None)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    async def _read_ahead(self) -> None:
        try:
            while True:
                await self._slots.acquire()
                message = await self._receive()
                self._last_activity = asyncio.get_running_loop().time()
                self._messages.put_nowait(message)
                if message is None:
                    return
        except EdgespeechError as error:
            self._messages.put_nowait(error)
        except OSError:
            self._fail(ClientGoneError("the client has disconnected"))

    async def _reply_in_order(self) -> None:
        try:
            while True:
                answer, events = await self._replies.get()
                found = [] if events is None else await events
                self._last_activity, self._is_sending = asyncio.get_running_loop().time(), True
                await answer(found)
                self._last_activity, self._is_sending = asyncio.get_running_loop().time(), False
                if self._replies.empty():
                    self._all_sent.set()
        except EdgespeechError as error:
            self._fail(error)
        except OSError:
            self._fail(ClientGoneError("the client has disconnected"))

    def _check_activity(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._last_activity > self._idle_seconds:
            if self._is_sending:
                self._fail(ClientGoneError("the client does not read its replies"))
            elif self._all_sent.is_set():
                self._fail(UsageError(f"nothing arrived for {self._idle_seconds:g} s; send audio, or connect again"))
        self._timer = loop.call_later(self._idle_seconds / 4, self._check_activity)

    def _fail(self, error: EdgespeechError) -> None:
        """End everything that waits: for messages, for all replies, and for room for another reply."""
        self._error = self._error or error
        self._messages.put_nowait(self._error)
        self._all_sent.set()
        while not self._replies.empty():
            self._replies.get_nowait()
