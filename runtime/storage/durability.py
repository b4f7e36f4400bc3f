"""What is on the disk when the power fails, and the exchange of two folders in one step."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

_UNSUPPORTED = (errno.EINVAL, errno.EROFS, errno.ENOTSUP, errno.ENOSYS)
_CURRENT_FOLDER = -100  # AT_FDCWD
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS


def sync_file(descriptor: int) -> None:
    """Wait until the content of an open file is on its disk; what has no disk, such as a pipe, is left alone.

    Raises:
        OSError: The disk is full or broken.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on its disk, where the system can do that.

    Raises:
        OSError: The disk is broken.
    """
    if sys.platform == "win32":
        return
    with suppress(PermissionError):  # a folder may be writable, but not readable
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            sync_file(descriptor)
        finally:
            os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until all files in a folder and in those below it are on the disk.

    Raises:
        OSError: The disk is full or broken.
    """
    for above, _, names in os.walk(folder, topdown=False):
        for name in names:
            with open(os.path.join(above, name), "rb+") as file:
                sync_file(file.fileno())
        sync_folder(Path(above))


def exchange(one: Path, other: Path) -> bool:
    """Exchange two paths of one file system in a single step; return False if the system cannot do that.

    Raises:
        OSError: It can, but a path is missing or must not be changed.
    """
    function = _exchange_function()
    if function is None or function(os.fsencode(one), os.fsencode(other)) == 0:
        return function is not None
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(one))


@cache
def _exchange_function() -> Any:
    if sys.platform == "win32":
        return None
    library = ctypes.CDLL(None, use_errno=True)
    try:
        if sys.platform == "darwin":
            swap = library.renamex_np
            return lambda one, other: swap(one, other, _EXCHANGE)
        rename = library.renameat2
        return lambda one, other: rename(_CURRENT_FOLDER, one, _CURRENT_FOLDER, other, _EXCHANGE)
    except AttributeError:  # an old C library
        return None
