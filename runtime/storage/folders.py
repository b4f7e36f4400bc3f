"""Folders that are written as a whole and replace the one before atomically, as bundles and sites are."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from edgespeech.errors import UsageError
from edgespeech.runtime.storage.durability import exchange, sync_folder, sync_tree
from edgespeech.runtime.storage.temporaries import exclusive, temporary_folder


@dataclass(frozen=True)
class FolderKind:
    """A kind of folder that is written as a whole, known by a JSON file in it.

    Attributes:
        name: Its name in messages, such as ``bundle``.
        marker: Name of the JSON file.
        format: Value of ``format`` in it.
    """

    name: str
    marker: str
    format: str

    def may_replace(self, folder: Path) -> bool:
        """Decide whether a folder that exists is empty or of this kind."""
        if not folder.is_dir() or not (folder / self.marker).is_file():
            return folder.is_dir() and not any(folder.iterdir())
        try:
            content = json.loads((folder / self.marker).read_bytes())
        except (ValueError, RecursionError):
            return False
        return isinstance(content, dict) and content.get("format") == self.format


def require_folder(folder: Path, kind: FolderKind, overwrite: bool = True) -> None:
    """Check that a folder, which need not exist, can be written, before the work whose result it will hold.

    Raises:
        UsageError: It exists and is something else or must not be overwritten, or it cannot be written.
    """
    folder = Path(os.path.abspath(folder))
    try:
        if folder.exists() and not kind.may_replace(folder):
            raise UsageError(f"{folder} exists and is not a {kind.name}; give another folder")
        if not overwrite and (folder / kind.marker).exists():
            raise UsageError(
                f"{folder} is a {kind.name}; give --overwrite to replace all of its files, or another folder"
            )
        above = next(parent for parent in folder.parents if parent.exists())
        with TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}; give another folder") from None


@contextmanager
def replacing_folder(folder: Path, kind: FolderKind) -> Iterator[Path]:
    """Make a temporary folder that takes the place of ``folder`` when the block ends without an exception.

    Raises:
        UsageError: As in `require_folder`, or the disk is full.
    """
    folder = Path(os.path.abspath(folder))
    require_folder(folder, kind)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _put_back(folder)
        with temporary_folder(folder) as temporary:
            temporary.chmod(0o755)
            yield temporary
            sync_tree(temporary)
            _take_place(temporary, folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}; free some space or give another folder") from None


def _take_place(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)  # in place of an empty folder too
    except OSError:
        if not folder.is_dir():
            raise
        if not exchange(temporary, folder):
            _rename_twice(temporary, folder)


def _rename_twice(temporary: Path, folder: Path) -> None:
    """Replace a folder where the system cannot exchange two; between the two steps it has the name of `_kept`."""
    with exclusive(folder.parent):
        _put_back(folder)
        folder.rename(_kept(folder))
        try:
            temporary.rename(folder)
        finally:
            _put_back(folder)


def _put_back(folder: Path) -> None:
    """Give a folder its name back that a process lost between two renames; remove what was replaced."""
    if folder.exists():
        shutil.rmtree(_kept(folder), ignore_errors=True)
    else:
        with suppress(FileNotFoundError):
            _kept(folder).rename(folder)


def _kept(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")
