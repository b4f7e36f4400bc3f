"""PCM from a pipe: bytes that arrive, WAV headers on the way, and frames as soon as they are complete."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import AudioError, UsageError
from edgespeech.runtime.audio.containers.chunks import TAGS, is_chunk_name
from edgespeech.runtime.audio.containers.kinds import SNIFFED_BYTES, recognise
from edgespeech.runtime.audio.raw import RawDecoder, RawFormat

_BYTES_PER_READ = 65536
_UNKNOWN_SIZE = 0x7FFF_F000  # from here on, a program that writes to a pipe does not know its size
_MAX_HEADER = 1 << 20
_PCM, _FLOAT, _ALAW, _MULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE


class Arrivals:
    """Bytes of a pipe, as they arrive; some can be looked at and left in it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._read = getattr(stream, "read1", stream.read)
        self._held = b""
        self._ended = False

    def peek(self, length: int) -> bytes:
        """Return the next bytes without taking them; fewer only at the end."""
        while len(self._held) < length and not self._ended:
            self._receive()
        return self._held[:length]

    def take(self, length: int) -> bytes:
        """Take the next bytes; fewer only at the end."""
        taken = self.peek(length)
        self._held = self._held[len(taken) :]
        return taken

    def available(self) -> bytes:
        """Return what is available without taking it; wait for the first byte, and return nothing at the end."""
        self.peek(1)
        return self._held

    def take_some(self, limit: int | None = None) -> bytes:
        """Take what is available, at most ``limit`` bytes, without waiting for a full buffer; nothing at the end."""
        available = len(self.available())
        return self.take(available if limit is None else min(available, limit))

    def _receive(self) -> None:
        try:
            received = self._read(_BYTES_PER_READ)
        except OSError as error:
            raise AudioError(
                f"standard input broke off ({error.strerror}); wanted audio; start the recorder again"
            ) from None
        self._held += received
        self._ended = not received


def wav_header(arrivals: Arrivals) -> tuple[RawFormat, int | None] | None:
    """Take the header of a WAV file with PCM from a pipe.

    Returns:
        The format of the samples that follow and their bytes, None if the header does not know them; or None, with
        nothing taken, if this is another kind of WAV file.
    """
    taken, sample_format = 12, None
    while taken < _MAX_HEADER:
        header = arrivals.peek(taken + 8)[taken:]
        if len(header) < 8:
            return None
        identifier, size = header[:4], int.from_bytes(header[4:], "little")
        taken += 8
        if identifier == b"data":
            if sample_format is None:
                return None
            arrivals.take(taken)
            return sample_format, None if size == 0 or size >= _UNKNOWN_SIZE else size
        if identifier == b"fmt ":
            sample_format = _wav_format(arrivals.peek(taken + size)[taken:])
        taken += size + size % 2
    return None


def skip_chunks(arrivals: Arrivals, audio_bytes: int) -> Literal["another", "end", "unknown"]:
    """Skip what may stand behind the samples of a WAV file, up to another recording or the end.

    Returns:
        Whether another recording follows, nothing does, or something that is neither a chunk nor a tag.
    """
    if audio_bytes % 2 and recognise(arrivals.peek(SNIFFED_BYTES)) is None:
        arrivals.take(1)
    while len(head := arrivals.peek(SNIFFED_BYTES)) >= 8 and any(head) and not head.startswith(TAGS):
        if recognise(head) is not None:
            return "another"
        size = int.from_bytes(head[4:8], "little")
        if not is_chunk_name(head[:4]) or size > _MAX_HEADER:
            return "unknown"
        arrivals.take(8 + size + size % 2)
    return "end"


def decode_arrivals(
    arrivals: Arrivals, sample_format: RawFormat, length: int | None = None
) -> Iterator[NDArray[np.floating]]:
    """Yield float [n, channels] as bytes arrive, up to ``length`` bytes; an incomplete last frame is dropped."""
    decoder, left = RawDecoder(sample_format), length
    while left is None or left > 0:
        taken = arrivals.take_some(left)
        if not taken:
            return
        left = None if left is None else left - len(taken)
        if len(frames := decoder.step(taken)):
            yield frames


def _wav_format(content: bytes) -> RawFormat | None:
    if len(content) < 16:
        return None
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", content)
    if tag == _EXTENSIBLE and len(content) >= 26:
        tag = int.from_bytes(content[24:26], "little")
    encoding = {
        (_PCM, 8): "u8", (_PCM, 16): "s16le", (_PCM, 24): "s24le", (_PCM, 32): "s32le",
        (_FLOAT, 32): "f32le", (_FLOAT, 64): "f64le", (_ALAW, 8): "alaw", (_MULAW, 8): "mulaw",
    }.get((tag, bits))  # fmt: skip
    if encoding is None:
        return None
    try:
        return RawFormat(encoding, rate, channels)
    except UsageError:
        return None
