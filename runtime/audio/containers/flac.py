"""FLAC files: streams and other files that were joined to one file, and whether the last frame is there."""

from __future__ import annotations

from collections.abc import Callable

from edgespeech.runtime.audio.containers.kinds import SNIFFED_BYTES, id3_length, recognise
from edgespeech.runtime.audio.containers.mpeg_frames import mpeg_frames
from edgespeech.runtime.audio.containers.parts import ByteSource, Layout, Part

# A stream begins with its name and a STREAMINFO block of 34 bytes, which is the last block of metadata or not.
_BEGINNINGS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")
# Other files behind a stream, whose compressed samples contain none of these by chance.
_OTHERS = (b"RIFF", b"RF64", b"FORM", b"OggS\0\x02", b"caff\0\x01", b"riff\x2e\x91\xcf\x11", b"ID3\x03\0", b"ID3\x04\0")
_MAX_FRAME = 1 << 19  # bytes, of 8 channels with 24 bits
_SYNC = b"\xff\xf8", b"\xff\xf9"  # frames of equal and of different lengths
_HEADER = 16  # bytes at most


def layout(source: ByteSource, begin: int, end: int) -> Layout:
    """Divide a file at the beginnings of its streams, up to a file of another kind."""
    place, starts = begin + id3_length(source.at(begin, 10)), []
    while place >= 0:
        starts.append(place)
        first = _behind_metadata(source, place)
        place = _find(source, b"fLaC", first, end, lambda at: source.at(at, 8) in _BEGINNINGS)
    others = (_find(source, beginning, first, end, lambda at: _is_other(source, at)) for beginning in _OTHERS)
    other = min((place for place in others if place >= 0), default=end)
    ends = [*starts[1:], other]
    parts = tuple(Part(one, behind) for one, behind in zip(starts, ends, strict=True))
    return Layout(parts, next=other if other < end else None)


def _behind_metadata(source: ByteSource, begin: int) -> int:
    position = begin + 4
    while len(block := source.at(position, 4)) == 4:
        position += 4 + int.from_bytes(block[1:], "big")
        if block[0] & 128:
            break
    return position


def _find(source: ByteSource, beginning: bytes, begin: int, end: int, is_file: Callable[[int], bool]) -> int:
    """Return the first place of these bytes at which a file begins, -1 if there is none."""
    place = source.find(beginning, begin)
    while 0 <= place < end and not is_file(place):
        place = source.find(beginning, place + 1)
    return place if place < end else -1


def _is_other(source: ByteSource, place: int) -> bool:
    head = source.at(place, SNIFFED_BYTES)
    behind_tag = head[id3_length(head) :]
    return recognise(head) is not None and (behind_tag is head or mpeg_frames(behind_tag))


def is_complete(source: ByteSource, part: Part) -> bool:
    """Whether a stream ends with its last frame, by the number of samples in its header and the frame's checksum."""
    info = source.at(part.begin + 8, 34)
    samples = int.from_bytes(info[13:18].ljust(5, b"\0"), "big") & (1 << 36) - 1
    if len(info) < 34 or not samples:
        return False
    begin = max(part.begin, part.end - min(_MAX_FRAME, int.from_bytes(info[7:10], "big") or _MAX_FRAME))
    tail = source.at(begin, part.end - begin)
    places = sorted((place for sync in _SYNC for place in _all(tail, sync)), reverse=True)
    return any(
        _ends_at(tail[place : place + _HEADER], info) == samples and not _crc16(tail[place:]) for place in places
    )


def _all(data: bytes, wanted: bytes) -> list[int]:
    found, place = [], data.find(wanted)
    while place >= 0:
        found.append(place)
        place = data.find(wanted, place + 1)
    return found


def _ends_at(header: bytes, info: bytes) -> int | None:
    """Return the number of samples up to the end of the frame with this header, None if it is not a header."""
    if len(header) < 6:
        return None
    extra = 8 - (header[4] ^ 255).bit_length() or 1  # bytes of the number, as many as in UTF-8
    number = header[4] & (0x7F >> extra if extra > 1 else 0x7F)
    for byte in header[5 : 4 + extra]:
        number = number << 6 | byte & 63
    code, position = header[2] >> 4, 4 + extra
    size = {1: 192}.get(code, 576 << code - 2 if 2 <= code <= 5 else 256 << code - 8 if code >= 8 else 0)
    if code in (6, 7):
        size = int.from_bytes(header[position : position + code - 5], "big") + 1
    position += {6: 1, 7: 2}.get(code, 0) + {12: 1, 13: 2, 14: 2}.get(header[2] & 15, 0)
    if not size or len(header) <= position or _crc8(header[:position]) != header[position]:
        return None
    return (number if header[1] & 1 else number * int.from_bytes(info[:2], "big")) + size


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value = _CRC8[value ^ byte]
    return value


def _crc16(data: bytes) -> int:
    value = 0
    for byte in data:
        value = (value << 8 & 0xFFFF) ^ _CRC16[value >> 8 ^ byte]
    return value


def _crc_table(polynomial: int, bits: int) -> tuple[int, ...]:
    table = []
    for value in range(256):
        value <<= bits - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value >> bits - 1 else 0)) & (1 << bits) - 1
        table.append(value)
    return tuple(table)


_CRC8, _CRC16 = _crc_table(0x07, 8), _crc_table(0x8005, 16)
