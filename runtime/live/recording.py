"""The sound of a live session as a WAV file that can be heard at any moment, even after kill -9."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import UsageError

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_MOST_BYTES = 2**32 - 1 - _HEADER.size  # sizes in a WAV file have 32 bits: 37 hours at 16 kHz
_FULL_SCALE = 2**15


class Recording:
    """A new 16-bit mono WAV file whose header is right after every block.

    Args:
        path: Ends in .wav; must not exist.
        sample_rate: Hertz.

    Raises:
        UsageError: Another ending, a file that exists, or one that cannot be written.
    """

    def __init__(self, path: str | Path, sample_rate: int) -> None:
        """Begin the file."""
        self.path, self.sample_rate = Path(path), sample_rate
        if self.path.suffix.lower() != ".wav":
            raise UsageError(f"cannot record to {str(path)!r}: the name must end in .wav")
        self._bytes, self._failed = 0, False
        try:
            self._file = open(self.path, "xb", buffering=0)
        except FileExistsError:
            raise UsageError(f"cannot record to {str(path)!r}: it exists already; give a new file") from None
        except OSError as error:
            raise UsageError(f"cannot record to {str(path)!r}: {error.strerror}; give another file") from None
        if remark := self.add(np.zeros(0, np.float32)):
            self._file.close()
            self.path.unlink()
            raise UsageError(remark)

    def add(self, samples: NDArray[np.float32]) -> str:
        """Write float32 [n] in [-1, 1], as `as_recorded` returns it.

        Returns:
            A remark for people when that fails; the file then ends there and stays what it is. Else nothing.
        """
        if self._failed:
            return ""
        data = np.round(samples * _FULL_SCALE).clip(-_FULL_SCALE, _FULL_SCALE - 1).astype("<i2").tobytes()
        try:
            if self._bytes + len(data) > _MOST_BYTES:
                raise OSError(0, "a WAV file holds no more")
            self._file.seek(_HEADER.size + self._bytes)
            self._write(data)
            self._file.seek(0)
            self._write(self._header(self._bytes + len(data)))
        except OSError as error:
            self._failed = True
            seconds = self._bytes / 2 / self.sample_rate
            return f"cannot record to {str(self.path)!r}: {error.strerror}; it ends at {seconds:.1f} s"
        self._bytes += len(data)
        return ""

    def close(self) -> None:
        """The file is whole already."""
        self._file.close()

    def _write(self, data: bytes) -> None:
        while data:
            data = data[self._file.write(data) :]

    def _header(self, size: int) -> bytes:
        rate = self.sample_rate
        return _HEADER.pack(
            b"RIFF", _HEADER.size - 8 + size, b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16, b"data", size
        )


def as_recorded(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a reader of the file gets: float32 [n] rounded to 16 bits. Who hears this hears what a replay will give."""
    rounded = np.round(samples * _FULL_SCALE).clip(-_FULL_SCALE, _FULL_SCALE - 1) / _FULL_SCALE
    return rounded.astype(np.float32, copy=False)
