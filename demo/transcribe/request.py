"""What `edgespeech transcribe` is asked to do: one frozen record, checked before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgespeech.errors import UsageError
from edgespeech.runtime.audio import MIX, SAMPLE_RATE, RawFormat, may_be_raw, parse_channel

FORMATS = ("txt", "json", "jsonl", "srt", "vtt", "tsv")
SUBTITLES = {"srt", "vtt"}
FOR_PEOPLE = {"txt", *SUBTITLES}
PIPE = "-"


@dataclass(frozen=True)
class TranscribeRequest:
    """Recordings to transcribe, and where the text goes in which format.

    Attributes:
        audio: Paths of files, and of folders if ``recursive``; ``-`` is an audio file, or samples without a header, on
            standard input.
        output_format: One of `FORMATS`, or ``text`` for ``txt``; None to follow the ending of ``output``, else ``txt``.
        output: File for the text of all recordings; None for standard output.
        output_dir: Folder for one file per recording.
        recursive: Whether the audio files below folders are transcribed.
        overwrite: Whether files that exist are replaced.
        append: Whether text is added to files that exist.
        rate: Sample rate in hertz of 16-bit mono samples on standard input.
        channel: ``mix``, ``each`` or the number of a channel, from 1.
        raw: Format of samples on standard input and in files that end in .raw or .pcm, as ``FORMAT:RATE:CHANNELS``.

    Raises:
        UsageError: Settings that exclude each other, an invalid channel or format, or a format for no recording.
    """

    audio: tuple[str, ...]
    output_format: str | None = None
    output: Path | None = None
    output_dir: Path | None = None
    recursive: bool = False
    overwrite: bool = False
    append: bool = False
    rate: int = SAMPLE_RATE
    channel: str = MIX
    raw: str | None = None

    def __post_init__(self) -> None:
        parse_channel(self.channel)
        self._check_outputs()
        if self.audio.count(PIPE) > 1:
            raise UsageError("standard input (-) can be read only once; leave one of them out")
        if self.raw is not None:
            RawFormat.parse(self.raw)
            if self.rate != SAMPLE_RATE:
                raise UsageError(
                    "--raw and --rate exclude each other: the rate is a part of --raw FORMAT:RATE:CHANNELS"
                )
            if not self.recursive and not any(map(may_be_raw, self.audio)):
                raise UsageError("--raw is for standard input (-) and for files that end in .raw or .pcm; leave it out")

    def _check_outputs(self) -> None:
        if self.output is not None and self.output_dir is not None:
            raise UsageError("--output and --output-dir exclude each other; leave one of them out")
        if self.overwrite and self.append:
            raise UsageError("--overwrite and --append exclude each other; leave one of them out")
        if self.output is not None and self.output.is_dir():
            raise UsageError(f"--output {self.output} is a folder; give a file, or --output-dir {self.output}")

    @property
    def format(self) -> str:
        """The format of the text, one of `FORMATS`."""
        if self.output_format is not None:
            return "txt" if self.output_format == "text" else self.output_format
        ending = "" if self.output is None else self.output.suffix.lower().removeprefix(".")
        return ending if ending in FORMATS else "txt"
