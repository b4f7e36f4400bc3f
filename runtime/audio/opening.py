"""Files and pipes become bytes with random access; what cannot be opened is refused in one line."""

from __future__ import annotations

import contextlib
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from edgespeech.errors import AudioError
from edgespeech.runtime.audio.containers.kinds import READABLE, SNIFFED_BYTES, recognise
from edgespeech.runtime.audio.containers.parts import ByteSource
from edgespeech.runtime.audio.pcm_stream import Arrivals

STANDARD_INPUT = "standard input"
_BYTES_PER_COPY = 1 << 20


def name_of(path: str | Path) -> str:
    """Return how messages call a file: quoted and escaped, because its name may contain a line break."""
    return f"audio file {str(path)!r}"


def is_audio(path: str | Path) -> bool:
    """Decide by its first bytes whether a file is of a kind that can hold audio; a file that cannot be read may be."""
    try:
        with open(path, "rb") as file:
            return recognise(file.read(SNIFFED_BYTES)) is not None
    except OSError:
        return True


@contextlib.contextmanager
def open_file(path: str | Path) -> Iterator[ByteSource]:
    """Open a file; a pipe with a name is copied to a temporary file first.

    Raises:
        AudioError: The file is missing, empty, a directory or not readable.
    """
    with contextlib.ExitStack() as stack:
        yield ByteSource(stack.enter_context(_open(path)))


@contextlib.contextmanager
def spool(arrivals: Arrivals) -> Iterator[ByteSource]:
    """Copy the rest of a pipe to a temporary file.

    Raises:
        AudioError: The pipe breaks, or the disk is full.
    """
    with tempfile.TemporaryFile(buffering=0) as file:
        try:
            while received := arrivals.take_some():
                file.write(received)
        except OSError as error:
            raise AudioError(
                f"{STANDARD_INPUT} does not fit into {tempfile.gettempdir()} ({error.strerror}); "
                "wanted room for a copy; set TMPDIR to another folder"
            ) from None
        yield ByteSource(file)


@contextlib.contextmanager
def _open(path: str | Path) -> Iterator[BinaryIO]:
    name = name_of(path)
    try:
        status = Path(path).stat()
        if stat.S_ISDIR(status.st_mode):
            raise AudioError(f"{name} is a directory; wanted an audio file; give the files inside it")
        if stat.S_ISREG(status.st_mode) and status.st_size == 0:
            raise AudioError(f"{name} is empty (0 bytes); wanted {READABLE}; record or copy it again")
        file = open(path, "rb", 0)
    except FileNotFoundError:
        raise AudioError(f"{name} does not exist; wanted an audio file; check the path") from None
    except PermissionError:
        raise AudioError(
            f"{name} may not be read (permission denied); wanted a readable file; change its mode"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioError(f"{name} cannot be opened ({reason}); wanted an audio file; check the path") from None
    with file:
        if file.seekable():
            yield file
            return
        with tempfile.TemporaryFile(buffering=0) as copy:
            while received := file.read(_BYTES_PER_COPY):
                copy.write(received)
            yield copy
