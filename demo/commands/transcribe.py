"""``edgespeech transcribe``: recordings to text."""

from __future__ import annotations

import logging
from typing import Any

import click

from edgespeech.demo.commands.options import load_recognizer, recognizer_options
from edgespeech.errors import AudioError
from edgespeech.runtime.options import RecognizerRequest

log = logging.getLogger(__name__)


@click.command()
@click.argument("audio", nargs=-1, required=True)
@click.option("--format", "output_format", type=click.Choice(["text", "json", "srt", "vtt"]), default="text",
              show_default=True, help="Text, one JSON object per recording, or subtitles.")  # fmt: skip
@click.option("--channel", default="mix", show_default=True, metavar="N|mix|each",
              help="Channel to read, from 1; the mean of all; or each by itself, merged by time.")  # fmt: skip
@click.option("--raw", metavar="FORMAT:RATE:CHANNELS",
              help="Format of samples without a header, such as s16le:8000:2 (AUDIO is -, .raw or .pcm).")  # fmt: skip
@click.option("--rate", type=int, default=16000, show_default=True, metavar="HZ",
              help="Sample rate of raw 16-bit mono audio on standard input (AUDIO is -).")  # fmt: skip
@recognizer_options()
def transcribe(request: RecognizerRequest, **options: Any) -> None:
    """Turn recordings into text.

    AUDIO is a WAV, FLAC, OGG, Opus or MP3 file of any rate and channel count, or - for standard input. The extra
    `media`, or an ffmpeg program, adds M4A, MP4, WebM, WMA and others. If audio is missing in a file, its text is
    printed nevertheless, and the exit code is 2.
    """
    from edgespeech.demo.transcribe import TranscribeRequest, transcribe_files

    transcribe_request = TranscribeRequest(**options)
    failed = False
    for result in transcribe_files(load_recognizer(request), transcribe_request):
        if isinstance(result, AudioError):
            failed = True
            log.error("edgespeech: %s", result)
        else:
            click.echo(result)
    if failed:
        raise click.exceptions.Exit(AudioError.exit_code)
