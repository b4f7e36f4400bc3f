"""JSON lines that are written one by one, and continued after the process was killed."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from edgespeech.errors import UsageError
from edgespeech.runtime.files import appending, require_new, require_writable
from edgespeech.runtime.storage.durability import sync_file

if sys.platform != "win32":
    import fcntl

SYNC_SECONDS = 5.0  # of work that a loss of power may cost; what only kills the process costs none
_BLOCK = 1 << 16


class Journal:
    """Appends lines to a file, each of which is complete or, if the process ends within it, removed by the next one.

    A context manager; only one process at a time can write a journal.

    Args:
        path: The file.
        resume: Continue a journal that exists.
        overwrite: Replace it.

    Raises:
        UsageError: The file exists and is neither to be continued nor replaced, or cannot be written.
    """

    def __init__(self, path: Path, resume: bool, overwrite: bool) -> None:
        if resume and overwrite:
            raise UsageError("--resume and --overwrite exclude each other; leave one of them out")
        if not resume and not overwrite and path.is_file() and path.stat().st_size:
            raise UsageError(f"{path} exists; give --resume to continue it, --overwrite to replace it, or another file")
        require_new(path, overwrite=True)
        require_writable(path)
        self.path, self._resume = path, resume
        self._stack = ExitStack()
        self._file: BinaryIO | None = None
        self._synced = time.monotonic()

    def __enter__(self) -> Journal:
        self._stack.enter_context(_alone(self.path))
        if self._resume:
            _remove_torn_line(self.path)
        elif self.path.is_file():
            os.truncate(self.path, 0)
        self._file = self._stack.enter_context(appending(self.path))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)

    def lines(self) -> Iterator[Mapping[str, Any]]:
        """Yield the objects that are in the file.

        Raises:
            UsageError: A line is not a JSON object.
        """
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    found = json.loads(line)
                except (ValueError, RecursionError):
                    found = None
                if not isinstance(found, dict):
                    raise UsageError(
                        f"{self.path}:{number} is not a JSON object, so it cannot be continued; give another file"
                    )
                yield found

    def write(self, line: str) -> None:
        """Add a line, which is in the file when this returns."""
        assert self._file is not None
        self._file.write(line.encode() + b"\n")
        self._file.flush()
        if time.monotonic() - self._synced > SYNC_SECONDS:
            sync_file(self._file.fileno())
            self._synced = time.monotonic()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock on the file, which the system gives back when the process ends."""
    if sys.platform == "win32":
        yield
        return
    try:
        opened = path.open("ab")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; give another file") from None
    with opened as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{path} is being written by another process; wait for it, or give another file") from None
        except OSError:  # a file system without locks
            pass
        yield


def _remove_torn_line(path: Path) -> None:
    """Remove what follows the last line break."""
    if not path.is_file():
        return
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            begin = max(0, end - _BLOCK)
            file.seek(begin)
            place = file.read(end - begin).rfind(b"\n")
            if place >= 0:
                end = begin + place + 1
                break
            end = begin
        file.truncate(end)
