"""The commands of ``edgespeech data``."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgespeech.demo.commands.options import FILE
from edgespeech.errors import UsageError
from edgespeech.runtime.dependencies import require

if TYPE_CHECKING:
    from edgespeech.reference.data.check import Corpora

log = logging.getLogger(__name__)


@click.group(short_help="Check and prepare training speech.")
def data() -> None:
    """Training speech: check manifests, make them from known corpora, measure how much more data would help."""


@data.command("check", short_help="Find clips that cannot be trained on.")
@click.argument("paths", type=FILE, nargs=-1, required=True)
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Write the usable clips as one manifest.")
@click.option("--dev", type=FILE, multiple=True, metavar="MANIFEST",
              help="Speech to keep apart from training, in addition to the recipe's dev.")  # fmt: skip
@click.option("--headers-only", is_flag=True,
              help="Do not decode the audio: much faster, but finds no silence, clipping or duplicates.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(1), default=min(8, os.cpu_count() or 1), metavar="N",
              show_default="number of cores, at most 8",
              help="Number of recordings to decode at the same time.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def data_check(
    paths: tuple[Path, ...], output: Path | None, dev: tuple[Path, ...], headers_only: bool, jobs: int, as_json: bool
) -> None:
    """Check every recording and text of PATHS, and report which cannot be trained on and why.

    PATHS is one recipe (.toml), whose dev speech is kept apart, or manifests.
    """
    if sys.version_info < (3, 11):
        require("tomli", "train")
    from edgespeech.reference.data.check import check, summary, table, write_clean
    from edgespeech.runtime.files import require_writable

    if output is not None:
        require_writable(output)
    train, apart = check(_read_corpora(paths, dev), not headers_only, jobs)
    if as_json:
        click.echo(json.dumps({"train": summary(train), "dev": summary(apart)}))
    else:
        click.echo(table(train, "to train on"))
        if apart:
            click.echo("\n" + table(apart, "kept apart (dev)"))
    if output is not None:
        log.info("%s: %d clips", output, write_clean(output, train))


def _read_corpora(paths: Sequence[Path], dev: Sequence[Path]) -> Corpora:
    """Read one recipe, or take manifests as they are; the model is then the default one."""
    from edgespeech.reference.data.check import Corpora
    from edgespeech.reference.data.config import DataConfig
    from edgespeech.reference.model.config import ModelConfig
    from edgespeech.reference.training.config import read_training_config

    if not any(path.suffix == ".toml" for path in paths):
        return Corpora.of(ModelConfig(), DataConfig(train=(), dev=()), paths, dev)
    if len(paths) > 1:
        raise UsageError(f"{len(paths)} files, one of them a recipe; give one .toml file or manifests only")
    config, base = read_training_config(paths[0]), paths[0].parent
    train = [base / path for path in config.data.train]
    return Corpora.of(config.model, config.data, train, [*(base / path for path in config.data.dev), *dev])


@data.command("librispeech", short_help="Make a manifest of LibriSpeech.")
@click.argument("folder", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, metavar="FILE", help="Manifest to write.")
def data_librispeech(folder: Path, output: Path) -> None:
    """Make a manifest of FOLDER: LibriSpeech as unpacked, or a part of it such as train-clean-100."""
    from edgespeech.reference.data.corpora import librispeech, make_manifest

    click.echo(make_manifest(librispeech(folder), output))


@data.command("common-voice", short_help="Make a manifest of Common Voice.")
@click.argument("folder", type=FILE)
@click.option("--split", default="train", show_default=True, help="Name of the .tsv file: train, dev, test, validated.")
@click.option("-o", "--output", type=FILE, required=True, metavar="FILE", help="Manifest to write.")
def data_common_voice(folder: Path, split: str, output: Path) -> None:
    """Make a manifest of FOLDER: one language of Common Voice, with its .tsv files and clips/."""
    from edgespeech.reference.data.corpora import common_voice, make_manifest

    click.echo(make_manifest(common_voice(folder, split), output))


@data.command("pronounce", short_help="Look up the phonemes of words.")
@click.argument("manifests", type=FILE, nargs=-1, required=True)
@click.option("-o", "--output", type=FILE, required=True, metavar="FILE", help="Table to write (.tsv).")
def data_pronounce(manifests: tuple[Path, ...], output: Path) -> None:
    """Write the phonemes of every word of MANIFESTS, looked up in espeak-ng, for `phoneme_weight` in a recipe."""
    if sys.version_info < (3, 11):
        require("tomli", "train")
    from edgespeech.reference.data.pronunciation import write_pronunciations
    from edgespeech.runtime.files import require_writable

    require_writable(output)
    click.echo(f"{output}: {write_pronunciations(manifests, output)} words")


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
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def data_scaling(as_json: bool, hours: str, **options: Any) -> None:
    """Train the recipe CONFIG on fractions of its data, and predict the errors for more hours of speech."""
    require("torch scipy", "train")
    require("matplotlib", "report")
    from edgespeech.demo.evaluation.scaling import StudyRequest, study, table

    try:
        wanted = tuple(float(part) for part in hours.split(","))
    except ValueError:
        raise UsageError(f"--hours {hours!r}: wanted numbers with commas between them, such as 100,1000") from None
    found = study(StudyRequest(hours=wanted, **options))
    click.echo(json.dumps(found) if as_json else table(found))
