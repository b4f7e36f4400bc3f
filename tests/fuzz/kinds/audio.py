"""Audio files of every format that libsndfile and PyAV write, and samples without a header."""

from __future__ import annotations

import io
from pathlib import Path
from random import Random
from typing import Any

import av
import numpy as np

from edgespeech.runtime.audio import RawFormat, info, is_audio, read_blocks
from edgespeech.runtime.audio.containers.ogg import _PAGE, _with_checksum
from tests.fuzz.kind import Kind
from tests.fuzz.mutators import mutate_bytes
from tests.runtime.audio.stand_ins import babble, encode
from tests.runtime.audio.test_foreign import FILES
from tests.runtime.audio.test_matrix import FORMATS

_SECONDS = 0.25
_FOREIGN_RATE = 48000
_MATLAB = b"MATLAB 5.0 MAT-file"
_SERIAL = b"\1\0\0\0"


class Recordings(Kind[tuple[bytes, str | None]]):
    """Whole files with damage, read as ``transcribe`` does; a few as samples of a given format."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        sound = babble(16000, 1, _SECONDS)
        written = (encode(container, subtype, sound, 16000) for container, subtype, _, _ in FORMATS.values())
        self._seeds = [_repair_ogg(_without_time(data)) for data in written]
        self._seeds += [encode("WAV", "PCM_16", babble(8000, 3, _SECONDS), 8000)]
        self._seeds += [_encode_foreign(codec, form) for _, codec, form, _ in FILES if codec in av.codecs_available]

    def make(self, chance: Random) -> tuple[bytes, str | None]:
        """Damage a file, most often in place; sometimes join it with another."""
        data = mutate_bytes(chance.choice(self._seeds), chance, self._seeds, in_place=0.5)
        if chance.random() < 0.05:
            data += chance.choice(self._seeds)
        if chance.random() < 0.7:
            data = _repair_ogg(data)
        raw = chance.choice(("s16le:16000:1", "f32be:48000:2", "u8:8000:1", "alaw:8000:1"))
        return data, raw if chance.random() < 0.05 else None

    def run(self, given: tuple[bytes, str | None]) -> None:
        """Look at it, and read all of it in blocks."""
        data, raw = given
        path = self.folder / "sound"
        path.write_bytes(data)
        if raw is None and is_audio(path):
            info(path)
        for block in read_blocks(path, raw=None if raw is None else RawFormat.parse(raw), warn=lambda message: None):
            assert block.dtype == np.float32 and np.isfinite(block).all()


def _without_time(data: bytes) -> bytes:
    """Replace the time of writing, which libsndfile puts into the chunk PEAK and the head of MATLAB's files."""
    if (at := data.find(b"PEAK")) >= 0:
        data = data[: at + 12] + bytes(4) + data[at + 16 :]
    return _MATLAB.ljust(100) + data[100:] if data.startswith(_MATLAB) else data


def _repair_ogg(data: bytes) -> bytes:
    """Give the pages of an Ogg file the same serial number and checksums that fit, without which they are dropped."""
    pages = data.split(_PAGE)
    for number, page in enumerate(pages[1:], start=1):
        content = _PAGE + page
        if len(content) > 27 and content[26] + 27 + sum(content[27 : 27 + content[26]]) == len(content):
            pages[number] = _with_checksum(content[:14] + _SERIAL + content[18:])[len(_PAGE) :]
    return _PAGE.join(pages)


def _encode_foreign(codec: str, form: str) -> bytes:
    samples = np.round(babble(_FOREIGN_RATE, 1, _SECONDS) * 32767).astype(np.int16)
    frame: Any = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = _FOREIGN_RATE
    target = io.BytesIO()
    with av.open(target, "w", format=form, options={"fflags": "+bitexact"}) as file:
        stream: Any = file.add_stream(codec, rate=_FOREIGN_RATE)
        stream.layout, stream.bit_rate = "mono", 128000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return target.getvalue()
