"""How much of the audio has been transcribed: a bar with the time left, on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING

from edgespeech.runtime import audio
from edgespeech.runtime.files import printable_name
from edgespeech.runtime.formats import clock_time

if TYPE_CHECKING:
    from edgespeech.runtime.measure.progress import Progress


class AudioBar:
    """A bar over the seconds of all recordings, drawn while it is used as a context manager on a terminal.

    Attributes:
        position: Seconds of the present recording that have been transcribed.
    """

    def __init__(self, files: Sequence[str]) -> None:
        self._files = files
        self._index = -1
        self._finished = self.position = 0.0
        self._lengths: list[float | None] = [None] * len(files)
        self._total: float | None = None
        self._bar: Progress | None = None
        self._stack = ExitStack()

    def begin(self) -> None:
        """Begin with the next recording."""
        if self._index >= 0:
            length = self._lengths[self._index]
            self._finished += self.position if length is None else length
        self._index += 1
        self.position = 0.0
        self.advance(0.0)

    def advance(self, seconds: float) -> None:
        """Add seconds of the present recording."""
        self.position += seconds
        if self._bar is None:
            return
        length = self._lengths[self._index]
        of = "" if length is None else f" of {clock_time(length)}"
        number = f" ({self._index + 1} of {len(self._files)})" if len(self._files) > 1 else ""
        title = f"{clock_time(self.position)}{of}  {printable_name(os.path.basename(self._files[self._index]))}{number}"
        if self._total is None:
            self._bar.advance(0, title)
        else:
            self._bar.update(round(self._finished + self.position), round(self._total), title)

    def __enter__(self) -> AudioBar:
        if sys.stderr is not None and sys.stderr.isatty():
            from rich.progress import BarColumn, TimeRemainingColumn

            from edgespeech.runtime.measure.progress import BAR_WIDTH, Progress

            self._lengths = [audio.stated_duration(file) for file in self._files]
            known = [length for length in self._lengths if length is not None]
            self._total = sum(known) if len(known) == len(self._files) else None
            columns = (BarColumn(BAR_WIDTH), TimeRemainingColumn())
            self._bar = self._stack.enter_context(Progress("", None, columns))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)
