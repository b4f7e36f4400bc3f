"""Recordings to text, one after the other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from click import format_filename

from edgespeech.errors import AudioError
from edgespeech.runtime import audio
from edgespeech.runtime.formats import to_json, to_srt, to_vtt
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Transcript

STANDARD_INPUT = "-"


def transcribe_files(
    recognizer: Recognizer,
    files: Sequence[str],
    form: str,
    rate: int,
    write: Callable[[str], None],
    say: Callable[[str], None],
) -> int:
    """Transcribe each file and write its text; one that cannot be heard does not stop the others.

    Args:
        recognizer: Ready to use.
        files: Paths; ``-`` is raw 16-bit mono sound on standard input.
        form: ``text``, ``json``, ``srt`` or ``vtt``.
        rate: Of the sound on standard input.
        write: Takes results, without the line end.
        say: Takes errors.

    Returns:
        How many files could not be heard.
    """
    failed = 0
    for file in files:
        try:
            transcript = _transcribe(recognizer, file, rate)
        except AudioError as error:
            failed += 1
            say(f"edgespeech: {error}")
            continue
        write(_render(transcript, file, form, several=len(files) > 1))
    return failed


def _transcribe(recognizer: Recognizer, file: str, rate: int) -> Transcript:
    if file == STANDARD_INPUT:
        if sys.stdin is None:
            raise AudioError("standard input is closed; pipe raw 16-bit mono sound to it or give a file")
        blocks = audio.read_stream(sys.stdin.buffer, rate, to_rate=recognizer.sample_rate)
        return recognizer.transcribe_blocks(blocks)
    return recognizer.transcribe(file)


def _render(transcript: Transcript, file: str, form: str, several: bool) -> str:
    if form == "json":
        return to_json(transcript, file)
    if form in {"srt", "vtt"}:
        return (to_srt if form == "srt" else to_vtt)(transcript.segments).rstrip("\n")
    readings = [reading.text for reading in transcript.nbest] or [transcript.text]
    prefix = f"{format_filename(file)}\t" if several else ""
    return "\n".join(prefix + text for text in readings)
