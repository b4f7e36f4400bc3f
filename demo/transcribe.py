"""Recordings to text, one after the other: the work of `edgespeech transcribe`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from click import format_filename

from edgespeech.errors import AudioError, UsageError
from edgespeech.runtime.audio import SAMPLE_RATE, read_stream
from edgespeech.runtime.formats import to_json, to_srt, to_vtt
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Transcript

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class TranscribeRequest:
    """Recordings to transcribe, and how to print them.

    Attributes:
        audio: Paths; ``-`` is raw 16-bit mono audio on standard input.
        output_format: ``text``, ``json``, ``srt`` or ``vtt``.
        rate: Sample rate of the audio on standard input in hertz.

    Raises:
        UsageError: Subtitles of several recordings.
    """

    audio: tuple[str, ...]
    output_format: str = "text"
    rate: int = SAMPLE_RATE

    def __post_init__(self) -> None:
        if self.output_format in {"srt", "vtt"} and len(self.audio) > 1:
            raise UsageError(
                f"{len(self.audio)} recordings and --format {self.output_format}: "
                "subtitles are for one recording at a time"
            )


def transcribe_files(recognizer: Recognizer, request: TranscribeRequest) -> Iterator[str | AudioError]:
    """Yield the text of each recording, without the line end, or the error of one that is not readable audio."""
    for file in request.audio:
        try:
            transcript = _transcribe(recognizer, file, request.rate)
        except AudioError as error:
            yield error
        else:
            yield _render(transcript, file, request)


def _transcribe(recognizer: Recognizer, file: str, rate: int) -> Transcript:
    if file == STANDARD_INPUT:
        if sys.stdin is None:
            raise AudioError("standard input is closed; pipe raw 16-bit mono audio to it or give a file")
        blocks = read_stream(sys.stdin.buffer, rate, to_rate=recognizer.sample_rate)
        return recognizer.transcribe_blocks(blocks)
    return recognizer.transcribe(file)


def _render(transcript: Transcript, file: str, request: TranscribeRequest) -> str:
    if request.output_format == "json":
        return to_json(transcript, file)
    if request.output_format in {"srt", "vtt"}:
        return (to_srt if request.output_format == "srt" else to_vtt)(transcript.segments).rstrip("\n")
    hypotheses = [hypothesis.text for hypothesis in transcript.nbest] or [transcript.text]
    prefix = f"{format_filename(file)}\t" if len(request.audio) > 1 else ""
    return "\n".join(prefix + text for text in hypotheses)
