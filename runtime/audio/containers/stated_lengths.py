"""Old kinds of files that are one run of samples behind a header with its length: whether they are cut off."""

from __future__ import annotations

import struct
from collections.abc import Callable

from edgespeech.runtime.audio.containers.parts import MAX_EXCESS, ByteSource, Damage, Layout, Part

_HEADER = 512  # bytes
_VOC_BLOCKS = 1000
_MAT4_BYTES = {0: 8, 1: 4, 2: 4, 3: 2, 4: 2, 5: 1}  # of a number, by the tens of its type
_SDS_BLOCK, _SDS_HEADER = 127, 21  # bytes


def _whole(begin: int, end: int) -> Layout:
    return Layout((Part(begin, end),))


def _cut_off(begin: int, end: int, first: int = 0, head: bytes = b"") -> Layout:
    return Layout((Part(begin + first, end, head, damage=(Damage("it is cut off"),)),))


def _avr(header: bytes) -> int:
    """Return the length of an Audio Visual Research file."""
    stereo: int
    bits: int
    frames: int
    stereo, bits = struct.unpack_from(">HH", header.ljust(128), 12)
    (frames,) = struct.unpack_from(">I", header.ljust(128), 26)
    return 128 + frames * (bits // 8) * (2 if stereo else 1)


def _mpc(header: bytes) -> int:
    """Return the length of a sample of an Akai MPC 2000."""
    stereo: int
    frames: int
    stereo, _, _, frames = struct.unpack_from("<BIII", header.ljust(42), 21)
    return 42 + frames * 2 * (2 if stereo else 1)


def _psion(header: bytes) -> int:
    """Return the length of a recording of a Psion 3."""
    return 32 + int.from_bytes(header[18:22], "big")


def _mat4(header: bytes) -> int:
    """Return the length of the matrices of a MATLAB 4 file, of which the first is the rate and the second the sound."""
    position = 0
    for _ in range(2):
        order = "<" if header[:2] == b"\0\0" else ">"
        kind, rows, columns, _, name = struct.unpack_from(f"{order}5I", header.ljust(512), position)
        position += 20 + name + rows * columns * _MAT4_BYTES.get(kind // 10 % 10, 0)
        if position > len(header) - 20:
            break
    return position


def _mat5(header: bytes) -> int:
    """Return the length of the elements of a MATLAB 5 file, of which the first is the rate and the second the sound."""
    order, position = "<" if header[126:128] == b"IM" else ">", 128
    for _ in range(2):
        (size,) = struct.unpack_from(f"{order}I", header.ljust(1024), position + 4)
        position += 8 + size
        if position > len(header) - 8:
            break
    return position


def _by_length(find_length: Callable[[bytes], int]) -> Callable[[ByteSource, int, int], Layout]:
    """Return a function that compares the length in the header with that of the file."""

    def layout(source: ByteSource, begin: int, end: int) -> Layout:
        behind = begin + find_length(source.at(begin, _HEADER))
        return _cut_off(begin, end) if behind > end + MAX_EXCESS else _whole(begin, end)

    return layout


def _voc(source: ByteSource, begin: int, end: int) -> Layout:
    """Follow the blocks of a Creative Voice file; libsndfile refuses one whose only block is cut off."""
    position = begin + int.from_bytes(source.at(begin + 20, 2), "little")
    for _ in range(_VOC_BLOCKS):
        block = source.at(position, 4)
        if len(block) < 4 or block[0] == 0:
            break
        behind = position + 4 + int.from_bytes(block[1:], "little")
        if behind > end + MAX_EXCESS:
            size = max(0, end - position - 5).to_bytes(3, "little")  # behind it, libsndfile wants one byte more
            head = source.at(begin, position - begin) + block[:1] + size
            return _cut_off(begin, end, position + 4 - begin, head)
        position = behind
    return _whole(begin, end)


def _sample_dump(source: ByteSource, begin: int, end: int) -> Layout:
    """Count the blocks of a MIDI sample dump; libsndfile fills those that are missing with noise."""
    header = source.at(begin, _SDS_HEADER)
    bits, frames = header[6], header[10] | header[11] << 7 | header[12] << 14
    in_block = 120 // max(2, -(-bits // 7))
    blocks = max(0, end - begin - _SDS_HEADER) // _SDS_BLOCK
    there = blocks * in_block
    if not 8 <= bits <= 28 or frames <= there:
        return _whole(begin, end)
    count = bytes((there & 127, there >> 7 & 127, there >> 14 & 127))
    return _cut_off(begin, end, 13, header[:10] + count)


LAYOUTS: dict[str, Callable[[ByteSource, int, int], Layout]] = {
    "voc": _voc,
    "avr": _by_length(_avr),
    "mpc": _by_length(_mpc),
    "psion": _by_length(_psion),
    "mat4": _by_length(_mat4),
    "mat5": _by_length(_mat5),
    "sds": _sample_dump,
}
