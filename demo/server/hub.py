"""What all protocols use: streams within the limits of a client, and conversations that end when the server stops."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from edgespeech import __version__
from edgespeech.demo.server.conversation import Conversation
from edgespeech.demo.server.request import ServeRequest
from edgespeech.errors import BusyError, EdgespeechError, UsageError
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.serving.service import Service
from edgespeech.runtime.serving.session import Session
from edgespeech.runtime.serving.settings import StreamSettings
from edgespeech.runtime.transcript import Event

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Client:
    """A client's protocol, such as ``wyoming``, and its address."""

    protocol: str
    address: str

    def __str__(self) -> str:
        return f"{self.protocol} {self.address}"


@dataclass
class StreamCounts:
    """How many streams of a protocol are open, and how many there have been."""

    open: int = 0
    opened: int = 0


class ClientStream:
    """A client's session, which counts against its limits until it is closed; a context manager."""

    def __init__(self, session: Session, client: Client, longest_seconds: float, release: Callable[[], None]) -> None:
        self._session, self._client, self._longest, self._release = session, client, longest_seconds, release
        self._is_open = True
        self.seconds = 0.0
        self.words = 0

    @property
    def opened(self) -> asyncio.Future[list[Event]]:
        """Future of the opening, which fails if the settings are invalid."""
        return self._session.opened

    async def accept(self, data: bytes) -> asyncio.Future[list[Event]]:
        """Process bytes in the format of the settings as soon as there is room; the future has their events.

        Raises:
            UsageError: The stream is longer than a client may send.
        """
        self.seconds += self._session.settings.format.seconds(len(data))
        if self.seconds > self._longest:
            raise UsageError(f"the audio is longer than {self._longest:g} s; begin another stream")
        await self._session.room()
        return self._counted(self._session.accept(data))

    def end_segment(self) -> asyncio.Future[list[Event]]:
        """End the segment now; the stream goes on."""
        return self._counted(self._session.end_segment())

    def finish(self) -> asyncio.Future[list[Event]]:
        """End the stream; the future has its last events."""
        return self._counted(self._session.finish())

    def set_hot_words(self, hot_words: dict[str, float]) -> asyncio.Future[list[Event]]:
        """Change the hot words from the next segment on."""
        return self._session.set_hot_words(hot_words)

    def close(self) -> None:
        """End the session at once and count it no longer; a closed stream can be closed again."""
        if self._is_open:
            self._is_open = False
            self._session.close()
            self._release()
            log.info("%s: %.1f s of audio, %d words", self._client, self.seconds, self.words, extra={
                "protocol": self._client.protocol, "client": self._client.address,
                "audio_seconds": round(self.seconds, 3), "words": self.words,
            })  # fmt: skip

    def __enter__(self) -> ClientStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _counted(self, events: asyncio.Future[list[Event]]) -> asyncio.Future[list[Event]]:
        events.add_done_callback(self._count_words)
        return events

    def _count_words(self, events: asyncio.Future[list[Event]]) -> None:
        if not events.cancelled() and events.exception() is None:
            self.words += sum(len(event.words) for event in events.result() if event.type == "final")


class Hub:
    """The engine as the protocols see it.

    Args:
        request: What the server listens on and admits.
        service: The engine.
        bundle: The bundle that the engine uses.
    """

    def __init__(self, request: ServeRequest, service: Service, bundle: Bundle) -> None:
        self.request, self.service, self.bundle = request, service, bundle
        self._streams: Counter[str] = Counter()
        self._protocols: defaultdict[str, StreamCounts] = defaultdict(StreamCounts)
        self._conversations: set[Conversation[Any]] = set()
        self._is_stopping = False

    @property
    def is_ready(self) -> bool:
        """Whether streams can be opened."""
        return self.service.is_ready and not self._is_stopping

    @property
    def labels(self) -> tuple[str, ...]:
        """The letters of the bundle."""
        return self.bundle.manifest.labels

    @property
    def state(self) -> dict[str, object]:
        """What ``/health`` reports: status, version, bundle, open streams."""
        return {
            "status": "ready" if self.is_ready else "stopping" if self._is_stopping else "loading",
            "version": __version__,
            "bundle": self.bundle.manifest.name,
            "streams": self.service.stream_count,
        }

    @property
    def conversation_count(self) -> int:
        """Number of clients that are connected by websockets or Wyoming, with a stream or without."""
        return len(self._conversations)

    @property
    def streams_by_protocol(self) -> Mapping[str, StreamCounts]:
        """Streams of each protocol that has been used."""
        return self._protocols

    def open(self, settings: StreamSettings, client: Client) -> ClientStream:
        """Open a stream for a client.

        Raises:
            BusyError: The server, or this client, has too many, or the server is not ready or stops.
        """
        most = self.request.limits.streams_per_client
        if most is not None and self._streams[client.address] >= most:
            self.service.observer.refused("client")
            raise BusyError(f"{most} streams are open for {client.address}, the most that one client may have")
        session = self.service.open(settings)
        self._streams[client.address] += 1
        counts = self._protocols[client.protocol]
        counts.open, counts.opened = counts.open + 1, counts.opened + 1
        return ClientStream(session, client, self.request.limits.audio_seconds, lambda: self._release(client))

    @asynccontextmanager
    async def hold(self, conversation: Conversation[Any], name: str) -> AsyncIterator[None]:
        """Begin a conversation that `stop` ends; an error inside ends it too, and becomes its `failure`.

        Args:
            conversation: The conversation.
            name: What the log calls it.
        """
        async with conversation:
            self._conversations.add(conversation)
            try:
                if self._is_stopping:
                    conversation.stop()
                yield
            except EdgespeechError as error:
                conversation.failure = error
            except Exception:
                log.exception("%s failed", name)
                conversation.failure = EdgespeechError(
                    "the connection failed inside the server; its log has the reason"
                )
            finally:
                self._conversations.discard(conversation)

    def stop(self) -> None:
        """End all conversations as if their clients had ended, and refuse new streams."""
        self._is_stopping = True
        for conversation in tuple(self._conversations):
            conversation.stop()

    def _release(self, client: Client) -> None:
        self._protocols[client.protocol].open -= 1
        self._streams[client.address] -= 1
        if not self._streams[client.address]:
            del self._streams[client.address]
