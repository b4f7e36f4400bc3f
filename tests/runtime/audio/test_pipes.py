"""Standard input: files of every kind by their first bytes, and samples without a header by what the caller says."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.errors import AudioError, DamagedAudioError, UsageError
from edgespeech.runtime.audio import RawFormat, from_array, may_be_raw, read, read_blocks, read_standard_input
from edgespeech.runtime.audio.raw import ENCODINGS
from tests.runtime.audio.stand_ins import babble, encode, put, refusal

KINDS = [
    ("WAV", "PCM_16"), ("WAV", "IMA_ADPCM"), ("RF64", "PCM_16"), ("W64", "PCM_16"), ("AIFF", "PCM_16"),
    ("AU", "PCM_16"), ("CAF", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III"),
    ("NIST", "PCM_16"),
]  # fmt: skip


def pipe(monkeypatch: pytest.MonkeyPatch, content: bytes | Any) -> None:
    stream = io.BytesIO(content) if isinstance(content, bytes) else content
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize(("container", "subtype"), KINDS)
def test_a_file_in_a_pipe_equals_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, container: str, subtype: str, at_once: bool
) -> None:
    content = encode(container, subtype, babble(8000, 2), 8000)
    path = tmp_path / "sound"
    path.write_bytes(content)
    pipe(monkeypatch, content)
    assert np.array_equal(np.concatenate(list(read_standard_input(at_once=at_once))), read(path))


def test_mp3_without_any_tag_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode("MP3", "MPEG_LAYER_III", babble(16000), 16000)
    pipe(monkeypatch, content[content.index(b"\xff", 4) :])
    assert len(np.concatenate(list(read_standard_input()))) == pytest.approx(48000, abs=2500)


@pytest.mark.parametrize(
    ("subtype", "bits"), [("PCM_U8", 8), ("PCM_24", 24), ("PCM_32", 32), ("FLOAT", 32), ("ALAW", 8)]
)
def test_a_wav_file_is_read_as_it_arrives(monkeypatch: pytest.MonkeyPatch, subtype: str, bits: int) -> None:
    content = encode("WAV", subtype, babble(16000, 2), 16000)
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream:
        pipe(monkeypatch, stream)
        os.write(writing, content[:40000])
        blocks = read_standard_input(block_seconds=0.1, at_once=True)
        assert np.allclose(next(blocks), babble(16000)[:1600, 0], atol=0.02)  # while the pipe is open
        os.close(writing)
        with pytest.raises(DamagedAudioError, match="cut off"):
            list(blocks)


@pytest.mark.parametrize("size", [0, 0x7FFF_F000, 0xFFFF_FFFF])
def test_the_size_in_a_wav_header_may_be_unknown(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    for at_once in (False, True):
        pipe(monkeypatch, put(encode("WAV", "PCM_16", babble(16000), 16000), 40, "<I", size))
        assert len(np.concatenate(list(read_standard_input(at_once=at_once)))) == len(babble(16000))


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("behind", [b"", b"LIST\x1a\0\0\0INFOISFT\x0e\0\0\0Lavf58.29.100\0"], ids=["", "LIST"])
@pytest.mark.parametrize("kind", [("WAV", "PCM_16"), ("WAV", "PCM_U8"), ("FLAC", "PCM_16")])
def test_all_recordings_in_a_pipe_are_read(
    monkeypatch: pytest.MonkeyPatch, kind: tuple[str, str], behind: bytes, at_once: bool
) -> None:
    first = encode("WAV", "PCM_U8", babble(16000)[:-1], 16000)  # an odd number of bytes, and a padding byte
    second = encode(*kind, babble(16000), 16000)
    pipe(monkeypatch, first + behind + second)
    found = np.concatenate(list(read_standard_input(at_once=at_once)))
    assert len(found) == 2 * len(babble(16000)) - 1
    assert np.allclose(found[-16000:], babble(16000)[-16000:, 0], atol=0.02)


def test_damage_behind_the_first_recording_of_a_pipe_has_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode("WAV", "PCM_16", babble(16000), 16000)
    pipe(monkeypatch, content + content[: 44 + 32000])
    seconds = len(babble(16000)) / 16000 + 1.0
    with pytest.raises(DamagedAudioError, match=rf"damaged at {seconds:.2f} s: it is cut off"):
        list(read_standard_input(at_once=True))


def test_what_follows_a_wav_file_and_is_none_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode("WAV", "PCM_16", babble(16000), 16000)
    pipe(monkeypatch, put(content, 40, "<I", 16000))
    with pytest.raises(DamagedAudioError, match="more follows"):
        list(read_standard_input(at_once=True))


def as_raw(encoding: str, samples: NDArray[np.float64]) -> bytes:
    """Return samples, [n, channels] in [-1, 1], in an encoding, by libsndfile."""
    subtypes = {"u8": "PCM_U8", "s8": "PCM_S8", "s16": "PCM_16", "s24": "PCM_24", "s32": "PCM_32", "f32": "FLOAT",
                "f64": "DOUBLE", "mulaw": "ULAW", "alaw": "ALAW"}  # fmt: skip
    order = "BIG" if encoding.endswith("be") else "LITTLE"
    return encode("RAW", subtypes[encoding.removesuffix("le").removesuffix("be")], samples, 8000, endian=order)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_samples_without_a_header_are_what_the_caller_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, channels: int
) -> None:
    content = as_raw(encoding, babble(8000, channels))
    raw = RawFormat.parse(f"{encoding}:8000:{channels}")
    expected = from_array(babble(8000, channels), 8000, 16000)
    pipe(monkeypatch, content + b"\1" * (raw.frame_bytes - 1))  # an incomplete sample
    found = np.concatenate(list(read_standard_input(raw=raw)))
    assert np.allclose(found, expected, atol=0.02)
    path = tmp_path / "sound.raw"
    path.write_bytes(content)
    assert np.array_equal(np.concatenate(list(read_blocks(path, raw=raw))), found)


def test_samples_without_a_header_are_16_bit_mono_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    content = as_raw("s16le", babble(8000))
    pipe(monkeypatch, content)
    assert len(np.concatenate(list(read_standard_input()))) == 24000
    pipe(monkeypatch, content)
    assert len(np.concatenate(list(read_standard_input(other=RawFormat(sample_rate=8000))))) == 48000


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"This is not sound but text.\n" * 20, "is text"),
        (("Dies ist kein Ton, sondern Text \u00fcber T\u00f6ne.\n" * 300).encode(), "is text"),
        (b"%PDF-1.7" + bytes(100), "PDF"),
        (b"PK\x03\x04" + bytes(100), "ZIP"),
        (b"\x1f\x8b\x08" + bytes(100), "gzip"),
        (b"\x1aE\xdf\xa3" + bytes(100), "Matroska"),
        (b"\0\0\0\x1cftypM4A " + bytes(100), "MP4"),
        (b"RIFF\x24\0\0\0WAVE", "cut off in its header"),
        (b"OggS" + bytes(100), "unknown format"),
    ],
)
def test_what_is_not_audio_is_refused(monkeypatch: pytest.MonkeyPatch, content: bytes, part: str) -> None:
    pipe(monkeypatch, content)
    assert part in refusal(lambda: list(read_standard_input()))


def test_a_closed_pipe_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert "is closed" in refusal(lambda: list(read_standard_input()))


def test_a_pipe_with_a_name_is_read(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes")
    reading, writing = os.pipe()
    os.write(writing, encode("WAV", "PCM_16", babble(8000, seconds=1.0), 8000))
    os.close(writing)
    try:
        assert len(read(f"/dev/fd/{reading}")) == 16000
    finally:
        os.close(reading)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s16le",
        "s16le:",
        "s16le:16000:0",
        "s16le:16000:65",
        "s16le:x:1",
        "s16le:16000:1:1",
        "mp3:16000:1",
        "s16le:1:1",
    ],
)
def test_invalid_raw_formats_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="raw audio"):
        RawFormat.parse(text)


def test_raw_formats_are_parsed() -> None:
    assert RawFormat.parse(" S16LE:8000:2 ") == RawFormat("s16le", 8000, 2)
    assert RawFormat.parse("mulaw:8000") == RawFormat("mulaw", 8000, 1)
    assert may_be_raw("-") and may_be_raw("a.PCM") and may_be_raw("a.raw") and not may_be_raw("a.wav")


def test_a_raw_file_without_a_format_names_the_option(tmp_path: Path) -> None:
    path = tmp_path / "sound.pcm"
    path.write_bytes(as_raw("s16le", babble(8000)))
    assert "--raw" in refusal(lambda: read(path))


def test_a_full_disk_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: open("/dev/full", "r+b", 0))
    pipe(monkeypatch, encode("FLAC", "PCM_16", babble(8000), 8000))
    with pytest.raises(AudioError, match="does not fit"):
        list(read_standard_input())
