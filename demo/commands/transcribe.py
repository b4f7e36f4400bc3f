"""``edgespeech transcribe``: recordings to text."""

from __future__ import annotations

import logging

import click

from edgespeech.demo.commands.options import load_recognizer, recognizer_options
from edgespeech.errors import UsageError
from edgespeech.runtime.options import RecognizerRequest

log = logging.getLogger(__name__)


@click.command()
@click.argument("audio", nargs=-1, required=True)
@click.option("--format", "form", type=click.Choice(["text", "json", "srt", "vtt"]), default="text", show_default=True)
@click.option("--rate", type=int, default=16000, show_default=True, metavar="HZ",
              help="Sample rate of raw 16-bit mono sound on standard input (AUDIO is -).")  # fmt: skip
@recognizer_options
def transcribe(audio: tuple[str, ...], form: str, rate: int, request: RecognizerRequest) -> None:
    """Turn recordings into text.

    AUDIO is a WAV, FLAC, OGG, Opus or MP3 file of any rate and channel count, or - for raw sound from a pipe.
    """
    from edgespeech.demo.transcribe import transcribe_files

    if form in {"srt", "vtt"} and len(audio) > 1:
        raise UsageError(f"{len(audio)} recordings and --format {form}: subtitles are for one recording at a time")
    failed = transcribe_files(load_recognizer(request), audio, form, rate, click.echo, log.info)
    if failed:
        raise click.exceptions.Exit(UsageError.exit_code)
