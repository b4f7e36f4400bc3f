"""``edgespeech record``: sentences read aloud, for a personal model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgespeech.demo.commands.options import BUNDLE, FILE


@click.command(short_help="Record your voice, sentence by sentence.")
@click.option("-o", "--output", type=FILE, required=True, metavar="DIR",
              help="Folder for the recordings and their manifest, speech.jsonl; a session that was ended goes on.",
              )  # fmt: skip
@click.option("--sentences", type=FILE, metavar="FILE",
              help="Text with one sentence a line to choose from; default: English ones of the package.")  # fmt: skip
@click.option("--minutes", type=float, default=6.0, show_default=True, metavar="M",
              help="How much to read, together with what the folder has.")  # fmt: skip
@click.option("--speaker", default="me", show_default=True, metavar="NAME", help="Name of the speaker in the manifest.")
@click.option("--device", metavar="NAME|INDEX",
              help="Microphone: part of its name or its index in `edgespeech devices`.")  # fmt: skip
@click.option("--replay", "replays", type=FILE, multiple=True, metavar="FILE",
              help="Recording to take for the next sentence instead of the microphone; repeatable.")  # fmt: skip
@BUNDLE
def record(bundle: Path | None, **options: Any) -> None:
    """Show sentences, record each from the microphone, and check that it is loud enough and was read.

    A take ends after a pause. Enter ends it at once, r repeats the last sentence, s skips one, q ends the session.
    """
    from edgespeech.demo.record.run import RecordRequest
    from edgespeech.demo.record.run import record as run
    from edgespeech.runtime.recognizer import Recognizer

    request = RecordRequest(**options)
    with Recognizer(bundle) as recognizer:
        done = run(recognizer, request)
    click.echo(str(done), err=True)
    if done.recordings:
        click.echo(str(done.manifest))
