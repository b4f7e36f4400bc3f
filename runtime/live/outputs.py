"""Where the events of a live session go: the interface, JSON lines and plain lines."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TextIO, TypeVar

from edgespeech.runtime.formats import event_to_json
from edgespeech.runtime.transcript import Event, Segment

Piece = TypeVar("Piece", Event, Segment)


@dataclass(frozen=True)
class Meter:
    """State of one source after a block.

    Attributes:
        level_db: Root mean square of the block in dB below full scale; -90 for silence.
        audio_seconds, compute_seconds: Seconds of audio processed and of computing so far.
        delay_seconds: Seconds between the arrival of the block and the end of its processing.
        problems: Kinds of problems with the audio, and how often each occurred.
    """

    level_db: float
    audio_seconds: float
    compute_seconds: float
    delay_seconds: float
    problems: Mapping[str, int] = field(default_factory=dict)

    @property
    def rtf(self) -> float:
        """Real-time factor: seconds of computing per second of audio."""
        return self.compute_seconds / self.audio_seconds if self.audio_seconds else 0.0


class Output:
    """Receives the events of a session; an OSError ends the session, because nobody reads any more.

    ``source`` is the name of the source that an event or a meter belongs to; empty if there is only one.

    Attributes:
        meter_seconds: Seconds of audio between two meters; 0 for one after each block, None for none.
    """

    meter_seconds: float | None = 0.0

    def show(self, event: Event, source: str = "") -> None:
        """Receive a partial, final or status event."""
        raise NotImplementedError

    def show_meter(self, meter: Meter, source: str = "") -> None:
        """Receive the state after each block, or as often as ``meter_seconds`` asks for; ignored by default."""

    def close(self) -> None:
        """Clean up after the last event; nothing by default."""


class JsonLines(Output):
    """Writes every event as one line of JSON, by default on standard output."""

    meter_seconds = None

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def show(self, event: Event, source: str = "") -> None:
        """Write the event as a line."""
        print(event_line(event, source), file=self._stream, flush=True)


class PlainLines(Output):
    """Writes finals to ``stream`` (standard output) and status events to ``status`` (standard error)."""

    meter_seconds = None

    def __init__(self, stream: TextIO | None = None, status: TextIO | None = None) -> None:
        self._stream, self._status = stream, status

    def show(self, event: Event, source: str = "") -> None:
        """Write a final or a status event as a line; partials are skipped."""
        line = with_source_name(source, event).text
        status = self._status or sys.stderr
        if event.type == "final":
            print(line, file=self._stream, flush=True)
        elif event.type == "status" and status is not None:
            with contextlib.suppress(OSError):  # the session goes on without status lines
                print(line, file=status, flush=True)


def with_source_name(source: str, piece: Piece) -> Piece:
    """Return the piece with the name of its source before the text and the first word; unchanged without a name."""
    if not source or not piece.text:
        return piece
    first = piece.words[0] if piece.words else None
    if first is None:
        return replace(piece, text=f"{source}: {piece.text}")
    written = None if first.written is None else f"{source}: {first.written}"
    named = replace(first, word=f"{source}: {first.word}", written=written)
    return replace(piece, text=f"{source}: {piece.text}", words=(named, *piece.words[1:]))


def event_line(event: Event, source: str = "") -> str:
    """Return an event as JSON, with the key ``source`` if there are several sources."""
    line = event_to_json(event)
    return json.dumps({"source": source, **json.loads(line)}) if source else line


def abandon_standard_output() -> None:
    """Point standard output at nothing, so that Python's own flush at exit does not fail a second time."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
