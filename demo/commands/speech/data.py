"""The commands of ``edgespeech data``."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgespeech.demo.commands.options import FILE, JSON, LABELS, MARKDOWN
from edgespeech.demo.commands.outputs import OVERWRITE, output_file
from edgespeech.demo.commands.speech.archive import align, label
from edgespeech.errors import UsageError
from edgespeech.runtime.dependencies import require

if TYPE_CHECKING:
    from edgespeech.reference.data.check import Corpora

log = logging.getLogger(__name__)


@click.group(short_help="Check and prepare training speech.")
def data() -> None:
    """Training speech: check manifests, make them from known corpora, measure how much more data would help."""


data.add_command(align)
data.add_command(label)


@data.command("check", short_help="Find clips that cannot be trained on.")
@click.argument("paths", type=FILE, nargs=-1, required=True)
@output_file("-o", "--output", help="Write the usable clips as one manifest.")
@OVERWRITE
@click.option("--dev", type=FILE, multiple=True, metavar="MANIFEST",
              help="Speech to keep apart from training, in addition to the recipe's dev.")  # fmt: skip
@click.option("--normalise", is_flag=True,
              help="Normalise the texts first, as `evaluate` does: no punctuation, spaces for hyphens. With -o, the "
              "manifest has the normalised texts.")  # fmt: skip
@LABELS
@click.option("--headers-only", is_flag=True,
              help="Do not decode the audio: much faster, but finds no silence, clipping or duplicates.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(1), default=min(8, os.cpu_count() or 1), metavar="N",
              show_default="number of cores, at most 8",
              help="Number of recordings to decode at the same time.")  # fmt: skip
@JSON
@MARKDOWN
def data_check(
    paths: tuple[Path, ...],
    output: Path | None,
    headers_only: bool,
    jobs: int,
    as_json: bool,
    markdown: bool,
    **texts: Any,
) -> None:
    """Check every recording and text of PATHS, and report which cannot be trained on and why.

    PATHS is one recipe (.toml), whose dev speech is kept apart, or manifests. Characters without a label are listed.
    """
    from edgespeech.reference.data.check import check, page, summary, unlabelled, write_clean
    from edgespeech.runtime.files import require_writable
    from edgespeech.runtime.measure.tables import output_text

    if output is not None:
        require_writable(output)
    corpora = _read_corpora(paths, **texts)
    train, apart = check(corpora, not headers_only, jobs)
    characters = unlabelled([*train, *apart], corpora)
    if as_json:
        found = {"train": summary(train), "dev": summary(apart)}
        click.echo(json.dumps({**found, "characters": [one.as_dict() for one in characters.characters]}))
    else:
        both = [*page(train, "to train on"), *(page(apart, "kept apart (dev)") if apart else [])]
        click.echo(output_text([*both, *([characters.table()] if characters.texts else [])], markdown))
        for line in characters.advice():
            log.info("%s", line)
    if output is not None:
        log.info("%s: %d clips", output, write_clean(output, train))


def _read_corpora(paths: Sequence[Path], dev: Sequence[Path], labels: str | None, normalise: bool) -> Corpora:
    """Read one recipe, or take manifests as they are; the model is then the default one, with these labels."""
    from edgespeech.reference.data.check import Corpora
    from edgespeech.reference.data.config import DataConfig
    from edgespeech.reference.model.config import ModelConfig

    if not any(path.suffix == ".toml" for path in paths):
        corpora = Corpora.of(ModelConfig(), DataConfig(train=(), dev=()), paths, dev, labels)
        return replace(corpora, normalise=normalise)
    if len(paths) > 1:
        raise UsageError(f"{len(paths)} files, one of them a recipe; give one .toml file or manifests only")
    if labels is not None:
        raise UsageError(f"--labels and the recipe {paths[0]} clash; give labels in the recipe")
    if sys.version_info < (3, 11):
        require("tomli", "train")
    from edgespeech.reference.training.config import read_training_config

    config, base = read_training_config(paths[0]), paths[0].parent
    train, apart = ([base / path for path in some] for some in (config.data.train, config.data.dev))
    return replace(Corpora.of(config.model, config.data, train, [*apart, *dev], config.labels), normalise=normalise)


@data.command("librispeech", short_help="Make a manifest of LibriSpeech.")
@click.argument("folder", type=FILE)
@output_file("-o", "--output", required=True, help="Manifest to write.")
@OVERWRITE
def data_librispeech(folder: Path, output: Path) -> None:
    """Make a manifest of FOLDER: LibriSpeech as unpacked, or a part of it such as train-clean-100."""
    from edgespeech.reference.data.corpora import librispeech, make_manifest

    click.echo(make_manifest(librispeech(folder), output))


@data.command("common-voice", short_help="Make a manifest of Common Voice.")
@click.argument("folder", type=FILE)
@click.option("--split", default="train", show_default=True, help="Name of the .tsv file: train, dev, test, validated.")
@output_file("-o", "--output", required=True, help="Manifest to write.")
@LABELS
@OVERWRITE
def data_common_voice(folder: Path, split: str, output: Path, labels: str | None) -> None:
    """Make a manifest of FOLDER: one language of Common Voice, with its .tsv files and clips/."""
    from edgespeech.reference.data.corpora import common_voice, letters_of, make_manifest

    click.echo(make_manifest(common_voice(folder, split, letters_of(labels)), output))


@data.command("ljspeech", short_help="Make a manifest of LJSpeech.")
@click.argument("folder", type=FILE)
@output_file("-o", "--output", required=True, help="Manifest to write.")
@LABELS
@OVERWRITE
def data_ljspeech(folder: Path, output: Path, labels: str | None) -> None:
    """Make a manifest of FOLDER: LJSpeech or another corpus in its layout, with metadata.csv (NAME|TEXT) and wavs/."""
    from edgespeech.reference.data.corpora import letters_of, make_manifest
    from edgespeech.reference.data.tables import ljspeech

    click.echo(make_manifest(ljspeech(folder, letters_of(labels)), output))


@data.command("csv", short_help="Make a manifest of a table.")
@click.argument("table", type=FILE)
@click.option("--audio-column", "audio", metavar="NAME", help="Column with the paths of the recordings; default: by "
              "its name, such as path, file or wav_filename.")  # fmt: skip
@click.option("--text-column", "text", metavar="NAME", help="Column with the texts; default: by its name, such as "
              "text, sentence or transcript.")  # fmt: skip
@click.option("--speaker-column", "speaker", metavar="NAME", help="Column with the speakers; default: speaker, "
              "speaker_id or client_id, if there is one.")  # fmt: skip
@output_file("-o", "--output", required=True, help="Manifest to write.")
@LABELS
@OVERWRITE
def data_csv(table: Path, output: Path, labels: str | None, **columns: str | None) -> None:
    """Make a manifest of TABLE (CSV, TSV, or divided by ; or |), which has a recording and its text in each line.

    The first line names the columns. Without one, the recording is in the first column and the text in the second.
    """
    from edgespeech.reference.data.corpora import letters_of, make_manifest
    from edgespeech.reference.data.tables import Columns, read_table

    click.echo(make_manifest(read_table(table, Columns(**columns), letters_of(labels)), output))


@data.command("pronounce", short_help="Look up the phonemes of words.")
@click.argument("manifests", type=FILE, nargs=-1, required=True)
@output_file("-o", "--output", required=True, help="Table to write (.tsv).")
@LABELS
@click.option("--voice", default="en-us", show_default=True, metavar="NAME", help="Language of espeak-ng, such as de.")
@OVERWRITE
def data_pronounce(manifests: tuple[Path, ...], output: Path, labels: str | None, voice: str) -> None:
    """Write the phonemes of every word of MANIFESTS, looked up in espeak-ng, for `phoneme_weight` in a recipe."""
    from edgespeech.reference.data.corpora import letters_of
    from edgespeech.reference.data.pronunciation import write_pronunciations
    from edgespeech.runtime.files import require_writable

    require_writable(output)
    click.echo(f"{output}: {write_pronunciations(manifests, output, letters_of(labels), voice)} words")


@data.command("scaling", short_help="Predict what more data would bring.")
@click.argument("config", type=FILE)
@click.option("--fractions", "--shares", "fractions", default="1/8,1/4,1/2,1", show_default=True, metavar="X,X",
              help="Fractions of every speaker's clips; smaller ones are subsets of larger ones.")  # fmt: skip
@click.option("--minutes", type=click.FloatRange(0, min_open=True), metavar="M",
              help="Wall-clock limit for each fraction.")  # fmt: skip
@click.option("--hours", default="100,1000", show_default=True, metavar="H,H",
              help="Hours of speech to predict the errors for.")  # fmt: skip
@click.option("-o", "--output", type=FILE, metavar="FOLDER",
              help="Folder for the results; default: the recipe's output with the suffix _scaling.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Keep finished fractions and continue those that were started.")
@JSON
@MARKDOWN
def data_scaling(as_json: bool, markdown: bool, hours: str, **options: Any) -> None:
    """Train the recipe CONFIG on fractions of its data, and predict the errors for more hours of speech."""
    require("torch scipy", "train")
    require("matplotlib", "report")
    from edgespeech.demo.evaluation.scaling import StudyRequest, page, study
    from edgespeech.runtime.measure.tables import output_text

    try:
        wanted = tuple(float(part) for part in hours.split(","))
    except ValueError:
        raise UsageError(f"--hours {hours!r}: wanted numbers with commas between them, such as 100,1000") from None
    found = study(StudyRequest(hours=wanted, **options))
    click.echo(json.dumps(found) if as_json else output_text(page(found), markdown))
