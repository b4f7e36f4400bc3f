"""The text of a recording in every format, in pieces that come as soon as they are known."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from click import format_filename

from edgespeech.runtime import formats
from edgespeech.runtime.audio import EACH, MIX, Channel
from edgespeech.runtime.live.outputs import with_source_name
from edgespeech.runtime.transcript import Segment, Transcript
from edgespeech.runtime.transcription import Transcription


@dataclass(frozen=True)
class Recording:
    """A recording that is being transcribed, and what the text needs to know about it.

    Attributes:
        file: Its name, as given.
        work: The transcription, which whoever takes the pieces drives.
        channel: ``mix``, ``each`` or a number from 1.
        nbest: Number of hypotheses.
        shared: Whether the text of other recordings goes to the same output, so that lines need the name.
        first: Whether nothing is in the output yet, so that a table needs its heading.
        stopped: Returns whether the user ended the work early; asked when the work has ended.
    """

    file: str
    work: Transcription
    channel: Channel
    nbest: int
    shared: bool
    first: bool
    stopped: Callable[[], bool]

    @property
    def name(self) -> str:
        """The file name in characters that can be written."""
        return format_filename(self.file)

    def numbered(self) -> Iterator[tuple[int | None, Segment]]:
        """Yield the segments with the numbers of their channels, from 1; None for the mean of all."""
        for index, segment in self.work:
            yield self._number(index), segment

    def segments(self) -> Iterator[Segment]:
        """Yield the segments, with the name of the channel before the text if each is transcribed by itself."""
        for number, segment in self.numbered():
            yield with_source_name(f"channel {number}" if self.channel == EACH else "", segment)

    def transcripts(self) -> Iterator[Transcript]:
        """Yield the transcript of each channel, once all segments have come."""
        for index, transcript in enumerate(self.work.transcripts()):
            yield replace(transcript, channel=self._number(index))

    def _number(self, index: int) -> int | None:
        if self.channel == EACH:
            return index + 1
        return None if self.channel == MIX else int(self.channel)


def render(recording: Recording, output_format: str) -> Iterator[str]:
    """Return the pieces of the text of a recording in a format of `edgespeech.demo.transcribe.request.FORMATS`."""
    return _FORMATS[output_format](recording)


def _text(recording: Recording) -> Iterator[str]:
    prefix = f"{recording.name}\t" if recording.shared else ""
    return _or(f"{prefix}\n", (f"{prefix}{line}\n" for line in _lines(recording)))


def _lines(recording: Recording) -> Iterable[str]:
    """Return a line per segment, or a line per hypothesis for the whole recording."""
    if recording.nbest == 1 or recording.channel == EACH:
        return (segment.text for segment in recording.segments())
    deque(recording.work, maxlen=0)
    (transcript,) = recording.transcripts()
    return [hypothesis.text for hypothesis in transcript.nbest]


def _json(recording: Recording) -> Iterator[str]:
    deque(recording.work, maxlen=0)
    for transcript in recording.transcripts():
        yield formats.to_json(transcript, recording.file, recording.stopped()) + "\n"


def _json_lines(recording: Recording) -> Iterator[str]:
    for number, segment in recording.numbered():
        yield formats.segment_to_json(segment, recording.file, number) + "\n"
    for transcript in recording.transcripts():
        yield formats.end_to_json(transcript, recording.file, recording.stopped()) + "\n"


def _srt(recording: Recording) -> Iterator[str]:
    return _or("\n", _separated(formats.srt_blocks(recording.segments())))


def _vtt(recording: Recording) -> Iterator[str]:
    return _separated(formats.vtt_blocks(recording.segments()))


def _or(replacement: str, pieces: Iterator[str]) -> Iterator[str]:
    """Yield the pieces, or the replacement if there is none: a recording without words is an empty line of text."""
    yield next(pieces, replacement)
    yield from pieces


def _separated(blocks: Iterable[str]) -> Iterator[str]:
    """Move the empty line behind each block to the front of the next one, so that none ends the file."""
    line = ""
    for block in blocks:
        yield line + block.rstrip("\n") + "\n"
        line = "\n"


def _table(recording: Recording) -> Iterator[str]:
    name = (recording.name,) if recording.shared else ()
    columns = ("file", "start", "end", "text") if recording.shared else ("start", "end", "text")
    heading = formats.tsv_row(*columns) if recording.first else ""
    for segment in recording.segments():
        yield heading + formats.tsv_row(*name, *formats.tsv_segment(segment))
        heading = ""
    if heading:
        yield heading


_FORMATS: dict[str, Callable[[Recording], Iterator[str]]] = {
    "txt": _text,
    "json": _json,
    "jsonl": _json_lines,
    "srt": _srt,
    "vtt": _vtt,
    "tsv": _table,
}
