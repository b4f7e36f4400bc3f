"""Every format with every rate, number of channels and kind of damage: no audio is lost without an error."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.runtime.audio import from_array, info, read
from tests.runtime.audio.stand_ins import babble, encode, likeness, put, read_all

SECONDS = 3.0
RATES = (8000, 11025, 16000, 44100, 48000)
CHANNELS = (1, 2, 6)
# Container, subtype, least correlation with the sound before encoding, and seconds that a damaged end may cost.
FORMATS = {
    "wav": ("WAV", "PCM_16", 0.999, 0.01),
    "wav-8-bit": ("WAV", "PCM_U8", 0.99, 0.01),
    "wav-24-bit": ("WAV", "PCM_24", 0.999, 0.01),
    "wav-float": ("WAVEX", "FLOAT", 0.999, 0.01),
    "wav-mu-law": ("WAV", "ULAW", 0.99, 0.01),
    "wav-adpcm": ("WAV", "IMA_ADPCM", 0.98, 0.5),
    "rf64": ("RF64", "PCM_16", 0.999, 0.01),
    "w64": ("W64", "PCM_16", 0.999, 0.01),
    "aiff": ("AIFF", "PCM_16", 0.999, 0.01),
    "au": ("AU", "PCM_16", 0.999, 0.01),
    "caf": ("CAF", "PCM_16", 0.999, 0.1),
    "nist": ("NIST", "PCM_16", 0.999, 0.1),
    "flac": ("FLAC", "PCM_16", 0.999, 0.7),
    "vorbis": ("OGG", "VORBIS", 0.9, 2.2),
    "opus": ("OGG", "OPUS", 0.9, 1.1),
    "mp3": ("MP3", "MPEG_LAYER_III", 0.9, 0.3),
}
OPUS_RATES = (8000, 16000, 48000)


CASES = [
    (name, rate, channels)
    for name, (_, subtype, _, _) in FORMATS.items()
    for rate in (OPUS_RATES if subtype == "OPUS" else RATES)
    for channels in (CHANNELS[:2] if subtype in ("MPEG_LAYER_III", "IMA_ADPCM") else CHANNELS)
]


@cache
def encoded(name: str, rate: int, channels: int) -> bytes:
    container, subtype, _, _ = FORMATS[name]
    if subtype not in soundfile.available_subtypes(container):
        pytest.skip(f"this libsndfile has no {subtype}")
    return encode(container, subtype, babble(rate, channels, SECONDS), rate)


@cache
def wanted(rate: int) -> NDArray[np.float32]:
    return from_array(babble(rate, seconds=SECONDS), rate, 16000)


@pytest.mark.parametrize(("name", "rate", "channels"), CASES)
def test_a_whole_file_is_read_in_full(tmp_path: Path, name: str, rate: int, channels: int) -> None:
    path = tmp_path / "sound.bin"  # the name says nothing
    path.write_bytes(encoded(name, rate, channels))
    found, damage = read_all(path)
    assert damage is None
    assert len(found) / 16000 == pytest.approx(SECONDS, abs=0.13)  # ADPCM fills its last block
    assert likeness(found, wanted(rate)) > FORMATS[name][2]
    facts = info(path)
    assert facts.duration == pytest.approx(SECONDS, abs=0.13)
    assert (facts.channels, facts.sample_rate) == (channels, 48000 if name == "opus" else rate)


@pytest.mark.parametrize("lost", [0.02, 0.3])
@pytest.mark.parametrize(("name", "rate", "channels"), CASES)
def test_a_file_that_is_cut_off_is_read_up_to_there(
    tmp_path: Path, name: str, rate: int, channels: int, lost: float
) -> None:
    content = encoded(name, rate, channels)
    path = tmp_path / "cut.bin"
    path.write_bytes(content[: int(len(content) * (1 - lost))])
    found, damage = read_all(path)
    assert damage is not None and f"damaged at {damage.second:.2f} s" in str(damage)
    assert len(found) / 16000 == pytest.approx(damage.second, abs=0.01)
    assert SECONDS * (1 - lost) - FORMATS[name][3] - 0.1 < damage.second < SECONDS + 0.13
    if len(found) > 1600:
        assert likeness(found, wanted(rate)) > FORMATS[name][2] - 0.05


@pytest.mark.parametrize(("name", "rate", "channels"), CASES)
def test_files_that_were_joined_are_read_one_after_the_other(
    tmp_path: Path, name: str, rate: int, channels: int
) -> None:
    content = encoded(name, rate, channels)
    path = tmp_path / "joined.bin"
    path.write_bytes(content + content)
    found, damage = read_all(path)
    assert damage is None
    assert len(found) / 16000 == pytest.approx(2 * SECONDS, abs=0.25)
    first = read(write(tmp_path / "one.bin", content))
    assert likeness(found, wanted(rate)) > FORMATS[name][2]
    assert likeness(found[len(first) :], wanted(rate)) > FORMATS[name][2] - 0.05
    assert info(path).duration == pytest.approx(2 * SECONDS, abs=0.25)


# Where a recorder that was killed leaves sizes that it would have written at the end.
SIZES = {
    "wav": (b"data", "<I", 0, (4,)),
    "wav-float": (b"data", "<I", 0, (4,)),
    "w64": (b"data", "<Q", 12, (16,)),
    "aiff": (b"SSND", ">I", 0, (4,)),
    "caf": (b"data", ">q", 0, ()),
}


@pytest.mark.parametrize("stated", [0, 1000])
@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("name", [*SIZES, "rf64", "au"])
def test_a_header_with_too_small_a_size_does_not_matter(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, silent: bool, stated: int
) -> None:
    container, subtype, _, _ = FORMATS[name]
    sound = np.concatenate([np.zeros((16000 * silent, 1)), babble(16000)])
    content = encode(container, subtype, sound, 16000)
    if name == "rf64":
        offset = content.index(b"ds64") + 16
        content = put(put(content, offset, "<Q", stated), offset + 8, "<Q", 0)
    elif name == "au":
        content = put(content, 8, ">I", stated)
    else:
        identifier, form, skipped, totals = SIZES[name]
        content = put(content, content.index(identifier) + 4 + skipped, form, stated)
        for offset in totals:
            content = put(content, offset, form, 0)
    path = write(tmp_path / "killed.bin", content)
    found, damage = read_all(path)
    assert damage is None
    assert np.allclose(found, sound[:, 0], atol=1e-4)
    assert "read to its end" in caplog.text
    assert info(path).duration == len(sound) / 16000


@pytest.mark.parametrize(
    "behind", [b"", b"LIST\x1a\0\0\0INFOISFT\x0e\0\0\0Lavf58.29.100\0", b"TAG" + bytes(125), bytes(400)]
)
@pytest.mark.parametrize("before", [b"", b"JUNK\x04\0\0\0abcd", b"LIST\x06\0\0\0INFOxy"])
def test_chunks_around_the_audio_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, before: bytes, behind: bytes
) -> None:
    content = encode("WAV", "PCM_16", babble(16000), 16000)
    path = write(tmp_path / "tags.wav", content[:12] + before + content[12:] + behind)
    assert np.array_equal(read(path), read(write(tmp_path / "plain.wav", content)))
    assert caplog.text == ""
    killed = put(content[:12] + before + content[12:], 40 + len(before), "<I", 0)
    assert len(read(write(tmp_path / "killed.wav", killed))) == len(babble(16000))


def test_a_size_that_only_a_pipe_writes_is_no_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = encode("WAV", "PCM_16", babble(16000), 16000)
    for size in (0xFFFF_FFFF, 0x7FFF_F000, 0x8000_0000):
        path = write(tmp_path / f"{size}.wav", put(content, 40, "<I", size))
        assert len(read(path)) == len(babble(16000))
    assert caplog.text == ""


def test_kinds_that_were_joined_are_all_read(tmp_path: Path) -> None:
    sound = babble(16000)
    kinds = [("WAV", "PCM_16"), ("AIFF", "PCM_16"), ("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("FLAC", "PCM_16")]
    content = b"".join(encode(*kind, sound, 16000) for kind in kinds)
    found, damage = read_all(write(tmp_path / "all.bin", content))
    assert damage is None
    assert len(found) == pytest.approx(len(kinds) * len(sound), abs=10)


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e30])
@pytest.mark.parametrize("second", [0.0, 1.0, 2.9])
def test_nan_ends_the_recording_there(tmp_path: Path, second: float, value: float) -> None:
    sound = babble(16000, 2)
    sound[round(second * 16000), 1] = value
    found, damage = read_all(write(tmp_path / "nan.wav", encode("WAV", "FLOAT", sound, 16000)))
    assert damage is not None and damage.second == pytest.approx(second, abs=1e-4)
    assert len(found) == round(second * 16000)


def test_a_flac_block_that_is_damaged_ends_the_recording_there(tmp_path: Path) -> None:
    content = bytearray(encode("FLAC", "PCM_16", babble(16000), 16000))
    content[len(content) // 2] ^= 255
    found, damage = read_all(write(tmp_path / "damaged.flac", bytes(content)))
    assert damage is not None and 1.0 < damage.second < 1.9
    right = len(found) - 8192  # older versions of libsndfile notice it a block later
    assert np.allclose(found[:right], babble(16000)[:right, 0], atol=1e-4)


def test_rates_and_channels_may_change_between_joined_files(tmp_path: Path) -> None:
    content = encode("WAV", "PCM_16", babble(8000), 8000) + encode("WAV", "PCM_16", babble(44100, 2), 44100)
    found, damage = read_all(write(tmp_path / "joined.wav", content))
    assert damage is None and len(found) == pytest.approx(6 * 16000, abs=2)
    assert likeness(found[48000:], wanted(44100)) > 0.99


def test_big_endian_wav_and_bw64_are_read(tmp_path: Path) -> None:
    content = encode("WAV", "PCM_16", babble(16000), 16000)
    samples = np.frombuffer(content[44:], "<i2").astype(">i2").tobytes()
    form = struct.pack(">IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16)
    rifx = (
        b"RIFX" + struct.pack(">I", len(content) - 8) + b"WAVEfmt " + form + b"data" + struct.pack(">I", len(samples))
    )
    bw64 = b"BW64" + encode("RF64", "PCM_16", babble(16000), 16000)[4:]
    for name, whole in (("rifx", rifx + samples), ("killed", put(rifx, 40, ">I", 0) + samples), ("bw64", bw64)):
        assert np.allclose(read(write(tmp_path / name, whole)), babble(16000)[:, 0], atol=1e-4)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
