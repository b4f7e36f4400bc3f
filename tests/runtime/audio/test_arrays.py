"""Samples that do not come from a file: arrays and raw pipes."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.runtime.audio import Resampler, from_array, read, read_stream, resampling_delay
from tests.runtime.audio.stand_ins import refusal, tone, write


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.array([0.5, -2.0, 15.0], np.float32), [0.5, -1.0, 1.0]),
        (np.array([0.5, -2.0, 1.001]), [0.5, -1.0, 1.0]),
        (np.array([16384, -32768, 0], np.int16), [0.5, -1.0, 0.0]),
        (np.array([16384, -32768, 0], ">i2"), [0.5, -1.0, 0.0]),
        (np.array([0.5, -0.25], ">f4"), [0.5, -0.25]),
        (np.array([2**30, -(2**31)], np.int32), [0.5, -1.0]),
        (np.array([128, 192, 0], np.uint8), [0.0, 0.5, -1.0]),
        (np.array([[16384, 0], [-32768, -32768]], np.int16), [0.25, -1.0]),
        (np.array([[0.5], [0.25]]), [0.5, 0.25]),
        (np.arange(10, dtype=np.int16)[::5] * 1024, [0.0, 0.15625]),
        ([0.5, 0.25], [0.5, 0.25]),
        (np.zeros(0, np.float32), []),
        (np.zeros((0, 2), np.int16), []),
    ],
)
def test_arrays_become_float32_mono(samples: NDArray[np.generic], expected: list[float]) -> None:
    mono = from_array(samples, 44100)
    assert mono.dtype == np.float32 and mono.tolist() == expected


def test_arrays_are_not_changed() -> None:
    samples = np.array([2.0, 0.5], np.float32)
    from_array(samples, 16000)[:] = 0.0
    assert samples.tolist() == [2.0, 0.5]


def test_an_array_equals_the_file_it_was_read_from(tmp_path: Path) -> None:
    path = write(tmp_path / "tone.wav", tone(44100, 2), 44100)
    samples, rate = soundfile.read(path, dtype="int16")
    assert np.allclose(from_array(samples, rate, to_rate=16000), read(path), atol=1e-7)


@pytest.mark.parametrize(
    ("samples", "rate", "part"),
    [
        (np.zeros(10, np.int64), 16000, "dtype int64"),
        (np.zeros(10, np.complex64), 16000, "dtype complex64"),
        (np.zeros(10, bool), 16000, "dtype bool"),
        (["a"], 16000, "dtype"),
        ([[0.5], [0.5, 0.5]], 16000, "type list"),
        (np.float32(0.5), 16000, "shape []"),
        (np.zeros((2, 3, 4)), 16000, "shape [2, 3, 4]"),
        (np.zeros((2, 16000)), 16000, "shape [2, 16000]"),
        (np.zeros((10, 0)), 16000, "shape [10, 0]"),
        (np.array([0.0, math.nan]), 16000, "NaN or infinity at 0.000 s"),
        (np.array([0.0] * 4000 + [math.inf]), 16000, "NaN or infinity at 0.250 s"),
        (np.zeros(10), 0, "sample rate 0 Hz"),
        (np.zeros(10), -16000, "sample rate -16000 Hz"),
        (np.zeros(10), math.nan, "sample rate nan Hz"),
        (np.zeros(10), "16000", "sample rate '16000' Hz"),
        (np.zeros(10), None, "sample rate None Hz"),
    ],
)
def test_invalid_arrays_are_refused(samples: object, rate: float, part: str) -> None:
    assert part in refusal(lambda: from_array(samples, rate))  # type: ignore[arg-type]


class Dripping(io.RawIOBase):
    """A pipe that returns a few bytes at a time."""

    def __init__(self, content: bytes, drop: int) -> None:
        self.drops = [content[begin : begin + drop] for begin in range(0, len(content), drop)]

    def read(self, size: int = -1) -> bytes:
        """Return the next piece, whatever the size requested."""
        return self.drops.pop(0) if self.drops else b""


@pytest.mark.parametrize("drop", [1, 3, 500])
@pytest.mark.parametrize(
    ("encoding", "dtype"), [("u8", np.uint8), ("s16le", "<i2"), ("s32le", "<i4"), ("f32le", "<f4")]
)
def test_a_pipe_equals_the_array(encoding: str, dtype: str, drop: int) -> None:
    sine = tone(8000, seconds=0.1)[:, 0]
    scale = {"u8": 127, "s16le": 32767, "s32le": 2**31 - 1, "f32le": 1}[encoding]
    samples = (sine * scale + (128 if encoding == "u8" else 0)).astype(dtype)
    for to_rate in (None, 16000):
        pieces = list(read_stream(Dripping(samples.tobytes(), drop), 8000, encoding, to_rate))  # type: ignore[arg-type]
        assert all(len(piece) for piece in pieces)
        assert np.array_equal(np.concatenate(pieces), from_array(samples, 8000, to_rate))


def test_a_pipe_yields_samples_before_it_ends() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream:
        pieces = read_stream(stream, 16000)
        os.write(writing, np.array([16384, -16384], "<i2").tobytes() + b"\x01")
        assert next(pieces).tolist() == [0.5, -0.5]
        os.close(writing)
        assert list(pieces) == []  # the odd byte is dropped


def test_an_empty_pipe_has_no_samples() -> None:
    assert list(read_stream(io.BytesIO(), 44100, to_rate=16000)) == []


@pytest.mark.parametrize("header", [b"RIFF\x24\0\0\0WAVE", b"fLaC", b"OggS", b"ID3\x03\0\0\0\0\0\0"])
def test_an_audio_file_in_a_pipe_is_refused(header: bytes) -> None:
    assert "raw PCM" in refusal(lambda: next(read_stream(io.BytesIO(header + bytes(100)), 16000)))


def test_a_pipe_with_nan_names_the_second() -> None:
    samples = np.array([0.0] * 4000 + [math.nan], "<f4")
    stream = Dripping(samples.tobytes(), 4000)
    assert "at 0.250 s" in refusal(lambda: list(read_stream(stream, 16000, "f32le")))  # type: ignore[arg-type]


def test_a_broken_pipe_is_reported() -> None:
    class Broken(Dripping):
        def read(self, size: int = -1) -> bytes:
            raise OSError(5, "Input/output error")

    assert "Input/output error" in refusal(lambda: list(read_stream(Broken(b"", 1), 16000)))  # type: ignore[arg-type]


def test_an_unknown_encoding_or_rate_of_a_pipe_is_refused() -> None:
    with pytest.raises(UsageError, match="s16le"):
        next(read_stream(io.BytesIO(bytes(10)), 16000, "mp3"))
    assert "sample rate 0 Hz" in refusal(lambda: next(read_stream(io.BytesIO(bytes(10)), 0)))


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
@pytest.mark.parametrize("quality", ["QQ", "LQ", "HQ"])
def test_the_delay_of_a_resampler_is_what_has_not_come_out_yet(rate: int, quality: str) -> None:
    resampler = Resampler(rate, 16000, quality)
    given = returned = 0
    for _ in range(50):
        block = np.zeros(round(0.03 * rate), np.float32)
        given, returned = given + len(block), returned + len(resampler.step(block))
        assert resampler.delay_seconds == pytest.approx(given / rate - returned / 16000, abs=2e-4)
    mean = resampling_delay(rate, 16000, quality)
    assert (mean < 0.001) == (quality == "QQ") and 0.0 <= mean < 0.1
    assert resampling_delay(16000) == Resampler(16000).delay_seconds == 0.0
