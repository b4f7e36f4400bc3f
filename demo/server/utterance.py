"""One request of a Wyoming client: from its first audio to its transcript, which may come before its last audio.

Home Assistant sends audio until it has a transcript, and takes the first one. Other clients send a recording as fast
as they can, or read only after their last audio. Therefore a client whose audio comes as it is spoken gets the
transcript of what was said as soon as it is silent, and a further one if it goes on to speak; one that is ahead of the
clock sends a recording, and gets one transcript of the whole after its end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from wyoming.asr import Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.event import Event as WyomingEvent

from edgespeech.demo.server.hub import ClientStream
from edgespeech.runtime.audio import RawFormat
from edgespeech.runtime.transcript import Event

# Home Assistant sends what it kept while it listened for a wake word at once: up to a second.
MAX_LEAD_SECONDS = 2.0
# Home Assistant without a VAD of its own would wait for words without end.
MAX_SILENCE_SECONDS = 15.0


class Utterance:
    """The transcript of one request.

    Args:
        stream: Recognises the audio.
        chosen: Format of the audio.
        send: Sends an event to the client.
        language: Language of the transcript.
    """

    def __init__(
        self, stream: ClientStream, chosen: RawFormat, send: Callable[[WyomingEvent], Awaitable[None]], language: str
    ) -> None:
        self.stream, self.format, self._send, self._language = stream, chosen, send, language
        self._began: float | None = None
        self._is_live = True
        self._finals: list[str] = []
        self._sent = ""
        self._has_started = self._has_words = False
        self._transcripts = 0

    def count_arrived(self, size: int, at: float) -> None:
        """Take the bytes that arrived, and when (seconds), to know whether the audio comes as it is spoken."""
        self._began = at if self._began is None else self._began
        if self.stream.seconds + self.format.seconds(size) > at - self._began + MAX_LEAD_SECONDS:
            self._is_live = False

    async def answer(self, events: list[Event]) -> None:
        """Send what the events add to the transcript, and the transcript if the client waits for one."""
        for event in events:
            await self._grow(event)
            if event.type == "final" and self._is_live:
                await self._complete()
        if self._is_live and not self._has_words and self.stream.seconds > MAX_SILENCE_SECONDS:
            self._has_words = True  # no second transcript without words
            await self._complete()

    async def answer_last(self, events: list[Event]) -> None:
        """Send the transcript of what has not been sent; an empty one only if there was none before."""
        for event in events:
            await self._grow(event)
        if self._finals or self._has_started or not self._transcripts:
            await self._complete()

    async def _grow(self, event: Event) -> None:
        """Send the words that are certain now; the protocol cannot take a word back."""
        whole = " ".join(filter(None, [*self._finals, event.committed]))
        self._has_words = self._has_words or bool(event.text)
        if event.type == "final":
            self._finals.append(event.text)
        if len(whole) > len(self._sent) and whole.startswith(self._sent):
            await self._start()
            await self._send(TranscriptChunk(whole[len(self._sent) :]).event())
            self._sent = whole

    async def _start(self) -> None:
        if not self._has_started:
            self._has_started = True
            await self._send(TranscriptStart(language=self._language).event())

    async def _complete(self) -> None:
        await self._start()
        await self._send(Transcript(" ".join(self._finals), language=self._language).event())
        await self._send(TranscriptStop().event())
        self._finals, self._sent, self._has_started = [], "", False
        self._transcripts += 1
