"""Ogg: chains, the rate of Opus, and pages that are damaged or missing."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.runtime.audio import from_array, info, read
from edgespeech.runtime.audio.containers.ogg import _with_checksum
from tests.runtime.audio.stand_ins import babble, encode, likeness, read_all

SUBTYPES = [subtype for subtype in ("VORBIS", "OPUS") if subtype in soundfile.available_subtypes("OGG")]
SECONDS = 12.0


def ogg(subtype: str, rate: int = 16000, seconds: float = SECONDS) -> bytes:
    return encode("OGG", subtype, babble(rate, 1, seconds), rate)


def with_field(content: bytes, rate: int) -> bytes:
    """Return an Opus file whose header names another rate of the recording before."""
    length = 27 + content[26] + sum(content[27 : 27 + content[26]])
    page = bytearray(content[:length])
    struct.pack_into("<I", page, page.index(b"OpusHead") + 12, rate)
    return _with_checksum(bytes(page)) + content[length:]


def pages(content: bytes) -> list[bytes]:
    found, position = [], 0
    while position < len(content):
        count = content[position + 26]
        length = 27 + count + sum(content[position + 27 : position + 27 + count])
        found.append(content[position : position + length])
        position += length
    return found


@pytest.mark.skipif("OPUS" not in SUBTYPES, reason="this libsndfile has no Opus")
@pytest.mark.parametrize("written", [8000, 16000, 24000, 48000])
@pytest.mark.parametrize("wanted", [8000, 16000, 44100, 48000])
def test_the_rate_in_the_header_of_opus_changes_nothing(tmp_path: Path, written: int, wanted: int) -> None:
    content = ogg("OPUS", written, 3.0)
    path = tmp_path / "sound.opus"
    path.write_bytes(content)
    expected = read(path, wanted)
    assert likeness(expected, from_array(babble(written)[:, 0], written, wanted)) > 0.9
    for field in (0, 1, 8000, 11025, 12000, 44100, 192000, 2**32 - 1):
        path.write_bytes(with_field(content, field))
        assert np.array_equal(read(path, wanted), expected)
        assert info(path).sample_rate == 48000
        assert info(path).duration == pytest.approx(3.0, abs=0.01)


def test_the_checksum_is_that_of_the_encoder() -> None:
    for subtype in SUBTYPES:
        assert all(_with_checksum(page) == page for page in pages(ogg(subtype, seconds=2.0)))


@pytest.mark.parametrize("first", SUBTYPES)
@pytest.mark.parametrize("second", SUBTYPES)
def test_the_links_of_a_chain_are_all_read(tmp_path: Path, first: str, second: str) -> None:
    path = tmp_path / "chain.ogg"
    path.write_bytes(ogg(first) + ogg(second, 48000) + ogg(first))
    found, damage = read_all(path)
    assert damage is None
    assert len(found) / 16000 == pytest.approx(3 * SECONDS, abs=0.01)
    wanted = from_array(babble(16000, seconds=SECONDS), 16000)
    for link in np.split(found[: 3 * 192000], 3):
        assert likeness(link, wanted) > 0.8
    assert info(path).duration == pytest.approx(3 * SECONDS, abs=0.01)


@pytest.mark.parametrize("subtype", SUBTYPES)
@pytest.mark.parametrize("kind", ["missing", "damaged", "foreign bytes"])
def test_pages_that_are_missing_are_reported_and_the_rest_is_read(tmp_path: Path, subtype: str, kind: str) -> None:
    whole = pages(ogg(subtype))
    middle = len(whole) // 2
    lost = {
        "missing": [],
        "damaged": [whole[middle][:-1] + bytes([whole[middle][-1] ^ 255])],
        "foreign bytes": [b"\1" * 300, whole[middle]],
    }[kind]
    path = tmp_path / "damaged.ogg"
    path.write_bytes(b"".join([*whole[:middle], *lost, *whole[middle + 1 :]]))
    found, damage = read_all(path)
    assert damage is not None and "missing" in str(damage)
    assert SECONDS * 0.2 < damage.second < SECONDS * 0.8
    assert len(found) / 16000 > SECONDS - 4.0


@pytest.mark.parametrize("subtype", SUBTYPES)
def test_a_file_without_its_last_page_is_incomplete(tmp_path: Path, subtype: str) -> None:
    whole = pages(ogg(subtype))
    path = tmp_path / "cut.ogg"
    path.write_bytes(b"".join(whole[:-1]))
    found, damage = read_all(path)
    assert damage is not None and "last page" in str(damage)
    assert SECONDS - 4.0 < len(found) / 16000 < SECONDS
