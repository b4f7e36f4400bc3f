"""Parts of files, decoded by libsndfile."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.runtime.audio.containers.parts import ByteSource, Damage, Part, PartFile

_FRAMES_PER_READ = 16384
_UNCOUNTED = 2**62  # frames; libsndfile returns the largest integer if the header of a FLAC file has no number


class Piece(NamedTuple):
    """Decoded frames, float [n, channels], with their rate in Hz, and whether they were 32-bit integers."""

    frames: NDArray[np.floating]
    rate: int
    is_32_bit: bool = False


class NotReadableError(Exception):
    """libsndfile does not read this."""


class ForwardFile(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is only read forwards.

    In a seekable file, soundfile seeks to the current position after every read. That makes the MP3 decoder lose the
    bits that later frames borrow from earlier ones, so that every block begins with a defect; and it fails at the end
    of a FLAC file whose header does not contain the number of samples.
    """

    def seekable(self) -> bool:  # noqa: D102
        return False

    @property
    def count(self) -> int | None:
        """Number of frames by the header; None if it does not say."""
        return None if self.frames >= _UNCOUNTED else int(self.frames)


def open_part(source: ByteSource, part: Part) -> ForwardFile:
    """Open a part.

    Raises:
        NotReadableError: Its format is unknown, or it is cut off in its header.
    """
    whole = part.begin == 0 and part.end == source.size and not part.head
    try:
        if whole and os.name == "posix":
            descriptor = os.dup(source.file.fileno())  # older versions close what they cannot read
            os.lseek(descriptor, 0, os.SEEK_SET)
            return ForwardFile(descriptor, closefd=True)
        with _interrupts():
            return ForwardFile(PartFile(source, part))
    except (soundfile.SoundFileError, OSError):
        # libsndfile's own reason misleads: it calls a text file named .mp3 a file that does not exist.
        raise NotReadableError from None


def decode_part(source: ByteSource, part: Part) -> Iterator[Piece | Damage]:
    """Decode a part, up to its damage if there is some, and then yield the damage.

    Raises:
        NotReadableError: As for `open_part`.
    """
    with open_part(source, part) as sound:
        found, damage = 0, list(part.damage)
        is_32_bit = sound.subtype == "PCM_32"
        while True:
            frames, failed = _read(sound)
            if len(frames):
                yield Piece(frames, sound.samplerate, is_32_bit)
            found += len(frames)
            if failed:
                at_end = found == sound.count
                reason = "what follows there has an unknown format" if at_end else "it cannot be decoded any further"
                damage.append(Damage(reason))
            if failed or not len(frames):
                break
        expected = part.frames if part.frames is not None else sound.count
        slack = 0 if part.frames is None else sound.samplerate // 4  # what encoders add before and after
        if not damage and expected is not None and found < expected - slack:
            damage.append(Damage("it is cut off"))
        yield from damage


def _read(sound: ForwardFile) -> tuple[NDArray[np.float32], bool]:
    """Return the next frames, and whether the decoder failed behind them."""
    frames = np.full((_FRAMES_PER_READ, sound.channels), np.nan, np.float32)
    try:
        with _interrupts():
            read: NDArray[np.float32] = sound.read(out=frames)
    except soundfile.SoundFileError:  # it does not say how far it came
        missing = np.isnan(frames[:, 0])
        return frames[: int(np.argmax(missing)) if missing.any() else len(frames)], True
    return read, False


@contextmanager
def _interrupts() -> Iterator[None]:
    """Raise what a signal handler raised while libsndfile called back, such as KeyboardInterrupt.

    A callback cannot raise through C: the exception would only be printed, and the data taken for the end of the file.
    Handlers run on the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, raised = sys.unraisablehook, list[BaseException]()

    def keep(problem: Any) -> None:
        if problem.exc_value is None or isinstance(problem.exc_value, Exception):
            before(problem)
        else:
            raised.append(problem.exc_value)

    sys.unraisablehook = keep
    try:
        yield
    finally:
        sys.unraisablehook = before
        if raised:
            raise raised[0]
