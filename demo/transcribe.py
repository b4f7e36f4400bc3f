"""Recordings to text, one after the other: the work of `edgespeech transcribe`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from click import format_filename

from edgespeech.errors import AudioError, UsageError
from edgespeech.runtime.audio import (
    EACH,
    MIX,
    SAMPLE_RATE,
    STANDARD_INPUT,
    RawFormat,
    may_be_raw,
    parse_channel,
    read_blocks,
    read_standard_input,
)
from edgespeech.runtime.formats import to_json, to_srt, to_vtt
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Segment, Transcript


@dataclass(frozen=True)
class TranscribeRequest:
    """Recordings to transcribe, and how to print them.

    Attributes:
        audio: Paths; ``-`` is an audio file, or samples without a header, on standard input.
        output_format: ``text``, ``json``, ``srt`` or ``vtt``.
        rate: Sample rate in hertz of 16-bit mono samples on standard input.
        channel: ``mix``, ``each`` or the number of a channel, from 1.
        raw: Format of samples on standard input and in files that end in .raw or .pcm, as ``FORMAT:RATE:CHANNELS``.

    Raises:
        UsageError: Subtitles of several recordings, an invalid format or channel, or a format for no recording.
    """

    audio: tuple[str, ...]
    output_format: str = "text"
    rate: int = SAMPLE_RATE
    channel: str = MIX
    raw: str | None = None

    def __post_init__(self) -> None:
        if self.output_format in {"srt", "vtt"} and len(self.audio) > 1:
            raise UsageError(
                f"{len(self.audio)} recordings and --format {self.output_format}: "
                "subtitles are for one recording at a time"
            )
        parse_channel(self.channel)
        if self.raw is not None:
            RawFormat.parse(self.raw)
            if self.rate != SAMPLE_RATE:
                raise UsageError(
                    "--raw and --rate exclude each other: the rate is a part of --raw FORMAT:RATE:CHANNELS"
                )
            if not any(map(may_be_raw, self.audio)):
                raise UsageError("--raw is for standard input (-) and for files that end in .raw or .pcm; leave it out")


def transcribe_files(recognizer: Recognizer, request: TranscribeRequest) -> Iterator[str | AudioError]:
    """Yield the text of each recording, without the line end, or the error of one that is not readable audio.

    Of a recording that is damaged, the text up to there comes first and then the error.
    """
    for file in request.audio:
        try:
            transcripts = _transcribe(recognizer, file, request)
        except AudioError as error:
            yield error
            continue
        yield _render(transcripts, file, request)
        if transcripts[0].damage is not None:
            yield AudioError(transcripts[0].damage)


def _transcribe(recognizer: Recognizer, file: str, request: TranscribeRequest) -> tuple[Transcript, ...]:
    channel, rate = parse_channel(request.channel), recognizer.sample_rate
    raw = RawFormat.parse(request.raw) if request.raw is not None and may_be_raw(file) else None
    if file == STANDARD_INPUT:
        other = RawFormat(sample_rate=request.rate)
        blocks = read_standard_input(rate, raw=raw, other=other, channel=channel)
    else:
        blocks = read_blocks(file, rate, channel=channel, raw=raw)
    if channel == EACH:
        return recognizer.transcribe_channel_blocks(blocks)
    return (replace(recognizer.transcribe_blocks(blocks), channel=None if channel == MIX else int(channel)),)


def _render(transcripts: tuple[Transcript, ...], file: str, request: TranscribeRequest) -> str:
    if request.output_format == "json":
        return "\n".join(to_json(transcript, file) for transcript in transcripts)
    segments = transcripts[0].segments if request.channel != EACH else _by_time(transcripts)
    if request.output_format in {"srt", "vtt"}:
        return (to_srt if request.output_format == "srt" else to_vtt)(segments).rstrip("\n")
    prefix = f"{format_filename(file)}\t" if len(request.audio) > 1 else ""
    if request.channel == EACH:
        return "\n".join(prefix + segment.text for segment in segments)
    (transcript,) = transcripts
    hypotheses = [hypothesis.text for hypothesis in transcript.nbest] or [transcript.text]
    return "\n".join(prefix + text for text in hypotheses)


def _by_time(transcripts: tuple[Transcript, ...]) -> tuple[Segment, ...]:
    """Merge the segments of all channels by their start, each with the name of its channel before its text."""
    named = [
        _named(segment, f"channel {transcript.channel}")
        for transcript in transcripts
        for segment in transcript.segments
    ]
    return tuple(sorted(named, key=lambda segment: segment.start))


def _named(segment: Segment, name: str) -> Segment:
    words = segment.words and (replace(segment.words[0], word=f"{name}: {segment.words[0].word}"), *segment.words[1:])
    return replace(segment, text=f"{name}: {segment.text}", words=words)
