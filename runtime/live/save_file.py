"""The finals of a live session in a file that survives whatever ends the session."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from edgespeech.errors import UsageError
from edgespeech.runtime.formats import VTT_HEADER, cues, srt_cue, vtt_cue
from edgespeech.runtime.live.outputs import event_line, with_source_name
from edgespeech.runtime.transcript import Event

FORMATS = (".srt", ".vtt", ".txt", ".jsonl")
_TIMED_FROM_ZERO = (".srt", ".vtt")


class SaveFile:
    """A .txt, .jsonl, .srt or .vtt file to which every final is appended and synced before the session goes on.

    Text and JSON lines are appended to what the file holds. Subtitle times begin at zero with each session, so a
    subtitle file must be new or empty.

    Raises:
        UsageError: Another ending, subtitles that exist already, or a file that cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._format = self.path.suffix.lower()
        if self._format not in FORMATS:
            raise UsageError(f"cannot save to {str(path)!r}: the name must end in {', '.join(FORMATS)}")
        try:
            self._file = open(self.path, "ab", buffering=0)
            length = os.fstat(self._file.fileno()).st_size
            torn = length and self.path.is_file() and not self.path.read_bytes().endswith(b"\n")
        except OSError as error:
            raise UsageError(f"cannot save to {str(path)!r}: {error.strerror}; give another file") from None
        if length and self._format in _TIMED_FROM_ZERO:
            self._file.close()
            raise UsageError(f"cannot save to {str(path)!r}: it holds {length} bytes already; give a new file")
        self._cues_written = 0
        self._shown_until: dict[str, float] = {}  # seconds, by source
        self._pending = VTT_HEADER.encode() if self._format == ".vtt" else b"\n" if torn else b""
        self._failed = False
        if message := self._write():
            self._file.close()
            raise UsageError(message)

    def add(self, event: Event, source: str = "") -> str:
        """Append a final; return a status message when writing starts to fail or works again, otherwise nothing.

        Text that could not be written is tried again with the next final and at the end.
        """
        self._pending += self._render(event, source).encode()
        return self._write()

    def close(self) -> str:
        """Try once more to write what is pending, then close; return a status message if text is lost."""
        if self._file.closed:
            return ""
        message = self._write()
        self._file.close()
        if self._pending:
            return f"{len(self._pending)} bytes of text could not be saved to {str(self.path)!r}"
        return message

    def _render(self, event: Event, source: str) -> str:
        if self._format == ".jsonl":
            return event_line(event, source) + "\n"
        event = with_source_name(source, event)
        if self._format == ".txt":
            return event.text + "\n"
        new = cues(event, after=self._shown_until.get(source, 0.0))
        self._shown_until.update((source, cue.end) for cue in new)
        self._cues_written += len(new)
        if self._format == ".vtt":
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
        if error.errno not in (errno.EINVAL, errno.EROFS, errno.ENOTSUP):  # pipes have no disk behind them
            raise
