"""The finals of a live session in a file that survives whatever ends the session."""

from __future__ import annotations

from pathlib import Path

from edgespeech.errors import UsageError
from edgespeech.runtime.files import ends_within_a_line, holds_content, require_new
from edgespeech.runtime.formats import VTT_HEADER, cues, srt_cue, vtt_cue
from edgespeech.runtime.live.outputs import event_line, with_source_name
from edgespeech.runtime.storage.durability import sync_file
from edgespeech.runtime.transcript import Event

FORMATS = (".srt", ".vtt", ".txt", ".jsonl")
_TIMED_FROM_ZERO = (".srt", ".vtt")


def require_save_file(path: str | Path, overwrite: bool = False, append: bool = False) -> None:
    """Check the ending of a file for finals, and that nothing is lost in it.

    Raises:
        UsageError: Another ending, a file that exists, or subtitles to append to: their times begin at zero.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(f"cannot save to {str(path)!r}: the name must end in {', '.join(FORMATS)}")
    timed = suffix in _TIMED_FROM_ZERO
    if append and timed and holds_content(path):
        raise UsageError(
            f"cannot append to {str(path)!r}: subtitle times begin at zero with each session; give --overwrite, "
            "another file, or one that ends in .txt or .jsonl"
        )
    if not append:
        require_new(path, overwrite, can_append=not timed)


class SaveFile:
    """A .txt, .jsonl, .srt or .vtt file to which every final is added and synced before the session goes on.

    Args:
        path: A new or empty file.
        overwrite: Whether a file that exists is emptied.
        append: Whether text and JSON lines are appended to what the file holds.

    Raises:
        UsageError: As in `require_save_file`, or the file cannot be written.
    """

    def __init__(self, path: str | Path, overwrite: bool = False, append: bool = False) -> None:
        self.path = Path(path)
        self._format = self.path.suffix.lower()
        require_save_file(path, overwrite, append)
        try:
            self._file = open(self.path, "ab" if append else "wb", buffering=0)
            torn = append and ends_within_a_line(self.path)
        except OSError as error:
            raise UsageError(f"cannot save to {str(path)!r}: {error.strerror}; give another file") from None
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
            sync_file(self._file.fileno())
            self._failed = False
        except OSError as error:
            self._failed = True
            return "" if failed_before else f"cannot save to {str(self.path)!r}: {error.strerror}"
        return f"saving to {str(self.path)!r} again" if failed_before else ""
