"""MP3 files: every frame counts, whatever the header says about their number.

libsndfile stops at the number of frames in a Xing, Info or VBRI header and, without one, at a guess from the bit rate
of the first frame. Where that number is wrong or missing, a part begins with a header that has the number found.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from edgespeech.runtime.audio.containers.kinds import MPEG, SNIFFED_BYTES, id3_length, recognise
from edgespeech.runtime.audio.containers.mpeg_frames import FrameHeader, first_mpeg_frame, frame_header, mpeg_frames
from edgespeech.runtime.audio.containers.parts import ByteSource, Damage, Layout, Part

_SEARCH = 1 << 16  # bytes, for the next frame
_TO_BE_SURE = 8192  # bytes, for the frames that confirm one
_FIRST_BYTES = 60  # of a frame: the header, 32 bytes, and a tag with its first fields
_FIELDS = ((1, 4), (2, 4), (4, 100), (8, 4))  # of a Xing tag: flag and bytes of frames, size, contents, quality
_LAME_BYTES, _LAME_DELAYS = 36, 21  # of LAME's extension; offset of the delay and padding in it, 12 bits each
_KBITS_64 = 8  # index of a bit rate at which any frame of layer 3 is long enough for a tag


@dataclass(frozen=True)
class _Tag:
    """A frame without audio that has the number of frames and perhaps the bytes of the stream."""

    frames: int
    size: int | None
    lame: bytes = b""  # LAME's extension, with the delay and the padding


@dataclass
class _Run:
    """Frames that follow one another."""

    header: FrameHeader
    word: bytes
    start: int  # of the tag, if there is one
    begin: int  # of the first frame with audio
    tag: _Tag | None = None
    frames: int = 0
    end: int = 0
    damage: list[Damage] = field(default_factory=list)


def layout(source: ByteSource, begin: int, end: int) -> Layout:
    """Divide MPEG audio into parts: where files were joined, where the format changes, and where bytes are damaged."""
    runs: list[_Run] = []
    position, fresh, torn = begin, True, 0
    another: int | None = None
    while position < end:
        if skipped := _foreign_bytes(source, position, end):
            position, fresh = position + skipped, True
            continue
        first = source.at(position, _FIRST_BYTES)
        header = frame_header(first)
        if header is not None and position + header.length > end:
            torn = end - position
            break
        if header is None and recognise(source.at(position, SNIFFED_BYTES)) not in (None, MPEG):
            another = position
            break
        if header is None or (fresh and not _is_confirmed(source, position, end)):
            found = _next_frame(source, position, end)
            torn = (end if found is None else found) - position
            if found is None:
                break
            if runs and torn:
                runs[-1].damage.append(Damage(f"{torn} bytes there are not audio"))
            position, fresh, torn = found, True, 0
            continue
        _add(runs, header, first, position, fresh, source)
        position, fresh = position + header.length, False
    if not runs:
        return Layout((Part(begin, end),))
    return Layout(_parts(runs, begin, end if another is None else another, torn), next=another)


def _add(runs: list[_Run], header: FrameHeader, first: bytes, position: int, fresh: bool, source: ByteSource) -> None:
    tag = _read_tag(source, position, first, header)
    behind = position + header.length
    if tag is not None:
        runs.append(_Run(header, first[:4], position, behind, tag, end=behind))
        return
    if not runs or (fresh and runs[-1].frames) or runs[-1].header.key != header.key:
        runs.append(_Run(header, first[:4], position, position))
    runs[-1].frames += 1
    runs[-1].end = behind


def _parts(runs: Sequence[_Run], begin: int, end: int, torn: int) -> tuple[Part, ...]:
    """Make the parts; a file whose own header is right is one part, which is decoded as it is."""
    last = runs[-1]
    if torn and not (last.tag is not None and last.frames >= last.tag.frames):
        last.damage.append(Damage("it is cut off"))
    elif last.tag is not None and last.frames + 1 < last.tag.frames and last.tag.size != last.end - last.start:
        missing = last.tag.frames - last.frames
        last.damage.append(Damage(f"it is cut off; {missing} of {last.tag.frames} frames are missing"))
    if len(runs) == 1 and _is_right(last) and _has_right_size(last) and not last.damage:
        only_a_tag_follows = end - last.end in (0, 128)  # the decoder complains about other bytes
        return (Part(begin, end if only_a_tag_follows else last.end, frames=last.frames * last.header.samples),)
    return tuple(
        Part(run.begin, run.end, _head(run), tuple(run.damage), run.frames * run.header.samples)
        for run in runs
        if run.frames
    )


def _is_right(run: _Run) -> bool:
    return run.tag is not None and abs(run.tag.frames - run.frames) <= 1  # some programs count the tag as well


def _has_right_size(run: _Run) -> bool:
    """Whether the bytes in the tag are right; the decoder complains on standard error if they are not."""
    assert run.tag is not None
    length = run.end - run.start
    return run.tag.size is None or abs(run.tag.size - length) < 0.005 * length


def _head(run: _Run) -> bytes:
    """Return a frame without audio whose tag has the number of frames, and the delay and padding if they are known."""
    if not run.header.side_info:
        return b""
    word = bytes([0xFF, run.word[1] | 1, _KBITS_64 << 4 | run.word[2] & 0x0C, run.word[3]])
    header = frame_header(word)
    assert header is not None
    tag = b"Xing" + struct.pack(">II", 1, run.frames)
    lame = bytearray(run.tag.lame) if run.tag is not None else bytearray()
    if lame and not _is_right(run):  # the end is another one
        lame[_LAME_DELAYS + 1] &= 0xF0
        lame[_LAME_DELAYS + 2] = 0
    return (word + bytes(header.side_info) + tag + bytes(lame)).ljust(header.length, b"\0")


def _read_tag(source: ByteSource, position: int, first: bytes, header: FrameHeader) -> _Tag | None:
    offset = 4 + header.side_info
    if header.side_info and first[offset : offset + 4] in (b"Xing", b"Info"):
        frame = source.at(position, header.length)
        flags = int.from_bytes(frame[offset + 4 : offset + 8], "big")
        values, place = {}, offset + 8
        for flag, length in _FIELDS:
            if flags & flag:
                values[flag] = int.from_bytes(frame[place : place + min(length, 4)], "big")
                place += length
        lame = frame[place : place + _LAME_BYTES]
        has_delays = len(lame) == _LAME_BYTES and any(lame[:9])
        return _Tag(values.get(1, 0), values.get(2), lame if has_delays else b"")
    if header.side_info and first[36:40] == b"VBRI":
        return _Tag(int.from_bytes(first[50:54], "big"), int.from_bytes(first[46:50], "big"))
    return None


def _is_confirmed(source: ByteSource, position: int, end: int) -> bool:
    return mpeg_frames(source.at(position, min(_TO_BE_SURE, end - position)))


def _next_frame(source: ByteSource, position: int, end: int) -> int | None:
    while position < end:
        data = source.at(position, min(_SEARCH + _TO_BE_SURE, end - position))
        found = first_mpeg_frame(data)
        if found >= 0:
            return position + found
        position += _SEARCH
    return None


def _foreign_bytes(source: ByteSource, position: int, end: int) -> int:
    """Return the number of bytes of a tag or of zeros at a position, which belong to no frame."""
    head = source.at(position, 32)
    if head[:1] == b"\0":
        data = source.at(position, min(_SEARCH, end - position))
        return len(data) - len(data.lstrip(b"\0"))
    if head[:3] == b"ID3":
        return id3_length(head)
    if head[:3] == b"TAG":
        return min(128, end - position)
    if head[:8] == b"APETAGEX":
        return min(32 + int.from_bytes(head[12:16], "little"), end - position)
    if head[:11] == b"LYRICSBEGIN":
        behind = source.find(b"LYRICS200", position)
        return min(behind + 9 if behind >= 0 else end, end) - position
    return 0
