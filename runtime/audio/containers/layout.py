"""The kind of a file, and its parts in the order in which they are read."""

from __future__ import annotations

from collections.abc import Callable

from edgespeech.runtime.audio.containers import chunks, flac, mpeg, ogg, stated_lengths
from edgespeech.runtime.audio.containers.kinds import MPEG, OTHER, SNIFFED_BYTES, Container, id3_length, recognise
from edgespeech.runtime.audio.containers.mpeg_frames import first_mpeg_frame
from edgespeech.runtime.audio.containers.parts import ByteSource, Layout, Part

MAX_PARTS = 10_000

_LAYOUTS: dict[str, Callable[[ByteSource, int, int], Layout]] = {
    "": lambda source, begin, end: Layout((Part(begin, end),)),
    "chunks": chunks.layout,
    "au": chunks.layout_au,
    "nist": chunks.layout_nist,
    "flac": flac.layout,
    "mpeg": mpeg.layout,
    **stated_lengths.LAYOUTS,
}


def find_layout(source: ByteSource, wanted_rate: float) -> tuple[Container, Layout]:
    """Return the kind of a file and its parts, also of files that were written one behind the other.

    ``wanted_rate`` is the sample rate in Hz at which the audio is needed.
    """
    first: Container | None = None
    parts: list[Part] = []
    warnings: list[str] = []
    begin: int | None = 0
    while begin is not None and len(parts) < MAX_PARTS:
        container, begin = _recognise(source, begin)
        if container.layout == "ogg":
            layout = ogg.layout(source, begin, source.size, wanted_rate)
        else:
            layout = _LAYOUTS[container.layout](source, begin, source.size)
        parts += layout.parts
        warnings += layout.warnings
        begin, first = layout.next, first or container
    return first or OTHER, Layout(tuple(parts), tuple(warnings))


def _recognise(source: ByteSource, begin: int) -> tuple[Container, int]:
    """Return the kind of the file at an offset, and where it begins behind a tag."""
    head = source.at(begin, SNIFFED_BYTES)
    tag = id3_length(head)
    found = recognise(source.at(begin + tag, SNIFFED_BYTES) if tag else head)
    if found is None and (tag or first_mpeg_frame(head) >= 0):
        found = MPEG
    return found or OTHER, begin if found in (None, MPEG) else begin + tag
