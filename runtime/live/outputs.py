"""Where the events of a live session go: JSON lines, plain lines, and files that survive whatever ends the session."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO

from edgespeech.errors import UsageError
from edgespeech.runtime.formats import VTT_HEADER, cues, event_to_json, srt_cue, vtt_cue
from edgespeech.runtime.transcript import Event

SAVED = (".srt", ".vtt", ".txt", ".jsonl")
_TIMED_FROM_ZERO = (".srt", ".vtt")


@dataclass(frozen=True)
class Meter:
    """The state of a session after a block.

    Attributes:
        level: Of the block, root mean square in dB below full scale; -90 for silence.
        heard: Seconds of audio so far.
        busy: Seconds of computing so far.
        behind: Seconds between the arrival of the block and now.
        troubles: What went wrong with the sound so far, and how often.
    """

    level: float
    heard: float
    busy: float
    behind: float
    troubles: Mapping[str, int] = field(default_factory=dict)

    @property
    def rtf(self) -> float:
        """Real-time factor: seconds of computing per second of audio."""
        return self.busy / self.heard if self.heard else 0.0


class Output:
    """Shows what a session has to say; OSError means that nobody reads any more.

    ``source`` is the name of the source that an event or a reading belongs to; empty if there is one source only.
    """

    def show(self, event: Event, source: str = "") -> None:
        """Take an event."""
        raise NotImplementedError

    def measure(self, meter: Meter, source: str = "") -> None:
        """Take a reading of the meter, after every block; by default it is not shown."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class JsonLines(Output):
    """Every event as a line of JSON, status included.

    Args:
        stream: Written and flushed line by line; standard output by default.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        """Remember the stream."""
        self._stream = stream

    def show(self, event: Event, source: str = "") -> None:
        """Write a line."""
        print(_json_line(event, source), file=self._stream, flush=True)


class PlainLines(Output):
    """The text of each final as a line; remarks go where they do not mix with it.

    Args:
        stream: For the text; standard output by default.
        remarks: For status events; standard error by default.
    """

    def __init__(self, stream: TextIO | None = None, remarks: TextIO | None = None) -> None:
        """Remember the streams."""
        self._stream, self._remarks = stream, remarks or sys.stderr

    def show(self, event: Event, source: str = "") -> None:
        """Write a line, or nothing for a partial."""
        line = spoken_by(source, event).text
        if event.type == "final":
            print(line, file=self._stream, flush=True)
        elif event.type == "status":
            with contextlib.suppress(OSError):  # the text is worth more than remarks on it
                print(line, file=self._remarks, flush=True)


def spoken_by(source: str, event: Event) -> Event:
    """The event with the name of its source before the text, and before the first word; unchanged without a name."""
    if not source or not event.text:
        return event
    words = event.words and (replace(event.words[0], word=f"{source}: {event.words[0].word}"), *event.words[1:])
    return replace(event, text=f"{source}: {event.text}", words=words)


def _json_line(event: Event, source: str) -> str:
    line = event_to_json(event)
    return json.dumps({"source": source, **json.loads(line)}) if source else line


def abandon_standard_output() -> None:
    """Point standard output at nothing, so that Python's own flush at exit does not fail a second time."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)


class SaveFile:
    """A file to which every final is added, and is on the disk before the session goes on.

    Text and JSON lines are added to what the file holds. Subtitles count from the beginning of one session, so
    their file has to be new or empty.

    Args:
        path: Ends in .srt, .vtt, .txt or .jsonl.

    Raises:
        UsageError: Another ending, subtitles that exist already, or a file that cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file and begin it."""
        self.path = Path(path)
        self._kind = self.path.suffix.lower()
        if self._kind not in SAVED:
            raise UsageError(f"cannot save to {str(path)!r}: the name must end in {', '.join(SAVED)}")
        try:
            self._file = open(self.path, "ab", buffering=0)
            length = os.fstat(self._file.fileno()).st_size
            torn = length and self.path.is_file() and not self.path.read_bytes().endswith(b"\n")
        except OSError as error:
            raise UsageError(f"cannot save to {str(path)!r}: {error.strerror}; give another file") from None
        if length and self._kind in _TIMED_FROM_ZERO:
            self._file.close()
            raise UsageError(f"cannot save to {str(path)!r}: it holds {length} bytes already; give a new file")
        self._cues_written = 0
        self._pending = VTT_HEADER.encode() if self._kind == ".vtt" else b"\n" if torn else b""
        self._failed = False
        if remark := self._write():
            self._file.close()
            raise UsageError(remark)

    def add(self, event: Event, source: str = "") -> str:
        """Add a final, with the name of its source if there are several.

        Returns:
            A remark for people when writing begins to fail, or to work again; else nothing. What is not written is
            tried again with the next final and at the end.
        """
        self._pending += self._format(event, source).encode()
        return self._write()

    def close(self) -> str:
        """Try once more what is not written, and close; a remark if it is lost."""
        remark = self._write()
        self._file.close()
        if self._pending:
            return f"{len(self._pending)} bytes of text could not be saved to {str(self.path)!r}"
        return remark

    def _format(self, event: Event, source: str) -> str:
        if self._kind == ".jsonl":
            return _json_line(event, source) + "\n"
        event = spoken_by(source, event)
        if self._kind == ".txt":
            return event.text + "\n"
        new = cues(event)
        self._cues_written += len(new)
        if self._kind == ".vtt":
            return "".join(vtt_cue(cue) for cue in new)
        first = self._cues_written - len(new) + 1
        return "".join(srt_cue(index, cue) for index, cue in enumerate(new, first))

    def _write(self) -> str:
        failed_before = self._failed
        try:
            while self._pending:
                self._pending = self._pending[self._file.write(self._pending) :]
            _sync(self._file.fileno())
            self._failed = False
        except OSError as error:
            self._failed = True
            return "" if failed_before else f"cannot save to {str(self.path)!r}: {error.strerror}"
        return f"saving to {str(self.path)!r} again" if failed_before else ""


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EROFS, errno.ENOTSUP):  # pipes and the like have no disk behind them
            raise
