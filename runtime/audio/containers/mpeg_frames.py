"""Headers of MPEG audio frames (ISO 11172-3 and 13818-3, with MPEG 2.5) and of ADTS frames (ISO 13818-7)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # Hz, by version
_LAYER_1, _LAYER_2, _LAYER_3 = 3, 2, 1
# kbit/s by version 1 or not, and layer; index 0 means that the frame has no fixed rate.
_KBITS = {
    (True, _LAYER_1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, _LAYER_2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, _LAYER_3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, _LAYER_1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, _LAYER_2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, _LAYER_3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_FRAMES_TO_BE_SURE = 3
_THAT_MATTER = 0xFFFE_FEC0  # bits of a header: without checksum, private bit, and what concerns stereo only
_MONO = 3


class FrameHeader(NamedTuple):
    """What the header of an MPEG frame says; ``key`` is equal for frames that one decoder reads without a restart."""

    length: int  # bytes
    samples: int  # per channel
    rate: int  # Hz
    key: int
    side_info: int  # bytes between the header and a tag with the number of frames; 0 for layers that have none


def frame_header(data: bytes) -> FrameHeader | None:
    """Return the header at the beginning of some bytes; None if there is none, or one without a fixed bit rate."""
    if len(data) < 4 or data[0] != 0xFF or data[1] < 0xE0:
        return None
    return _parse(int.from_bytes(data[:4], "big") & _THAT_MATTER)


@lru_cache(maxsize=4096)
def _parse(word: int) -> FrameHeader | None:
    version, layer, mode = word >> 19 & 3, word >> 17 & 3, word >> 6 & 3
    kbits_index, rate_index, padding = word >> 12 & 15, word >> 10 & 3, word >> 9 & 1
    if version == 1 or layer == 0 or kbits_index in (0, 15) or rate_index == 3:
        return None
    first = version == 3
    bits, rate = 1000 * _KBITS[first, layer][kbits_index], _RATES[version][rate_index]
    samples = 384 if layer == _LAYER_1 else 576 if layer == _LAYER_3 and not first else 1152
    length = (12 * bits // rate + padding) * 4 if layer == _LAYER_1 else samples // 8 * bits // rate + padding
    mono = mode == _MONO
    side_info = 0 if layer != _LAYER_3 else (17 if mono else 32) if first else (9 if mono else 17)
    return FrameHeader(length, samples, rate, word & 0xFFFE_0C00 | mono, side_info)


def mpeg_frames(head: bytes, begin: int = 0, wanted: int = _FRAMES_TO_BE_SURE) -> bool:
    """Whether MPEG frames of one kind follow one another from an offset on, as many as wanted or to the end."""
    key, found, offset = None, 0, begin
    while found < wanted:
        header = frame_header(head[offset : offset + 4])
        if header is None or key not in (None, header.key):
            return found > 1 and offset >= len(head) - 3
        key, found, offset = header.key, found + 1, offset + header.length
    return True


def first_mpeg_frame(data: bytes, begin: int = 0, key: int | None = None) -> int:
    """Return the offset from which on MPEG frames follow one another, of the kind ``key`` if given; -1 if none do."""
    offset = data.find(b"\xff", begin)
    while offset >= 0:
        header = frame_header(data[offset : offset + 4])
        if header is not None and key in (None, header.key) and mpeg_frames(data, offset):
            return offset
        offset = data.find(b"\xff", offset + 1)
    return -1


def adts_length(data: bytes) -> int:
    """Return the bytes of the AAC frame with an ADTS header that begins here; 0 if there is none."""
    if len(data) < 6 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0 or data[2] >> 2 & 15 > 12:
        return 0
    length = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
    return length if length > 6 else 0


def adts_frames(head: bytes) -> bool:
    """Whether bytes begin with AAC frames that have ADTS headers."""
    offset, found = 0, 0
    while found < _FRAMES_TO_BE_SURE and (length := adts_length(head[offset : offset + 6])):
        offset, found = offset + length, found + 1
    return found == _FRAMES_TO_BE_SURE or (found > 1 and offset >= len(head) - 5)
