"""WAV, RF64, W64, AIFF, CAF and AU files: headers whose sizes are zero or wrong, and what follows the audio."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from edgespeech.runtime.audio.containers.kinds import SNIFFED_BYTES, recognise
from edgespeech.runtime.audio.containers.parts import MAX_EXCESS, ByteSource, Damage, Layout, Part

_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # of the identifiers of chunks
_MAX_HEADER = 1 << 24  # bytes before the audio
_UNKNOWN_SIZES = (range(0x7FFF_F000, 0x8000_1000), range(0xFFFF_F000, 0x1_0000_0000))  # of programs that write to pipes
TAGS = (b"TAG", b"ID3", b"APETAGEX")
# Chunks that programs write behind the audio; others are recognised if they fit into the file.
_BEHIND_AUDIO = {
    b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"axml", b"_PMX", b"cue ", b"plst", b"smpl", b"inst", b"fact", b"PEAK",
    b"cart", b"JUNK", b"PAD ", b"umid", b"acid", b"DISP", b"afsp", b"NAME", b"AUTH", b"ANNO", b"COMT", b"APPL", b"MARK",
}  # fmt: skip
_NIST_FIELD = re.compile(r"^(\w+) -(?:i|s\d+) (\d+)\s*$", re.MULTILINE)
_MAX_PADDING = 1 << 16  # bytes of zeros behind the audio


@dataclass(frozen=True)
class _Family:
    """How a kind of file divides its content into chunks: an identifier, a size, and the content."""

    header: int  # bytes before the first chunk
    size: str  # format of sizes, as in `struct`
    audio: bytes  # identifier of the chunk with the audio
    identifier: int = 4  # bytes
    own_header_counts: bool = False  # in the size of a chunk
    alignment: int = 2
    total: int | None = 4  # offset of the size of the whole file
    before_samples: int = 0  # bytes between the header of the chunk and its samples

    @property
    def chunk_header(self) -> int:
        return self.identifier + struct.calcsize(self.size)


_SVX = _Family(12, ">I", b"BODY")
_FAMILIES = {
    b"RIFF": _Family(12, "<I", b"data"),
    b"RF64": _Family(12, "<I", b"data"),
    b"BW64": _Family(12, "<I", b"data"),
    b"RIFX": _Family(12, ">I", b"data"),
    b"FORM": _Family(12, ">I", b"SSND", before_samples=8),
    b"caff": _Family(8, ">q", b"data", alignment=1, total=None, before_samples=4),
    b"riff": _Family(40, "<Q", b"data" + _W64_TAIL, 16, own_header_counts=True, alignment=8, total=16),
}


@dataclass(frozen=True)
class _Chunk:
    identifier: bytes
    begin: int  # of the content
    size: int  # of the content


def layout(source: ByteSource, begin: int, end: int) -> Layout:
    """Find the audio of a file that consists of chunks, and correct the sizes in its header where they are wrong."""
    magic = source.at(begin, 4)
    family = _SVX if source.at(begin + 8, 4) in (b"8SVX", b"16SV") else _FAMILIES[magic]
    found: dict[bytes, _Chunk] = {}
    position = begin + family.header
    while family.audio not in found:
        chunk = _chunk(source, family, position, end)
        if chunk is None or chunk.begin - begin > _MAX_HEADER:
            return Layout((Part(begin, end),))
        found[chunk.identifier] = chunk
        position = _behind(family, chunk)
    audio = found[family.audio]
    stated = audio.size
    if stated == 0xFFFF_FFFF and b"ds64" in found:
        stated = int.from_bytes(source.at(found[b"ds64"].begin + 8, 8), "little")
    first = audio.begin + family.before_samples
    available = end - first
    wanted = max(0, stated - family.before_samples)
    unknown = stated < 0 or (wanted > available and any(stated in sizes for sizes in _UNKNOWN_SIZES))
    if wanted > available + MAX_EXCESS and not unknown:
        # libsndfile opens other files that are cut off, but not those of Apple's Core Audio.
        head = _corrected(source.at(begin, first - begin), family, found, begin, end) if magic == b"caff" else b""
        return Layout((Part(first if head else begin, end, head, damage=(Damage("it is cut off"),)),))
    if not unknown:
        behind = _behind(family, _Chunk(audio.identifier, audio.begin, stated))
        exact = audio.begin + stated
        if exact < behind and recognise(source.at(exact, SNIFFED_BYTES)) is not None:
            behind = exact  # some programs leave the last chunk without its padding
        padded = 0 < end - behind <= _MAX_PADDING and wanted and not any(source.at(behind, end - behind))
        after = end if padded or available <= wanted else _after(source, family, behind, end)
        if after is not None:
            return _as_stated(source, begin, end, after, magic)
    head = _corrected(source.at(begin, first - begin), family, found, begin, end)
    warning = f"its header gives {wanted} bytes of audio, but {available} follow: it is read to its end"
    return Layout((Part(first, end, head),), () if unknown else (warning,))


def layout_au(source: ByteSource, begin: int, end: int) -> Layout:
    """Find the audio of an AU file, whose header may leave its size open."""
    offset, stated = struct.unpack(">II", source.at(begin + 4, 8).ljust(8, b"\0"))
    first = begin + offset
    if stated == 0xFFFF_FFFF or first >= end:
        return Layout((Part(begin, end),))
    if first + stated > end:
        return Layout((Part(begin, end, damage=(Damage("it is cut off"),)),))
    rest = end - first - stated
    if stated and (rest < 8 or recognise(source.at(first + stated, SNIFFED_BYTES)) is not None):
        return _as_stated(source, begin, end, first + stated, b".snd")
    head = source.at(begin, 8) + b"\xff\xff\xff\xff" + source.at(begin + 12, offset - 12)
    warning = f"its header gives {stated} bytes of audio, but {end - first} follow: it is read to its end"
    return Layout((Part(first, end, head),), (warning,) if rest else ())


def layout_nist(source: ByteSource, begin: int, end: int) -> Layout:
    """Compare the number of samples in the header of a NIST Sphere file with its length."""
    header = source.at(begin, 1024).decode("ascii", "replace")
    length = header[8:16].strip()
    # libsndfile writes some numbers as text: "sample_n_bytes -s1 1".
    fields = dict(_NIST_FIELD.findall(header))
    numbers = [fields.get(key, "") for key in ("sample_count", "sample_n_bytes", "channel_count")]
    if not all(number.isdecimal() for number in (length, *numbers)) or "shorten" in header:
        return Layout((Part(begin, end),))
    wanted = int(length) + int(numbers[0]) * int(numbers[1]) * int(numbers[2])
    behind = begin + wanted
    if behind > end + MAX_EXCESS:
        return Layout((Part(begin, end, damage=(Damage("it is cut off"),)),))
    if recognise(source.at(behind, SNIFFED_BYTES)) is not None:
        return Layout((Part(begin, behind),), next=behind)
    return Layout((Part(begin, end),))


def _as_stated(source: ByteSource, begin: int, end: int, after: int, magic: bytes) -> Layout:
    """Return one part; ``after`` is the end of the file or the beginning of another one."""
    head = source.at(begin, 4) if magic != b"BW64" else b"RF64"  # the new name of the same format
    another = after if end - after >= 8 else None
    whole = another is None and magic != b"BW64"
    part = Part(begin, end) if whole else Part(begin + 4, after if another else end, head)
    return Layout((part,), next=another)


def _chunk(source: ByteSource, family: _Family, position: int, end: int) -> _Chunk | None:
    header = source.at(position, family.chunk_header)
    if len(header) < family.chunk_header or position >= end:
        return None
    (size,) = struct.unpack(family.size, header[family.identifier :])
    if size < 0 and not header.startswith(family.audio):
        return None
    if family.own_header_counts:
        size = max(0, size - family.chunk_header)
    return _Chunk(header[: family.identifier], position + family.chunk_header, size)


def _behind(family: _Family, chunk: _Chunk) -> int:
    return chunk.begin + -(-chunk.size // family.alignment) * family.alignment


def _after(source: ByteSource, family: _Family, position: int, end: int) -> int | None:
    """Return where a file ends whose audio ends at ``position``: at ``end``, where another file begins, or None.

    None means that what follows is neither: neither chunks nor a tag.
    """
    while end - position >= family.chunk_header:
        head = source.at(position, SNIFFED_BYTES)
        if recognise(head) is not None and not head.startswith(TAGS):
            return position
        if head.startswith(TAGS):
            return end
        chunk = _chunk(source, family, position, end)
        if chunk is None or not is_chunk_name(chunk.identifier):
            return None
        position = _behind(family, chunk)
        if position > end + family.alignment:
            return end if chunk.identifier in _BEHIND_AUDIO else None
    return end


def is_chunk_name(identifier: bytes) -> bool:
    """Decide whether the first bytes behind a chunk can begin another one."""
    name, tail = identifier[:4], identifier[4:]
    return (
        all(32 <= byte < 127 for byte in name) and any(65 <= byte < 123 for byte in name) and tail in (b"", _W64_TAIL)
    )


def _corrected(head: bytes, family: _Family, found: dict[bytes, _Chunk], begin: int, end: int) -> bytes:
    """Return everything before the samples, with sizes that reach to the end of the file."""
    corrected = bytearray(head)

    def put(offset: int, size_format: str, value: int) -> None:
        limit = 2 ** (8 * struct.calcsize(size_format) - (size_format[-1] == "q")) - 1
        struct.pack_into(size_format, corrected, offset, min(value, limit))

    audio = found[family.audio]
    size = end - audio.begin + (family.chunk_header if family.own_header_counts else 0)
    put(audio.begin - begin - struct.calcsize(family.size), family.size, size)
    if family.total is not None:
        put(family.total, family.size, end - begin - (0 if family.own_header_counts else 8))
    if b"ds64" in found:
        offset = found[b"ds64"].begin - begin
        put(offset, "<Q", end - begin - 8)
        put(offset + 8, "<Q", end - audio.begin)
        put(offset + 16, "<Q", 0)
        put(audio.begin - begin - 4, "<I", 0xFFFF_FFFF)
        put(4, "<I", 0xFFFF_FFFF)
    if b"COMM" in found:  # number of frames
        offset = found[b"COMM"].begin - begin
        channels, _, bits = struct.unpack_from(">hIh", corrected, offset)
        put(offset + 2, ">I", (end - audio.begin - 8) // max(1, channels * -(-bits // 8)))
    if bytes(corrected[:4]) == b"BW64":
        corrected[:4] = b"RF64"
    return bytes(corrected)
