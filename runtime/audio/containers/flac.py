"""FLAC files: the streams that were joined to one file."""

from __future__ import annotations

from edgespeech.runtime.audio.containers.kinds import id3_length
from edgespeech.runtime.audio.containers.parts import ByteSource, Layout, Part

# A stream begins with its name and a STREAMINFO block of 34 bytes, which is the last block of metadata or not.
_BEGINNINGS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")


def layout(source: ByteSource, begin: int, end: int) -> Layout:
    """Divide a file at the beginnings of its streams."""
    begin += id3_length(source.at(begin, 10))
    starts = [begin]
    for beginning in _BEGINNINGS:
        found = source.find(beginning, begin + 4)
        while 0 <= found < end:
            starts.append(found)
            found = source.find(beginning, found + 4)
    starts = sorted(starts)
    return Layout(tuple(Part(one, behind) for one, behind in zip(starts, [*starts[1:], end], strict=True)))
