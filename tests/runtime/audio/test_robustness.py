"""Files with random damage: they are read, or refused in one line, and never anything else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from edgespeech.errors import AudioError
from edgespeech.runtime.audio import info, read_blocks
from edgespeech.runtime.audio.containers.parts import ByteSource
from tests.runtime.audio.test_matrix import FORMATS, encoded

SIZES = (bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\xff" * 8)


def damaged(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 4))):
        place = rng.randrange(rng.choice((200, len(changed))))
        match rng.randrange(4):
            case 0:
                changed[place] = rng.randrange(256)
            case 1:
                size = rng.choice(SIZES)
                changed[place : place + len(size)] = size
            case 2:
                del changed[place : place + rng.randrange(1, 2000)]
            case 3:
                changed[place:place] = rng.randbytes(rng.randrange(1, 300))
        if len(changed) < 300:
            break
    return bytes(changed)


@pytest.mark.parametrize("name", FORMATS)
def test_random_damage_is_no_crash(tmp_path: Path, name: str) -> None:
    rng = random.Random(name)
    content = encoded(name, 16000, 1)
    path = tmp_path / "sound"
    for _ in range(30):
        path.write_bytes(damaged(content, rng))
        try:
            duration = info(path).duration
            assert duration >= 0.0
            list(read_blocks(path))
        except AudioError as error:
            assert "\n" not in str(error)


def test_bytes_outside_of_a_file_are_none(tmp_path: Path) -> None:
    path = tmp_path / "sound"
    path.write_bytes(b"abcdef")
    with open(path, "rb", 0) as file:
        source = ByteSource(file)
        assert [source.at(*place) for place in ((0, 3), (4, 9), (6, 1), (-1, 2), (2**70, 1))] == [
            b"abc",
            b"ef",
            b"",
            b"",
            b"",
        ]
        assert (source.find(b"de", 0), source.find(b"de", 4)) == (3, -1)


def test_a_medium_that_fails_is_reported() -> None:
    class Failing:
        def seek(self, offset: int, whence: int = 0) -> int:
            return 10**6

        def read(self, length: int) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(AudioError, match="Input/output error"):
        ByteSource(Failing()).at(0, 4)  # type: ignore[arg-type]
