"""The audio of a live session as a WAV file that is valid at any moment, even after kill -9."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.runtime.files import require_new

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_MAX_BYTES = 2**32 - 1 - _HEADER.size  # sizes in a WAV file have 32 bits: 37 hours at 16 kHz
_FULL_SCALE = 2**15


def require_record_file(path: str | Path, overwrite: bool = False) -> None:
    """Check the ending of a file for audio, and that nothing is lost in it.

    Raises:
        UsageError: Another ending, or a file that exists.
    """
    if Path(path).suffix.lower() != ".wav":
        raise UsageError(f"cannot record to {str(path)!r}: the name must end in .wav")
    require_new(Path(path), overwrite)


class Recording:
    """A new 16-bit mono WAV file whose header is correct after every block.

    Raises:
        UsageError: As in `require_record_file`, or the file cannot be written.
    """

    def __init__(self, path: str | Path, sample_rate: int, overwrite: bool = False) -> None:
        self.path, self.sample_rate = Path(path), sample_rate
        require_record_file(path, overwrite)
        self._bytes, self._failed = 0, False
        is_new = not self.path.exists()
        try:
            self._file = open(self.path, "xb" if is_new else "wb", buffering=0)
        except OSError as error:
            raise UsageError(f"cannot record to {str(path)!r}: {error.strerror}; give another file") from None
        if message := self.add(np.zeros(0, np.float32)):
            self._file.close()
            if is_new:
                self.path.unlink()
            raise UsageError(message)

    def add(self, samples: NDArray[np.float32]) -> str:
        """Write float32 [n] in [-1, 1], as `round_to_16_bits` returns it; return a status message if that fails.

        After a failure the file ends and stays valid.
        """
        if self._failed:
            return ""
        data = np.round(samples * _FULL_SCALE).clip(-_FULL_SCALE, _FULL_SCALE - 1).astype("<i2").tobytes()
        try:
            if self._bytes + len(data) > _MAX_BYTES:
                raise OSError(0, "a WAV file cannot be longer")
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
        """Close the file, which is complete already."""
        self._file.close()

    def _write(self, data: bytes) -> None:
        while data:
            data = data[self._file.write(data) :]

    def _header(self, size: int) -> bytes:
        rate = self.sample_rate
        return _HEADER.pack(
            b"RIFF", _HEADER.size - 8 + size, b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16, b"data", size
        )


def round_to_16_bits(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round float32 [n] to what a reader of the file gets, so that a replay gives the same text."""
    rounded = np.round(samples * _FULL_SCALE).clip(-_FULL_SCALE, _FULL_SCALE - 1) / _FULL_SCALE
    return rounded.astype(np.float32, copy=False)
