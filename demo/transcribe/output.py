"""Where the text of recordings goes: standard output, or a file that is put in place when it is complete."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from edgespeech.runtime.files import appending, holds_content, replacing


class Output:
    """Receives pieces of text; a context manager that keeps them if it ends without an exception.

    A file is made with the first piece, so that recordings that cannot be read leave none.

    Args:
        path: File to write; None for standard output.
        show: Prints a piece on standard output at once.
        overwrite: Whether the file may replace one that exists.
        append: Whether the text is added to a file that exists.
    """

    def __init__(self, path: Path | None, show: Callable[[str], None], overwrite: bool, append: bool) -> None:
        self.path, self._show, self._overwrite, self._append = path, show, overwrite, append
        self._stack = ExitStack()
        self._file: BinaryIO | None = None
        self.empty = path is None or not append or not holds_content(path)

    def write(self, text: str) -> None:
        """Write a piece, which is not kept back in memory.

        Raises:
            UsageError: The file cannot be written.
        """
        self.empty = False
        if self.path is None:
            self._show(text)
            return
        if self._file is None:
            opened = appending(self.path) if self._append else replacing(self.path, self._overwrite)
            self._file = self._stack.enter_context(opened)
        self._file.write(text.encode("utf-8", "backslashreplace"))
        self._file.flush()

    def __enter__(self) -> Output:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)
