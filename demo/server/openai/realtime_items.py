"""The items of a realtime session: events of the engine go in, events of the API come out.

An item is what was said between two commits, by the client or by the server at the end of a segment. Its deltas can
only append, so that they have the words that are certain, while the person still speaks.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from edgespeech.demo.server.openai.replies import usage, word_logprobs
from edgespeech.runtime.decoder.hypothesis import Word
from edgespeech.runtime.transcript import Event

_TRANSCRIPTION = "conversation.item.input_audio_transcription"
Message = dict[str, Any]


def server_event(kind: str, **fields: Any) -> Message:
    """Return an event with an identifier of its own."""
    return {"type": kind, "event_id": f"event_{secrets.token_hex(10)}", **fields}


class Items:
    """The item that is spoken, and what precedes it.

    Times of the engine's events count from the beginning of a stream; a session may have several, one after the other.

    Args:
        flat: Whether the client uses the older form of the API.

    Attributes:
        flat: As above; the client may turn to it later.
    """

    def __init__(self, flat: bool) -> None:
        self.flat = flat
        self._has_logprobs = False
        self._prefix_seconds: float | None = None
        self._offset = 0.0  # seconds of audio of earlier streams
        self._previous: str | None = None
        self._boundary = 0.0  # seconds: where the item before ends
        self._begin()

    def configure(self, flat: bool, has_logprobs: bool, prefix_seconds: float | None) -> None:
        """Change the form, from the next event on.

        Args:
            flat: As for the class.
            has_logprobs: Whether completed items have the log probability of each word.
            prefix_seconds: How long before its first words speech is reported to begin; None if only the client ends
                items.
        """
        self.flat, self._has_logprobs, self._prefix_seconds = flat, has_logprobs, prefix_seconds

    def begin_stream(self, seconds: float) -> None:
        """Count times from the end of a stream of this length, whose events have all been taken."""
        self._offset += seconds

    def take(self, events: Sequence[Event]) -> Iterator[Message]:
        """Take what followed from a piece of audio."""
        for event in events:
            if not event.text:  # the segment has ended, and its words were noise
                self._shown = ""
                if self._is_speaking:
                    yield from self._stop(event.end)
                continue
            yield from self._start(event)
            if event.type == "partial":
                yield from self._grow(event.committed)
            elif self._prefix_seconds is None:
                yield from self._add(event)
            else:
                yield from self._stop(event.end, event)

    def commit(self, events: Sequence[Event], seconds: float) -> Iterator[Message]:
        """Complete the item with the last events of a stream of this length."""
        finals = [event for event in events if event.type == "final"]
        yield from self._complete(seconds, finals)

    def clear(self) -> Iterator[Message]:
        """Forget what was said since the last item."""
        self._begin()
        yield server_event("input_audio_buffer.cleared")

    def fail(self, error: Message) -> Iterator[Message]:
        """Report that the item which has begun will not be completed."""
        if self._is_speaking or self._has_deltas or self._finals:
            yield self._about(f"{_TRANSCRIPTION}.failed", error=error)
            self._begin()

    def _begin(self) -> None:
        self._id = f"item_{secrets.token_hex(10)}"
        self._finals: list[Event] = []
        self._shown = ""  # of the present segment
        self._has_deltas = self._is_speaking = False
        self._began = self._boundary

    def _start(self, event: Event) -> Iterator[Message]:
        if self._prefix_seconds is not None and not self._is_speaking:
            self._is_speaking = True
            first = event.start if event.type == "final" else event.end
            self._began = max(self._boundary, first + self._offset - self._prefix_seconds)
            started = round(self._began * 1000)
            yield server_event("input_audio_buffer.speech_started", audio_start_ms=started, item_id=self._id)

    def _stop(self, end: float, final: Event | None = None) -> Iterator[Message]:
        stopped = round((end + self._offset) * 1000)
        yield server_event("input_audio_buffer.speech_stopped", audio_end_ms=stopped, item_id=self._id)
        yield from self._complete(end, [] if final is None else [final])

    def _complete(self, end: float, finals: Sequence[Event]) -> Iterator[Message]:
        whole = end + self._offset
        yield server_event("input_audio_buffer.committed", item_id=self._id, previous_item_id=self._previous)
        content = [{"type": "input_audio", "transcript": None}]
        item = {"id": self._id, "object": "realtime.item", "type": "message", "status": "completed", "role": "user",
                "content": content}  # fmt: skip
        for kind in ("created",) if self.flat else ("added", "done"):
            yield server_event(f"conversation.item.{kind}", item=item, previous_item_id=self._previous)
        for final in finals:
            yield from self._add(final)
        words: list[Word] = [word for event in self._finals for word in event.words]
        yield self._about(
            f"{_TRANSCRIPTION}.completed",
            transcript=" ".join(event.text for event in self._finals),
            logprobs=word_logprobs(words) if self._has_logprobs else None,
            usage=usage(max(0.0, whole - self._began)),
        )
        self._previous, self._boundary = self._id, whole
        self._begin()

    def _add(self, final: Event) -> Iterator[Message]:
        yield from self._grow(final.text)
        self._finals.append(final)
        self._shown = ""

    def _grow(self, certain: str) -> Iterator[Message]:
        """Send what is certain and was not sent; nothing if the engine has taken back what was."""
        if len(certain) > len(self._shown) and certain.startswith(self._shown):
            space = " " if self._has_deltas and not self._shown else ""
            yield self._about(f"{_TRANSCRIPTION}.delta", delta=space + certain[len(self._shown) :])
            self._shown, self._has_deltas = certain, True

    def _about(self, kind: str, **fields: Any) -> Message:
        return server_event(kind, item_id=self._id, content_index=0, **fields)
