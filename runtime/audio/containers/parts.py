"""The bytes of a recording, and the parts of it that a decoder reads one after the other."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import BinaryIO

from edgespeech.errors import AudioError

MAX_EXCESS = 64  # bytes by which sloppy headers give more audio than there is
_WINDOW = 1 << 18  # bytes


class ByteSource:
    """Random access to an open file, through a window that suits readers who go forward."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = file.seek(0, os.SEEK_END)
        self._begin, self._window = 0, b""

    def at(self, offset: int, length: int) -> bytes:
        """Return the bytes at an offset; fewer at the end of the file, and none outside of it.

        Raises:
            AudioError: The medium does not give them.
        """
        if not 0 <= offset < self.size:
            return b""
        inside = offset - self._begin
        if not 0 <= inside <= len(self._window) - length:
            try:
                self.file.seek(offset)
                self._begin, self._window = offset, self.file.read(max(length, _WINDOW))
            except OSError as error:
                raise AudioError(
                    f"audio cannot be read any further ({error.strerror}); wanted a readable file; copy it again"
                ) from None
            inside = 0
        return self._window[inside : inside + length]

    def find(self, wanted: bytes, begin: int) -> int:
        """Return the offset of the first occurrence from ``begin`` on, -1 if there is none."""
        while begin < self.size:
            piece = self.at(begin, _WINDOW)
            found = piece.find(wanted)
            if found >= 0:
                return begin + found
            if begin + len(piece) >= self.size:
                break
            begin += len(piece) - len(wanted) + 1
        return -1


@dataclass(frozen=True)
class Damage:
    """A place where audio is missing; ``second`` is None at the end of what can be decoded."""

    reason: str
    second: float | None = None


@dataclass(frozen=True)
class Part:
    """One recording inside a file: bytes in memory in place of those before ``begin``, then bytes of the file.

    Attributes:
        begin: Offset of the first byte that is read from the file.
        end: Offset behind the last one.
        head: Bytes that the decoder reads first.
        damage: What is known to be missing, with seconds from the beginning of the part.
        frames: Number of samples per channel, where a decoder would only guess it.
    """

    begin: int
    end: int
    head: bytes = b""
    damage: tuple[Damage, ...] = ()
    frames: int | None = None


@dataclass(frozen=True)
class Layout:
    """The parts of a file, warnings although nothing is lost, and where another file begins behind it."""

    parts: tuple[Part, ...]
    warnings: tuple[str, ...] = ()
    next: int | None = None


class PartFile(io.RawIOBase):
    """A part as a seekable file of its own. A read that fails ends the file, and `error` has the reason."""

    def __init__(self, source: ByteSource, part: Part) -> None:
        self._source, self._part = source, part
        self._position = 0
        self.length = len(part.head) + part.end - part.begin
        self.error: AudioError | None = None

    def readable(self) -> bool:  # noqa: D102
        return True

    def seekable(self) -> bool:  # noqa: D102
        return True

    def tell(self) -> int:  # noqa: D102
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:  # noqa: D102
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.length}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, buffer: object) -> int:  # noqa: D102
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        data = self._take(len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _take(self, length: int) -> bytes:
        head = self._part.head
        length = max(0, min(length, self.length - self._position))
        taken = head[self._position : self._position + length]
        if len(taken) == length:
            return taken
        try:
            behind = self._part.begin + max(0, self._position - len(head))
            return taken + self._source.at(behind, length - len(taken))
        except AudioError as error:
            self.error = error
            return taken
