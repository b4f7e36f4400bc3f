"""The commands of ``edgespeech data`` that make training speech from an archive: align and label."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgespeech.demo.commands.options import (
    FILE,
    JSON,
    MARKDOWN,
    Command,
    engine_options,
    load_request,
    recognizer_options,
)
from edgespeech.demo.commands.outputs import OVERWRITE, output_file
from edgespeech.runtime.options import RecognizerRequest

if TYPE_CHECKING:
    from edgespeech.demo.archive.report import Summary


def _clip_options(command: Command) -> Command:
    for add in (
        click.option("--max-seconds", default=20.0, show_default=True, metavar="SECONDS", help="Longest clip."),
        click.option("--min-seconds", default=1.0, show_default=True, metavar="SECONDS", help="Shortest clip."),
        click.option("--picture", type=FILE, metavar="FILE", help="Draw a histogram of the clips (.png or .svg)."),
        click.option("--clips", type=FILE, metavar="DIR",
                     help="Folder for the clips; default: beside the manifest, with its name and the suffix _clips."),
    ):  # fmt: skip
        command = add(command)
    return command


@click.command("align", short_help="Cut long recordings with texts into clips.")
@click.argument("audio", nargs=-1, required=True)
@click.option("--text", "texts", type=FILE, multiple=True, required=True, metavar="FILE",
              help="Text of a recording: plain text, .srt or .vtt; one for each, in the same order.")  # fmt: skip
@output_file("-o", "--output", required=True, help="Manifest to write.")
@OVERWRITE
@click.option("--language", default="en", show_default=True, metavar="CODE",
              help="Language of numbers, which are spelled out (extra `align`).")  # fmt: skip
@click.option("--max-cer", default=0.4, show_default=True, metavar="X",
              help="Drop clips with more character errors of the model against the text, a fraction.")  # fmt: skip
@click.option("--min-score", default=-2.0, show_default=True, metavar="NATS",
              help="Drop clips with a lower mean log-probability of the letters.")  # fmt: skip
@_clip_options
@JSON
@MARKDOWN
@engine_options
@recognizer_options("beam_width", "alpha", "beta", "nbest")
def align(
    request: RecognizerRequest,
    audio: tuple[str, ...],
    texts: tuple[Path, ...],
    output: Path,
    clips: Path | None,
    picture: Path | None,
    **options: Any,
) -> None:
    """Find the sentences of texts in long AUDIO, minutes to hours each, and cut clips at pauses to train on.

    Sentences that are not in the audio, audio that is not in the text, and sentences in another order are found; they
    need no preparation. Every clip gets a score, and the manifest says where it is from.
    """
    from edgespeech.demo.archive.align import AlignTask, pair
    from edgespeech.demo.archive.run import clip_folder, run
    from edgespeech.reference.alignment.rules import ClipLimits

    engine, forms = _engine(options), _forms(options)
    language = options.pop("language")
    limits, items = ClipLimits(**options), pair(audio, texts)
    _, settings = load_request(request, for_recordings=True)
    folder = clip_folder(output, clips)
    task = AlignTask(_absolute(request.bundle), replace(settings, use_lm=False, lm=None), limits, language, folder)
    _finish(run(task, items, audio, engine), output, picture, "character errors of the model, a fraction", forms)


@click.command("label", short_help="Transcribe speech to train on.")
@click.argument("audio", nargs=-1, required=True)
@output_file("-o", "--output", required=True, help="Manifest to write.")
@OVERWRITE
@click.option("--recursive", is_flag=True, help="Label all audio files in the folders given as AUDIO.")
@click.option("--agree-with", type=FILE, metavar="DIR",
              help="Bundle of the second opinion; default: the same one without its language model.")  # fmt: skip
@click.option("--min-word-confidence", "min_confidence", default=0.8, show_default=True, metavar="X",
              help="Drop clips whose words have a lower mean confidence.")  # fmt: skip
@click.option("--min-agreement", default=0.9, show_default=True, metavar="X",
              help="Drop clips of which the second opinion has fewer characters in common, a fraction.")  # fmt: skip
@_clip_options
@JSON
@MARKDOWN
@engine_options
@recognizer_options("nbest")
def label(
    request: RecognizerRequest,
    audio: tuple[str, ...],
    recursive: bool,
    output: Path,
    clips: Path | None,
    picture: Path | None,
    agree_with: Path | None,
    **options: Any,
) -> None:
    """Transcribe untranscribed AUDIO into clips to train on, where the model is confident and a second one agrees.

    The manifest says of each clip which model made its text, so that `data check` can count them apart.
    """
    from edgespeech.demo.archive.label import LabelItem, LabelLimits, LabelTask
    from edgespeech.demo.archive.run import clip_folder, run
    from edgespeech.demo.jobs.task import for_workers
    from edgespeech.demo.transcribe.recordings import find_recordings

    engine, forms = _engine(options), _forms(options)
    limits = LabelLimits(**options)
    files = [file for file, _ in find_recordings(audio, recursive, with_raw=False)]
    _, settings = load_request(request, for_recordings=True)
    if not {"endpoint_seconds", "longest_seconds"} & request.given:
        settings = replace(settings, endpoint_seconds=0.5, longest_seconds=0.6 * limits.max_seconds)
    folder = clip_folder(output, clips)
    task = LabelTask(_absolute(request.bundle), for_workers(settings), _absolute(agree_with), limits, folder)
    items = [LabelItem(file, number) for number, file in enumerate(files)]
    _finish(run(task, items, files, engine), output, picture, "confidence", forms)


def _engine(options: dict[str, Any]) -> Any:
    from edgespeech.demo.jobs.engine import Engine

    return Engine(*(options.pop(name) for name in ("jobs", "engine", "address")))


def _forms(options: dict[str, Any]) -> tuple[bool, bool]:
    return options.pop("as_json"), options.pop("markdown")


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()


def _finish(
    summaries: Sequence[Summary], output: Path, picture: Path | None, measure: str, forms: tuple[bool, bool]
) -> None:
    from edgespeech.demo.archive.report import as_dict, draw, page, save_manifest
    from edgespeech.runtime.measure.tables import output_text

    as_json, markdown = forms
    if picture is not None:
        draw(picture, summaries, measure)
    click.echo(json.dumps(as_dict(summaries)) if as_json else output_text(page(summaries), markdown))
    save_manifest(output, summaries)
