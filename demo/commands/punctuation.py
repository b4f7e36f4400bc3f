"""The commands of ``edgespeech punctuation``: what they ask for and what they print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from edgespeech.demo.commands.options import BUNDLE, FILE, JSON, MARKDOWN
from edgespeech.demo.commands.outputs import OVERWRITE, may_overwrite, output_bundle


@click.group(short_help="Train and measure what writes marks and capitals.")
def punctuation() -> None:
    """The tagger that writes marks and capitals: train one on printed text, add it to a bundle, measure it."""


@punctuation.command("train", short_help="Train a tagger on printed texts.")
@click.argument("texts", type=FILE, nargs=-1, required=True)
@click.option("-o", "--output", type=FILE, required=True, metavar="FILE", help="Checkpoint (.pt) to write.")
@click.option("--held-out", type=FILE, multiple=True, metavar="FILE",
              help="Text whose paragraphs are left out (those that share ten words in a row); repeatable.")  # fmt: skip
@click.option("--minutes", type=float, default=20.0, show_default=True, help="CPU time of the training, in minutes.")
@click.option("--resume", is_flag=True, help="Continue the checkpoint.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="CPU threads.")
@click.option("--bf16", is_flag=True, help="Compute in bfloat16, for CPUs with AMX or AVX-512 BF16.")
@click.option("--compact", is_flag=True, help="Write float16 weights, without the optimiser's state.")
@click.option("--seed", type=int, default=1, show_default=True, metavar="N", help="Seed of weights and simulation.")
@OVERWRITE
def punctuation_train(**options: Any) -> None:
    """Train a tagger on printed TEXTS (.txt, .gz, .xz, .bz2), a paragraph per line, read as a recogniser would."""
    from edgespeech.reference.punctuation.training import TrainRequest, train_tagger
    from edgespeech.runtime.files import require_new

    if not options["resume"]:
        require_new(options["output"], may_overwrite())
    summary = train_tagger(TrainRequest(**options))
    click.echo(
        f"{options['output']}: {summary.words_seen} words seen of texts with {summary.words}, loss {summary.loss:.4f}"
    )


@punctuation.command("add", short_help="Add a tagger to a bundle.")
@click.argument("source", type=FILE)
@BUNDLE
@output_bundle("-o", "--output", metavar="DIR",
               help="Write a copy with the tagger to this folder instead of changing the bundle.")  # fmt: skip
@OVERWRITE
def punctuation_add(source: Path, bundle: Path | None, output: Path | None) -> None:
    """Add a tagger to a bundle: the int8 graph of a checkpoint, compared with it, or that of another bundle."""
    from edgespeech.demo.bundles.punctuation import add_tagger

    click.echo(add_tagger(source, bundle, output))


@punctuation.command("evaluate", short_help="Measure marks and capitals on printed texts.")
@click.argument("texts", type=FILE, nargs=-1, required=True)
@BUNDLE
@click.option("--pauses/--no-pauses", default=True, show_default=True,
              help="Simulate the pauses of read speech, or give the tagger words alone.")  # fmt: skip
@click.option("--errors", type=click.FloatRange(0.0, 0.5), default=0.0, show_default=True, metavar="X",
              help="Fraction of words that are misrecognised.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Read at most N words.")
@JSON
@MARKDOWN
def punctuation_evaluate(as_json: bool, markdown: bool, bundle: Path | None, **options: Any) -> None:
    """Measure a bundle's tagger on printed TEXTS, and the rule that ends a sentence with each segment."""
    from edgespeech.demo.evaluation.punctuation import TextRequest, evaluate_tagger, scores_table
    from edgespeech.runtime.measure.tables import output_text

    found = evaluate_tagger(TextRequest(bundle=bundle, **options))
    if as_json:
        click.echo(json.dumps({name: score.as_dict() for name, score in found.items()}))
    else:
        click.echo(output_text([scores_table(found)], markdown))
