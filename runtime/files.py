"""Atomic writing of files, checks before long work that a file can be written, and the cache folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from edgespeech.errors import UsageError


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces ``path`` when the block ends without an exception.

    Raises:
        UsageError: The file cannot be written: no such folder, no permission, a full disk.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            yield file
        temporary.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; give another file") from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def require_writable(path: Path, create: bool = False) -> None:
    """Check that a file can be written, before the work whose result it will hold.

    ``create`` also creates the folders above it.

    Raises:
        UsageError: It is a folder, or its folder does not exist or cannot be written.
    """
    if path.is_dir():
        raise UsageError(f"cannot write {path}: it is a folder; give a file in a folder that exists")
    try:
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; give a file in a folder that exists") from None


def printable_name(path: str | Path) -> str:
    """Return a file name that any file or terminal can hold: bytes that are not UTF-8 become U+FFFD."""
    return os.fsencode(path).decode("utf-8", "replace")


def make_folder(folder: Path) -> None:
    """Create a folder, with the folders above it.

    Raises:
        UsageError: It cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot create {folder}: {error.strerror}; give another folder") from None


def cache_folder() -> Path:
    """Return the folder ``edgespeech`` in the user's cache folder, wherever the system has that; it may not exist."""
    home = Path.home()
    if sys.platform == "darwin":
        base = home / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "edgespeech"
