"""``edgespeech transcribe``: recordings to text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from edgespeech.demo.commands.options import FILE, engine_options, load_recognizer, load_request, recognizer_options
from edgespeech.demo.commands.outputs import OVERWRITE, may_overwrite
from edgespeech.errors import UsageError
from edgespeech.runtime.options import RecognizerRequest


@click.command()
@click.argument("audio", nargs=-1)
@click.option("--manifest", type=FILE, metavar="MANIFEST", help="Also transcribe the recordings of a manifest.")
@click.option("--format", "output_format", type=click.Choice(["txt", "json", "jsonl", "srt", "vtt", "tsv", "text"]),
              metavar="[txt|json|jsonl|srt|vtt|tsv]",
              help="Lines of text, one JSON object per recording, JSON lines, subtitles, or a table; default: by the "
              "ending of --output, else txt.")  # fmt: skip
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Write the text to this file when it is complete.")
@click.option("--output-dir", type=FILE, metavar="DIR", help="Write one file per recording to this folder.")
@OVERWRITE
@click.option("--append", is_flag=True, help="Add the text to outputs that exist, except for subtitles.")
@click.option("--recursive", is_flag=True, help="Transcribe all audio files in the folders given as AUDIO.")
@engine_options
@click.option("--resume", is_flag=True, help="Continue an output of --jobs: files that it has are left out.")
@click.option("--channel", default="mix", show_default=True, metavar="N|mix|each",
              help="Channel to read, from 1; the mean of all; or each by itself, merged by time.")  # fmt: skip
@click.option("--raw", metavar="FORMAT:RATE:CHANNELS",
              help="Format of samples without a header, such as s16le:8000:2 (AUDIO is -, .raw or .pcm).")  # fmt: skip
@click.option("--rate", type=int, default=16000, show_default=True, metavar="HZ",
              help="Sample rate of raw 16-bit mono audio on standard input (AUDIO is -).")  # fmt: skip
@recognizer_options()
def transcribe(request: RecognizerRequest, **options: Any) -> None:
    """Turn recordings into text, segment by segment.

    AUDIO is a WAV, FLAC, OGG, Opus or MP3 file of any rate and channel count, or - for standard input. The extra
    `media`, or an ffmpeg program, adds M4A, MP4, WebM, WMA and others. If audio is missing in a file, its text is
    printed nevertheless, and the exit code is 2. Ctrl-C keeps the text so far.

    With --jobs, --manifest, --resume or --engine, several workers transcribe many files into the JSON lines of
    --output, one for each file as it ends, and --format srt, vtt, txt or tsv adds a text file beside each recording or
    in --output-dir.
    """
    bulk = {name: options.pop(name) for name in ("manifest", "resume", "jobs", "engine", "address")}
    if any((bulk["manifest"], bulk["resume"], bulk["jobs"], bulk["engine"] != "local", bulk["address"])):
        code = _transcribe_in_bulk(request, **bulk, **options)
    elif not options["audio"]:
        raise click.UsageError("Missing argument 'AUDIO...'")
    else:
        code = _transcribe(request, options)
    if code:
        raise click.exceptions.Exit(code)


def _transcribe(request: RecognizerRequest, options: dict[str, Any]) -> int:
    from edgespeech.demo.transcribe.recordings import plan
    from edgespeech.demo.transcribe.request import FOR_PEOPLE, TranscribeRequest
    from edgespeech.demo.transcribe.run import transcribe_recordings
    from edgespeech.runtime.audio import STANDARD_INPUT

    transcribe_request = TranscribeRequest(overwrite=may_overwrite(), **options)
    jobs = plan(transcribe_request)
    recognizer = load_recognizer(
        request,
        for_recordings=STANDARD_INPUT not in transcribe_request.audio,
        for_people=transcribe_request.format in FOR_PEOPLE,
    )
    return transcribe_recordings(recognizer, transcribe_request, jobs, _show)


def _transcribe_in_bulk(
    request: RecognizerRequest, *, output: Path | None, output_format: str | None, append: bool, **options: Any
) -> int:
    from edgespeech.demo.jobs.engine import Engine
    from edgespeech.demo.transcribe.bulk import transcribe_in_bulk
    from edgespeech.demo.transcribe.bulk_items import BulkRequest

    if output is None:
        raise UsageError("several workers write JSON lines; give --output FILE.jsonl")
    if append:
        raise UsageError("--append and --jobs exclude each other; give --resume to continue an output")
    engine = Engine(*(options.pop(name) for name in ("jobs", "engine", "address")))
    options.pop("rate")
    text_format = {"json": None, "jsonl": None, "text": "txt"}.get(str(output_format), output_format)
    bulk = BulkRequest(output=output, text_format=text_format, overwrite=may_overwrite(), **options)
    bundle, settings = load_request(request, for_recordings=True)
    return transcribe_in_bulk(bulk, bundle, replace(request, options=settings), engine)


def _show(text: str) -> None:
    print(text, end="", flush=True)
