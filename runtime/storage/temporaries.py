"""Temporary files and folders beside what they will replace; what a killed process left is removed by the next one.

A lock says that somebody still writes. The system gives it back when the process ends, however that happens.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl

_numbers = itertools.count()  # so that two threads never share one
_NAME = 40  # characters of the target's name, so that the temporary name is never too long


@contextmanager
def temporary_file(target: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Make a file beside ``target`` that is removed at the end, unless it was renamed.

    Raises:
        OSError: The folder is missing or must not be written, or the disk is full.
    """
    _remove_abandoned(target)
    while True:
        path = _new_name(target)
        try:
            file = path.open("xb")
        except FileExistsError:  # of a process with the same number in another container
            continue
        with file:
            _lock(file.fileno())
            if _was_removed(path, file.fileno()):
                continue
            try:
                yield path, file
            finally:
                if sys.platform == "win32":
                    file.close()  # an open file cannot be removed there
                with suppress(OSError):
                    path.unlink()
            return


@contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """Make a folder beside ``target`` that is removed at the end with all that is in it, unless it was renamed.

    Raises:
        OSError: As in `temporary_file`.
    """
    _remove_abandoned(target)
    while True:
        path = _new_name(target)
        try:
            path.mkdir(0o700)
            descriptor = _open_folder(path)
        except (FileExistsError, FileNotFoundError):  # as above, or removed already
            target.parent.stat()
            continue
        with _closing(descriptor):
            _lock(descriptor)
            if _was_removed(path, descriptor):
                continue
            try:
                yield path
            finally:
                shutil.rmtree(path, ignore_errors=True)
            return


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Wait until no other process is in such a block with the same folder; on Windows nothing is waited for.

    Raises:
        OSError: The folder is missing.
    """
    descriptor = _open_folder(folder)
    with _closing(descriptor):
        _lock(descriptor)
        yield


def _new_name(target: Path) -> Path:
    return target.with_name(f".{target.name[:_NAME]}.{os.getpid()}-{next(_numbers)}")


def _remove_abandoned(target: Path) -> None:
    """Remove temporary files and folders of a target that no process holds."""
    pattern = re.compile(re.escape(f".{target.name[:_NAME]}.") + r"\d+-\d+")
    with suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            if pattern.fullmatch(entry.name):
                with suppress(OSError):
                    _remove_if_abandoned(Path(entry.path), entry.is_dir(follow_symlinks=False))


def _remove_if_abandoned(path: Path, is_folder: bool) -> None:
    if sys.platform == "win32":  # what is in use cannot be removed there
        if not is_folder:
            path.unlink()
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_folder:
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    finally:
        os.close(descriptor)


def _lock(descriptor: int | None) -> None:
    if sys.platform != "win32" and descriptor is not None:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)


def _was_removed(path: Path, descriptor: int | None) -> bool:
    """Decide whether another process took a new file or folder for an abandoned one, before it was locked."""
    if sys.platform == "win32" or descriptor is None:
        return False
    try:
        return not os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return True


def _open_folder(folder: Path) -> int | None:
    return None if sys.platform == "win32" else os.open(folder, os.O_RDONLY)


@contextmanager
def _closing(descriptor: int | None) -> Iterator[None]:
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
