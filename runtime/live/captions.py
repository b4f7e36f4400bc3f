"""The newest two lines of a live session in a text file, which other programs show, such as OBS."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from edgespeech.errors import UsageError
from edgespeech.runtime.files import replacing, require_new, require_writable
from edgespeech.runtime.formats import LINES_PER_CUE, wrap
from edgespeech.runtime.live.outputs import Meter, Output, with_source_name
from edgespeech.runtime.transcript import Event

_METER_SECONDS = 0.1
CLEAR_SECONDS = 5.0  # of audio without new text; two full lines take as long to read
_REPORT_SECONDS = 1.0  # Windows refuses to replace a file for the moments in which another program reads it


def require_captions_file(path: str | Path, overwrite: bool) -> None:
    """Check that the file may become one of captions.

    Raises:
        UsageError: It is not a file, cannot be written, or holds something and must not be overwritten.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise UsageError(f"--captions {path} is not a file; give one that other programs can read again and again")
    require_new(path, overwrite)
    require_writable(path)


class Captions:
    """A file that always holds the newest two lines, of at most 42 characters each, and nothing after silence.

    Each segment begins a line. Every version replaces the file at once, so that a reader never sees half of one: UTF-8,
    a line break between two lines and none at the end. The file is empty at the beginning and after `close`.

    Raises:
        UsageError: As for `require_captions_file`.
    """

    def __init__(self, path: str | Path, overwrite: bool = False) -> None:
        require_captions_file(path, overwrite)
        self.path = Path(path)
        self._finals: deque[str] = deque(maxlen=LINES_PER_CUE)
        self._partials: dict[str, list[str]] = {}  # by source, the one that changed last at the end
        self._written: list[str] | None = None
        self._changed_at: tuple[str, float] | None = None  # source and seconds of its audio
        self._failing_since: float | None = None
        with replacing(self.path, sync=False):
            self._written = []

    def show(self, event: Event, source: str = "") -> None:
        """Show a partial or a final; status events are no captions."""
        if event.type == "status":
            return
        event = with_source_name(source, event)
        lines = wrap(event.text)
        self._partials.pop(source, None)
        if event.type == "final":
            self._finals.extend(lines)
        else:
            self._partials[source] = lines
        self._changed_at = None
        self._write()

    def show_meter(self, meter: Meter, source: str = "") -> str:
        """Clear the file after silence, try again what could not be written, and return a message for the user."""
        now = meter.audio_seconds
        if self._changed_at is None:
            self._changed_at = (source, now)
        elif self._changed_at[0] == source and now - self._changed_at[1] >= CLEAR_SECONDS:
            self._finals.clear()
            self._partials.clear()
        reason = self._write()
        if not reason:
            self._failing_since = None
        elif self._failing_since is None:
            self._failing_since = now
        elif 0.0 <= now - self._failing_since >= _REPORT_SECONDS:
            self._failing_since = float("inf")  # one message until it works again
            return reason
        return ""

    def close(self) -> None:
        """Leave the file empty at the end."""
        self._finals.clear()
        self._partials.clear()
        self._write()

    def _write(self) -> str:
        """Write the newest lines if they changed; return why that is impossible."""
        lines = [*self._finals, *(line for partial in self._partials.values() for line in partial)][-LINES_PER_CUE:]
        if lines != self._written:
            try:
                with replacing(self.path, sync=False) as file:  # a disk would wear out; nobody reads old captions
                    file.write("\n".join(lines).encode())
            except UsageError as error:
                return str(error)
            self._written = lines
        return ""


class CaptionedOutput(Output):
    """An output whose text is in a file of captions too; problems with the file are status events of the output."""

    def __init__(self, output: Output, captions: Captions) -> None:
        self._output, self._captions = output, captions
        self.meter_seconds = _METER_SECONDS if output.meter_seconds is None else output.meter_seconds

    def show(self, event: Event, source: str = "") -> None:
        """Show the event, and what the captions are from then on."""
        self._captions.show(event, source)
        self._output.show(event, source)

    def show_meter(self, meter: Meter, source: str = "") -> None:
        """Show the state, and clear the captions after silence."""
        self._output.show_meter(meter, source)
        if message := self._captions.show_meter(meter, source):
            now = meter.audio_seconds
            self._output.show(Event("status", message, start=now, end=now), source)

    def close(self) -> None:
        """Empty the file, and close the output."""
        self._captions.close()
        self._output.close()
