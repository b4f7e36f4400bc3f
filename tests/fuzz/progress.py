"""What a worker has done, in a mapped file: it is still there when the worker has crashed."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import NamedTuple

_LAYOUT = struct.Struct("<6q2d")


class Progress(NamedTuple):
    """Where a worker is.

    Attributes:
        number: The input that is being used; -1 while the worker loads.
        accepted: Inputs that were used without an error.
        refused: Inputs that were refused in a line.
        tracebacks: Inputs that raised something else.
        done: Whether the worker has finished its range.
        peak_bytes: Largest resident memory of the process so far, without that of loading.
        began: CPU seconds of the process when the input began.
        loaded: Resident bytes when the worker was ready.
    """

    number: int = -1
    accepted: int = 0
    refused: int = 0
    tracebacks: int = 0
    done: int = 0
    peak_bytes: int = 0
    began: float = 0.0
    loaded: float = 0.0


class ProgressFile:
    """A `Progress` that one process writes and another reads."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_LAYOUT.size))
        with path.open("r+b") as file:
            self._data = mmap.mmap(file.fileno(), _LAYOUT.size)

    def write(self, progress: Progress) -> None:
        """Replace the content."""
        self._data[:] = _LAYOUT.pack(*progress)

    def read(self) -> Progress:
        """Return the content; it can be half old and half new for a moment."""
        return Progress(*_LAYOUT.unpack(self._data[:]))
