"""Samples without a header, from a pipe or a file: their format is said by the caller."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.runtime.audio.arrays import to_float
from edgespeech.runtime.audio.channels import MAX_CHANNELS
from edgespeech.runtime.audio.resampler import MAX_RATE, MIN_RATE, SAMPLE_RATE

# Type of one sample in numpy; 24-bit samples and the two telephone codes have none.
_TYPES = {"u8": "u1", "s8": "i1", "s16": "i2", "s24": "", "s32": "i4", "f32": "f4", "f64": "f8"}
_CODES = ("mulaw", "alaw")
ENCODINGS = (
    tuple(name + order for name in _TYPES for order in (("",) if name in ("u8", "s8") else ("le", "be"))) + _CODES
)

STANDARD_INPUT = "-"
_ENDINGS = (".raw", ".pcm")


def may_be_raw(file: str) -> bool:
    """Whether a file is standard input, or one whose name says that its samples have no header."""
    return file == STANDARD_INPUT or file.lower().endswith(_ENDINGS)


@dataclass(frozen=True)
class RawFormat:
    """What samples without a header are.

    Attributes:
        encoding: One of `ENCODINGS`, such as ``s16le``.
        sample_rate: Hz.
        channels: Number of interleaved channels.

    Raises:
        UsageError: An unknown encoding, or a rate or number of channels out of range.
    """

    encoding: str = "s16le"
    sample_rate: float = SAMPLE_RATE
    channels: int = 1

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise UsageError(f"raw audio format {self.encoding!r}; wanted one of {', '.join(ENCODINGS)}")
        if not MIN_RATE <= self.sample_rate <= MAX_RATE:
            raise UsageError(f"raw audio: sample rate {self.sample_rate!r} Hz; wanted {MIN_RATE} to {MAX_RATE}")
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise UsageError(f"raw audio with {self.channels} channels; wanted 1 to {MAX_CHANNELS}")

    @classmethod
    def parse(cls, text: str) -> RawFormat:
        """Read ``FORMAT:RATE:CHANNELS``, such as ``s16le:8000:2``; one channel if the last part is missing.

        Raises:
            UsageError: The text is something else.
        """
        encoding, *numbers = text.strip().lower().split(":")
        try:
            rate, channels = (*map(int, numbers), 1)[:2] if len(numbers) in (1, 2) else (0, 0)
        except ValueError:
            rate = channels = 0
        if not channels or not rate:
            raise UsageError(f"raw audio {text!r}; wanted FORMAT:RATE:CHANNELS, for example s16le:16000:1")
        return cls(encoding, rate, channels)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        if self.encoding in _CODES:
            return self.channels
        return int(self.encoding.strip("usflbe")) // 8 * self.channels

    def seconds(self, size: int) -> float:
        """Return how long this number of bytes lasts."""
        return size / self.frame_bytes / self.sample_rate

    @property
    def is_32_bit(self) -> bool:
        """Whether samples are 32-bit integers."""
        return self.encoding.startswith("s32")

    def decode(self, data: bytes) -> NDArray[np.floating]:
        """Return whole frames as float [n, channels], where 1 is full scale."""
        if self.encoding in _CODES:
            samples = _CODE_TABLES[self.encoding][np.frombuffer(data, np.uint8)]
        elif self.encoding.startswith("s24"):
            samples = _from_24_bits(np.frombuffer(data, np.uint8), self.encoding.endswith("be"))
        elif self.encoding == "s8":
            samples = np.frombuffer(data, np.int8).astype(np.float32) / np.float32(128.0)
        else:
            order = ">" if self.encoding.endswith("be") else "<"
            samples = to_float(np.frombuffer(data, order + _TYPES[self.encoding.removesuffix("le").removesuffix("be")]))
        return samples.reshape(-1, self.channels)


class RawDecoder:
    """Decodes bytes that may be cut anywhere; an incomplete frame waits for the next piece."""

    def __init__(self, sample_format: RawFormat) -> None:
        self._format, self._rest = sample_format, b""

    def step(self, data: bytes) -> NDArray[np.floating]:
        """Return the frames that are complete now as float [n, channels], where 1 is full scale."""
        received = self._rest + data
        whole = len(received) - len(received) % self._format.frame_bytes
        self._rest = received[whole:]
        return self._format.decode(received[:whole])


def _from_24_bits(data: NDArray[np.uint8], big_endian: bool) -> NDArray[np.float32]:
    triples = data.reshape(-1, 3)[:, :: -1 if big_endian else 1].astype(np.int32)
    integers = triples[:, 0] << 8 | triples[:, 1] << 16 | triples[:, 2] << 24
    return integers.astype(np.float32) / np.float32(2.0**31)


def _mulaw() -> NDArray[np.float32]:
    """Return the samples of the 256 codes of ITU-T G.711 mu-law."""
    codes = ~np.arange(256) & 0xFF
    magnitude = ((codes & 15) * 2 + 33 << (codes >> 4 & 7)) - 33
    return (np.where(codes & 0x80, -magnitude, magnitude) * 4 / 32768.0).astype(np.float32)


def _alaw() -> NDArray[np.float32]:
    """Return the samples of the 256 codes of ITU-T G.711 A-law."""
    codes = np.arange(256) ^ 0x55
    exponent, mantissa = codes >> 4 & 7, (codes & 15) * 16 + 8
    magnitude = np.where(exponent > 0, (mantissa + 256) << np.maximum(exponent - 1, 0), mantissa)
    return (np.where(codes & 0x80, magnitude, -magnitude) / 32768.0).astype(np.float32)


_CODE_TABLES = {"mulaw": _mulaw(), "alaw": _alaw()}
