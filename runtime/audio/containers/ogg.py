"""Ogg files (RFC 3533): the links of a chain, the rate at which Opus is decoded (RFC 7845), and missing pages."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from edgespeech.runtime.audio.containers.kinds import OGG, SNIFFED_BYTES, recognise
from edgespeech.runtime.audio.containers.parts import ByteSource, Damage, Layout, Part

_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)  # Hz, at which a decoder of Opus can run
_OPUS_CLOCK = 48000  # Hz of its positions
_PAGE = b"OggS"
_CONTINUED, _FIRST, _LAST = 1, 2, 4  # flags of a page
_NO_POSITION = 2**64 - 1  # granule position of a page on which no packet ends
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class _Page:
    begin: int
    content: bytes

    @property
    def end(self) -> int:
        return self.begin + len(self.content)

    @property
    def flags(self) -> int:
        return self.content[5]

    @property
    def position(self) -> int:
        return int.from_bytes(self.content[6:14], "little")

    @property
    def stream(self) -> bytes:
        return self.content[14:18]

    @property
    def number(self) -> int:
        return int.from_bytes(self.content[18:22], "little")

    @property
    def body(self) -> bytes:
        return self.content[27 + self.content[26] :]


@dataclass
class _Link:
    """One link of a chain: streams that begin together."""

    begin: int
    end: int
    head: bytes  # of the first page, changed where Opus is to be decoded at 48 kHz
    rate: int  # Hz of granule positions; 0 if unknown
    streams: dict[bytes, int] = field(default_factory=dict)  # number of the last page
    open_streams: set[bytes] = field(default_factory=set)
    origin: int | None = None
    second: float = 0.0
    damage: list[Damage] = field(default_factory=list)


def layout(source: ByteSource, begin: int, end: int, wanted_rate: float) -> Layout:
    """Divide an Ogg file into the links of its chain.

    Opus has no sample rate. A field in its header names the rate before encoding, or 0, and libsndfile decodes at that
    rate. It is replaced by the lowest rate that is enough for ``wanted_rate``.
    """
    links: list[_Link] = []
    position = begin
    for page in _pages(source, begin, end):
        if links and page.begin > position:
            links[-1].damage.append(Damage("pages there are damaged or missing", links[-1].second))
        position = page.end
        if page.flags & _FIRST and (not links or not _begins_beside(links[-1], page)):
            links.append(_begin(page, wanted_rate))
        if links:
            _add(links[-1], page)
    if not links:
        return Layout((Part(begin, end),))
    rest = end - position
    another = position if rest and recognise(source.at(position, SNIFFED_BYTES)) not in (None, OGG) else None
    if another is None and rest and any(source.at(position, min(rest, 1 << 16))):
        links[-1].damage.append(Damage("it is cut off"))
    for link in links:
        if link.open_streams and not link.damage:
            link.damage.append(Damage("it ends without its last page"))
    parts = tuple(Part(link.begin + len(link.head), link.end, link.head, tuple(link.damage)) for link in links)
    return Layout(parts, next=another)


def _begins_beside(link: _Link, page: _Page) -> bool:
    """Whether a stream begins together with the others of a link: before any of them has a second page."""
    return page.stream not in link.streams and all(number == 0 for number in link.streams.values())


def _begin(page: _Page, wanted_rate: float) -> _Link:
    body = page.body
    if body.startswith(b"OpusHead") and len(body) >= 19:
        rate = next((rate for rate in _OPUS_RATES if rate >= wanted_rate), _OPUS_RATES[-1])
        changed = body[:12] + rate.to_bytes(4, "little") + body[16:]
        content = page.content[: 27 + page.content[26]] + changed
        return _Link(page.begin, page.end, _with_checksum(content), _OPUS_CLOCK)
    rate = int.from_bytes(body[12:16], "little") if body.startswith(b"\x01vorbis") else 0
    return _Link(page.begin, page.end, page.content, rate)


def _add(link: _Link, page: _Page) -> None:
    before = link.streams.get(page.stream)
    if before is not None and page.number > before + 1 and not link.damage:
        link.damage.append(Damage("pages there are missing", link.second))
    link.streams[page.stream] = page.number
    link.end = page.end
    if page.flags & _LAST:
        link.open_streams.discard(page.stream)
    else:
        link.open_streams.add(page.stream)
    if link.rate and 0 < page.position < _NO_POSITION:
        if link.origin is None:
            link.origin = page.position if page.position > 2 * link.rate else 0  # cut out of a longer stream
        link.second = max(0.0, (page.position - link.origin) / link.rate)


def _pages(source: ByteSource, position: int, end: int) -> Iterator[_Page]:
    """Yield the pages whose checksum is right, in a file that may have damage between them."""
    while position < end:
        page = _page(source, position, end)
        if page is not None:
            yield page
            position = page.end
            continue
        found = source.find(_PAGE, position + 1)
        if found < 0:
            return
        position = found


def _page(source: ByteSource, begin: int, end: int) -> _Page | None:
    head = source.at(begin, 27)
    if len(head) < 27 or head[:4] != _PAGE:
        return None
    lengths = source.at(begin + 27, head[26])
    length = 27 + len(lengths) + sum(lengths)
    if begin + length > end:
        return None
    content = source.at(begin, length)
    if _with_checksum(content)[22:26] != head[22:26]:
        return None
    return _Page(begin, content)


def _with_checksum(content: bytes) -> bytes:
    """Return a page with its CRC-32, which begins with the highest bit where that of zlib begins with the lowest."""
    cleared = content[:22] + bytes(4) + content[26:]
    reversed_crc = zlib.crc32(cleared.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return content[:22] + int(f"{reversed_crc:032b}"[::-1], 2).to_bytes(4, "little") + content[26:]
