"""Audio files become float32 mono; unreadable ones are refused in one line."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.runtime.audio import Resampler, from_array, info, is_audio, read, read_blocks, stated_duration
from tests.runtime.audio.stand_ins import refusal, tone, write

RATES = (8000, 11025, 16000, 44100, 48000)
FORMATS = {
    "tone.wav": ("WAV", "PCM_16"),
    "tone24.wav": ("WAV", "PCM_24"),
    "float.wav": ("WAV", "DOUBLE"),
    "tone.flac": ("FLAC", "PCM_16"),
    "tone.ogg": ("OGG", "VORBIS"),
    "tone.opus": ("OGG", "OPUS"),
    "tone.mp3": ("MP3", "MPEG_LAYER_III"),
}


def peak(samples: NDArray[np.float32], rate: int) -> tuple[float, float]:
    """Return frequency and amplitude of the strongest sine in the middle second."""
    middle = samples[len(samples) // 2 - rate // 2 :][:rate]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(rate))) * 4 / rate
    return float(np.argmax(spectrum)), float(spectrum.max())


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("rate", RATES)
def test_a_tone_keeps_frequency_amplitude_and_length(tmp_path: Path, rate: int, channels: int) -> None:
    path = write(tmp_path / "tone.wav", tone(rate, channels), rate)
    samples = read(path)
    assert samples.dtype == np.float32 and samples.ndim == 1
    frequency, amplitude = peak(samples, 16000)
    assert frequency == 440
    assert amplitude == pytest.approx(0.5, abs=0.002)
    assert abs(len(samples) - 32000) <= 1


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_and_blocks_join_to_the_whole(tmp_path: Path, name: str) -> None:
    container, subtype = FORMATS[name]
    if subtype not in soundfile.available_subtypes(container):
        pytest.skip(f"this libsndfile has no {subtype}")
    path = tmp_path / name
    with soundfile.SoundFile(path, "w", 48000, 2, format=container, subtype=subtype) as sound:
        for part in np.array_split(tone(48000, 2), 20):  # libsndfile's Vorbis writer overflows on long writes
            sound.write(part)
    # One long read of soundfile's against many short ones: this shows a decoder that loses its state between reads.
    assert np.array_equal(read(path, 48000), from_array(soundfile.read(path, dtype="float32")[0], 48000))
    whole = read(path)
    assert peak(whole, 16000)[0] == 440
    assert peak(whole, 16000)[1] == pytest.approx(0.5, abs=0.02)
    assert abs(len(whole) - 32000) <= 1
    for block_seconds in (0.0101, 0.25, 1.0, 100.0):
        blocks = list(read_blocks(path, block_seconds=block_seconds))
        assert all(len(block) == round(block_seconds * 16000) for block in blocks[:-1])
        assert np.array_equal(np.concatenate(blocks), whole)
    assert (info(path).sample_rate, info(path).channels) == (48000, 2)
    assert info(path).duration == stated_duration(path) == pytest.approx(2.0)
    assert is_audio(path)


def test_channels_are_averaged(tmp_path: Path) -> None:
    left_and_right = np.array([[0.5, -0.25], [1.0, 0.0], [-0.5, 0.5]])
    assert read(write(tmp_path / "two.wav", left_and_right, 16000, "FLOAT")).tolist() == [0.125, 0.5, 0.0]


def test_samples_beyond_full_scale_are_clipped(tmp_path: Path) -> None:
    loud = write(tmp_path / "loud.wav", tone(44100, amplitude=5.0), 44100, "FLOAT")
    samples = read(loud)
    assert samples.max() == 1.0 and samples.min() == -1.0


def test_reading_keeps_a_block_in_memory_not_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "tone.wav", tone(16000, seconds=30.0), 16000)
    reads: list[int] = []
    original = soundfile.SoundFile.read

    def counted(sound: soundfile.SoundFile, out: NDArray[np.float32]) -> object:
        reads.append(len(out))
        return original(sound, out=out)

    monkeypatch.setattr(soundfile.SoundFile, "read", counted)
    blocks = read_blocks(path, block_seconds=0.5)
    next(blocks)
    assert sum(reads) <= 32768
    blocks.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("rate", [*RATES, 22050, 12345, 96000])
@pytest.mark.parametrize("step", [7, 160, 5000])
def test_resampling_does_not_depend_on_the_steps(rate: int, step: int) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, rate // 2 + 13).astype(np.float32)
    whole = Resampler(rate, 16000).step(samples, last=True)
    resampler = Resampler(rate, 16000)
    parts = [resampler.step(samples[begin : begin + step]) for begin in range(0, len(samples), step)]
    parts.append(resampler.step(samples[:0], last=True))
    assert np.array_equal(np.concatenate(parts), whole)
    assert abs(len(whole) - math.ceil(len(samples) * 16000 / rate)) <= 1


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("length", [0, 1, 2, 3, 100])
def test_resampling_of_very_short_streams(rate: int, length: int) -> None:
    samples = Resampler(rate, 16000).step(np.full(length, 0.5, np.float32), last=True)
    assert abs(len(samples) - math.ceil(length * 16000 / rate)) <= 1
    assert np.isfinite(samples).all()


def test_equal_rates_change_nothing() -> None:
    samples = np.linspace(-1, 1, 100, dtype=np.float32)
    assert np.array_equal(Resampler(16000, 16000).step(samples), samples)


def test_resampled_overshoot_is_clipped() -> None:
    square = np.sign(np.sin(np.arange(8000) * 0.05)).astype(np.float32)
    assert np.abs(Resampler(8000, 16000).step(square, last=True)).max() == 1.0


def test_a_file_without_samples_is_silence(tmp_path: Path) -> None:
    path = write(tmp_path / "empty.wav", np.zeros(0), 44100)
    assert list(read_blocks(path)) == []
    assert read(path).shape == (0,) and read(path).dtype == np.float32
    assert info(path).duration == 0.0


def test_a_single_sample_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "one.wav", np.array([0.5]), 16000)
    assert [block.tolist() for block in read_blocks(path)] == [[0.5]]


def test_a_flac_without_a_number_of_samples_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "piped.flac", tone(16000, seconds=5.0), 16000)
    whole = read(path)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the 36 bits of STREAMINFO with the number of samples
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert np.array_equal(read(path), whole)
    assert info(path).duration == 5.0


def wav_with_rate(path: Path, rate: int) -> None:
    write(path, tone(16000), 16000)
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", rate)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "make", "part"),
    [
        ("missing.wav", lambda path: None, "does not exist"),
        ("line\nbreak.wav", lambda path: None, r"line\nbreak.wav"),
        ("folder.wav", lambda path: path.mkdir(), "is a directory"),
        ("nothing.wav", lambda path: path.touch(), "is empty (0 bytes)"),
        ("text.wav", lambda path: path.write_text("not sound\n" * 100), "an unknown format"),
        ("cut.wav", lambda path: path.write_bytes(b"RIFF\x24\0\0\0WAVE"), "an unknown format"),
        ("bytes.raw", lambda path: path.write_bytes(bytes(3200)), "raw PCM"),
        ("zero.wav", lambda path: wav_with_rate(path, 0), "an unknown format"),
        ("slow.wav", lambda path: wav_with_rate(path, 999), "sample rate 999 Hz; wanted 1000 to 768000"),
        ("fast.wav", lambda path: wav_with_rate(path, 768001), "sample rate 768001 Hz"),
        ("n" * 300 + ".wav", lambda path: None, "cannot be opened"),
    ],
)
def test_unreadable_files_are_refused(tmp_path: Path, name: str, make: Callable[[Path], object], part: str) -> None:
    path = tmp_path / name
    make(path)
    for call in (lambda: read(path), lambda: next(read_blocks(str(path))), lambda: info(path)):
        assert part in refusal(call)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "secret.wav", tone(16000), 16000)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert "permission denied" in refusal(lambda: read(path))


def test_a_refusal_of_the_system_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "secret.wav", tone(16000), 16000)

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)
    assert "permission denied" in refusal(lambda: read(path))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_file_with_nan_names_the_second(tmp_path: Path, value: float) -> None:
    samples = tone(8000, 2, seconds=5.0)
    samples[32008, 1] = value
    path = write(tmp_path / "nan.wav", samples, 8000, "FLOAT")
    assert "at 4.001 s" in refusal(lambda: read(path))


@pytest.mark.parametrize("rate", [0, 999, 768001, math.nan])
def test_an_absurd_target_rate_is_refused(tmp_path: Path, rate: int) -> None:
    path = write(tmp_path / "tone.wav", tone(16000), 16000)
    assert "sample rate" in refusal(lambda: read(path, rate))


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_an_absurd_block_length_is_refused(tmp_path: Path, seconds: float) -> None:
    path = write(tmp_path / "tone.wav", tone(16000), 16000)
    with pytest.raises(UsageError, match="block length"):
        next(read_blocks(path, block_seconds=seconds))
