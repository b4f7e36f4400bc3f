"""The commands of ``edgespeech data``."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

import click

from edgespeech.demo.commands.options import FILE
from edgespeech.errors import UsageError
from edgespeech.runtime.dependencies import require

log = logging.getLogger(__name__)


@click.group()
def data() -> None:
    """Speech to learn from: check manifests, make them from known corpora, see how much more of it would help."""


@data.command("check")
@click.argument("paths", type=FILE, nargs=-1, required=True)
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Write what can be learnt from as one manifest.")
@click.option("--dev", type=FILE, multiple=True, metavar="MANIFEST",
              help="Speech to keep apart from training, besides the configuration's dev.")  # fmt: skip
@click.option("--headers-only", is_flag=True, help="Do not decode: no silence, clipping or duplicates; much faster.")
@click.option("--jobs", type=click.IntRange(1), default=min(8, os.cpu_count() or 1), show_default=True, metavar="N",
              help="Recordings to decode at the same time.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def data_check(
    paths: tuple[Path, ...], output: Path | None, dev: tuple[Path, ...], headers_only: bool, jobs: int, as_json: bool
) -> None:
    """Look at every recording and text of PATHS, log.info what cannot be learnt from and why.

    PATHS is one recipe (.toml), whose dev speech is kept apart, or manifests.
    """
    if sys.version_info < (3, 11):
        require("tomli", "train")
    from edgespeech.reference.data.check import check, corpora_from, summary, table, write_clean
    from edgespeech.runtime.files import require_writable

    if output is not None:
        require_writable(output)
    train, apart = check(corpora_from(paths, dev), not headers_only, jobs)
    if as_json:
        click.echo(json.dumps({"train": summary(train), "dev": summary(apart)}))
    else:
        click.echo(table(train, "to train on"))
        if apart:
            click.echo("\n" + table(apart, "kept apart (dev)"))
    if output is not None:
        log.info(f"{output}: {write_clean(output, train)} clips")


@data.command("librispeech")
@click.argument("folder", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, metavar="FILE", help="Manifest to write.")
def data_librispeech(folder: Path, output: Path) -> None:
    """Make a manifest of FOLDER: LibriSpeech as it is unpacked, or one of its parts such as train-clean-100."""
    from edgespeech.reference.data.corpora import librispeech, make_manifest

    click.echo(make_manifest(librispeech(folder), output, log.info))


@data.command("common-voice")
@click.argument("folder", type=FILE)
@click.option("--split", default="train", show_default=True, help="Name of the .tsv file: train, dev, test, validated.")
@click.option("-o", "--output", type=FILE, required=True, metavar="FILE", help="Manifest to write.")
def data_common_voice(folder: Path, split: str, output: Path) -> None:
    """Make a manifest of FOLDER: one language of Common Voice, with its .tsv files and clips/."""
    from edgespeech.reference.data.corpora import common_voice, make_manifest

    click.echo(make_manifest(common_voice(folder, split), output, log.info))


@data.command("pronounce")
@click.argument("manifests", type=FILE, nargs=-1, required=True)
@click.option("-o", "--output", type=FILE, required=True, metavar="FILE", help="Table to write (.tsv).")
def data_pronounce(manifests: tuple[Path, ...], output: Path) -> None:
    """Write the phonemes of every word of the manifests, by espeak-ng: for `phoneme_weight` in a recipe."""
    if sys.version_info < (3, 11):
        require("tomli", "train")
    from edgespeech.reference.data.pronunciation import write_pronunciations
    from edgespeech.runtime.files import require_writable

    require_writable(output)
    click.echo(f"{output}: {write_pronunciations(manifests, output)} words")


@data.command("scaling")
@click.argument("config", type=FILE)
@click.option("--shares", default="1/8,1/4,1/2,1", show_default=True, help="Of every speaker's clips; nested.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), metavar="M", help="Wall clock for each share.")
@click.option("--hours", default="100,1000", show_default=True, help="To predict for.")
@click.option("-o", "--output", type=FILE, metavar="FOLDER", help="Default: the recipe's output and _scaling.")
@click.option("--resume", is_flag=True, help="Keep finished shares, go on with begun ones.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def data_scaling(
    config: Path, output: Path | None, shares: str, minutes: float | None, hours: str, resume: bool, as_json: bool
) -> None:
    """Train the recipe CONFIG on shares of its data: how errors fall with hours, and what more hours would bring."""
    require("torch scipy", "train")
    require("matplotlib", "report")
    from edgespeech.demo.evaluation.scaling import study, table

    try:
        wanted = [float(part) for part in hours.split(",")]
    except ValueError:
        raise UsageError(f"--hours {hours!r}: wanted numbers with commas between them, such as 100,1000") from None
    found = study(config, output, shares, minutes, wanted, resume, log.info)
    click.echo(json.dumps(found) if as_json else table(found))
