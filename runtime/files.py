"""Atomic writing of files, checks before long work that they may be written, and the cache folder."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from edgespeech.errors import UsageError
from edgespeech.runtime.storage.durability import sync_file, sync_folder
from edgespeech.runtime.storage.temporaries import temporary_file


@contextmanager
def replacing(path: Path, overwrite: bool = True, sync: bool = True) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces ``path`` when the block ends without an exception.

    Whatever ends the process, ``path`` is the old file or the new one; with ``sync`` after a loss of power too. A link
    stays, and the file that it points to is replaced. A device or a pipe is written directly.

    Raises:
        UsageError: The file cannot be written: no such folder, no permission, a full disk. Or it is not to be
            overwritten, and exists by now.
    """
    target = Path(os.path.realpath(path))
    try:
        if _is_special(path):
            with path.open("wb") as file:
                yield file
            return
        with temporary_file(target) as (temporary, file):
            yield file
            if not overwrite:
                require_new(path)
            with suppress(FileNotFoundError):
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))
            file.flush()
            if sync:
                sync_file(file.fileno())
            if sys.platform == "win32":
                file.close()  # an open file cannot be renamed there
            temporary.replace(target)
        if sync:
            sync_folder(target.parent)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; give another file") from None


@contextmanager
def appending(path: Path) -> Iterator[BinaryIO]:
    """Open a file to add lines to it; a last line without an end gets one first.

    Raises:
        UsageError: The file cannot be written.
    """
    try:
        with path.open("ab") as file:
            if ends_within_a_line(path):
                file.write(b"\n")
            yield file
            file.flush()
            sync_file(file.fileno())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; give another file") from None


def require_new(path: Path, overwrite: bool = False, can_append: bool = False) -> None:
    """Check that a file which is to be written does not exist, is empty, or may be overwritten.

    Raises:
        UsageError: It holds something; the message names ``--overwrite``, and ``--append`` if that is possible.
    """
    if overwrite or not holds_content(path):
        return
    append = ", --append to add to it" if can_append else ""
    raise UsageError(f"{path} exists; give --overwrite to replace it{append}, or another file")


def holds_content(path: Path) -> bool:
    """Decide whether a path is a file that is not empty."""
    return os.path.isfile(path) and os.path.getsize(path) > 0


def ends_within_a_line(path: Path) -> bool:
    """Decide whether the last line of a file has no end, as after a crash; nothing but its last byte is read."""
    if not holds_content(path):
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def require_writable(path: Path, create: bool = False) -> None:
    """Check that a file can be written, before the work whose result it will hold.

    ``create`` also creates the folders above it.

    Raises:
        UsageError: It is a folder, or its folder does not exist or cannot be written.
    """
    if path.is_dir():
        raise UsageError(f"cannot write {path}: it is a folder; give a file in a folder that exists")
    if _is_special(path):
        return
    target = Path(os.path.realpath(path))
    try:
        if create:
            target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; give a file in a folder that exists") from None


def _is_special(path: Path) -> bool:
    """Decide whether a path is a device, a pipe or a socket, which has no content that could be lost."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


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
