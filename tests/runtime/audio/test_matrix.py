"""Every format with every rate, number of channels and kind of damage: no audio is lost without an error."""

from __future__ import annotations

import io
import struct
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.runtime.audio import from_array, info, read
from edgespeech.runtime.audio.containers import parts
from edgespeech.runtime.audio.containers.layout import find_layout
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
# Headers of these state a length too; what follows the audio is not looked at.
OLD_FORMATS = {
    "nist-mu-law": ("NIST", "ULAW", 0.99, 0.1),
    "svx": ("SVX", "PCM_16", 0.999, 0.01),
    "svx-8-bit": ("SVX", "PCM_S8", 0.99, 0.01),
    "voc": ("VOC", "PCM_16", 0.999, 0.01),
    "voc-a-law": ("VOC", "ALAW", 0.99, 0.01),
    "avr": ("AVR", "PCM_16", 0.999, 0.01),
    "mpc": ("MPC2K", "PCM_16", 0.999, 0.01),
    "sample-dump": ("SDS", "PCM_16", 0.999, 0.1),
    "wve": ("WVE", "ALAW", 0.99, 0.01),
    "mat4": ("MAT4", "PCM_16", 0.999, 0.01),
    "mat5": ("MAT5", "FLOAT", 0.999, 0.01),
}
FORMATS |= OLD_FORMATS
SOME_RATES = {"OPUS": (8000, 16000, 48000), "WVE": (8000,), "SDS": (8000, 16000)}
SOME_CHANNELS = {
    **dict.fromkeys(("MPEG_LAYER_III", "IMA_ADPCM", "VOC", "AVR", "MPC2K"), (1, 2)),
    **dict.fromkeys(("SVX", "SDS", "WVE"), (1,)),
}
CASES = [
    (name, rate, channels)
    for name, (container, subtype, _, _) in FORMATS.items()
    for rate in SOME_RATES.get(subtype, SOME_RATES.get(container, RATES))
    for channels in SOME_CHANNELS.get(subtype, SOME_CHANNELS.get(container, CHANNELS))
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
    assert (facts.channels, facts.sample_rate, facts.damage) == (channels, 48000 if name == "opus" else rate, "")


@pytest.mark.parametrize("lost", [0.02, 0.3])
@pytest.mark.parametrize(("name", "rate", "channels"), CASES)
def test_a_file_that_is_cut_off_is_read_up_to_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, rate: int, channels: int, lost: float
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
    facts = info(path)
    assert facts.duration == pytest.approx(damage.second, abs=0.05) and "damaged at" in facts.damage
    assert caplog.messages == [facts.damage]


@pytest.mark.parametrize(("name", "rate", "channels"), [case for case in CASES if case[0] not in OLD_FORMATS])
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


KINDS = [("WAV", "PCM_16"), ("AIFF", "PCM_16"), ("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("FLAC", "PCM_16")]


@pytest.mark.parametrize("first", range(len(KINDS)))
def test_kinds_that_were_joined_are_all_read(tmp_path: Path, first: int) -> None:
    sound = babble(16000)
    files = [encode(*kind, sound, 16000) for kind in (*KINDS[first:], *KINDS[:first])]
    path = write(tmp_path / "all.bin", b"".join(files))
    found, damage = read_all(path)
    assert damage is None
    assert len(found) == pytest.approx(len(KINDS) * len(sound), abs=10)
    assert info(path).duration == pytest.approx(len(KINDS) * SECONDS, abs=0.2)


def test_many_flac_files_that_were_joined_are_found_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting(io.BytesIO):
        count = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.count += len(data)
            return data

    monkeypatch.setattr(parts, "_WINDOW", 1024)
    content = 40 * encode("FLAC", "PCM_16", babble(8000, seconds=0.5), 8000)
    file = Counting(content)
    _, layout = find_layout(parts.ByteSource(file), 16000.0)
    assert len(layout.parts) == 40 and file.count < 3 * len(content)


def test_an_mp3_with_a_tag_behind_flac_is_read(tmp_path: Path) -> None:
    tag = b"ID3\x03\0\0\0\0\0\x0bTIT2\0\0\0\x01\0\0\0"
    mp3 = tag + encode("MP3", "MPEG_LAYER_III", babble(16000), 16000)
    found, damage = read_all(write(tmp_path / "x", encode("FLAC", "PCM_16", babble(16000), 16000) + mp3))
    assert damage is None and len(found) == pytest.approx(2 * len(babble(16000)), abs=10)


def test_what_cannot_be_recognised_behind_flac_is_named(tmp_path: Path) -> None:
    content = encode("FLAC", "PCM_16", babble(16000), 16000)
    path = write(tmp_path / "joined.flac", content + encode("MP3", "MPEG_LAYER_III", babble(16000), 16000))
    found, damage = read_all(path)
    assert len(found) == len(babble(16000))
    assert damage is not None and "damaged at 3.00 s: what follows there has an unknown format" in str(damage)


def test_a_wav_header_in_the_metadata_of_flac_is_no_file(tmp_path: Path) -> None:
    content = encode("FLAC", "PCM_16", babble(16000), 16000)
    foreign = b"riffRIFF\x24\0\0\0WAVEfmt " + bytes(20)  # as flac --keep-foreign-metadata stores it
    block = b"\x02" + len(foreign).to_bytes(3, "big") + foreign
    found, damage = read_all(write(tmp_path / "kept.flac", content[:42] + block + content[42:]))
    assert damage is None and len(found) == len(babble(16000))


@pytest.mark.parametrize("lost", [1, 2, 9, 500])
@pytest.mark.parametrize(("rate", "channels", "subtype"), [(16000, 1, "PCM_16"), (48000, 2, "PCM_24")])
def test_a_flac_that_misses_a_few_bytes_has_another_length_than_its_header(
    tmp_path: Path, rate: int, channels: int, subtype: str, lost: int
) -> None:
    content = encode("FLAC", subtype, babble(rate, channels), rate)
    assert info(write(tmp_path / "whole.flac", content)).damage == ""
    facts = info(write(tmp_path / "cut.flac", content[:-lost]))
    assert facts.duration < SECONDS and "it cannot be decoded any further" in facts.damage


@pytest.mark.parametrize("lost", [0.02, 0.3])
def test_a_voc_file_of_8_bits_that_is_cut_off(tmp_path: Path, lost: float) -> None:
    content = encode("VOC", "PCM_U8", babble(16000), 16000)  # its header has 16129 Hz
    found, damage = read_all(write(tmp_path / "cut.voc", content[: int(len(content) * (1 - lost))]))
    assert damage is not None and len(found) / 16000 == pytest.approx(SECONDS * (1 - lost), abs=0.05)


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
