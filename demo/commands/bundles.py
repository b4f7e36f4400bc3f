"""The commands that write and inspect bundles: export, quantize, info, verify."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click

from edgespeech.demo.commands.options import FILE
from edgespeech.runtime.dependencies import require

log = logging.getLogger(__name__)


@click.command()
@click.argument("checkpoint", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, metavar="BUNDLE", help="Folder to write.")
@click.option("--form", type=click.Choice(["fused", "cells"]), default="fused", show_default=True,
              help="One recurrent operator, or cells unrolled over the chunk.")  # fmt: skip
@click.option("--chunk-ms", type=float, metavar="MS", help="Audio per step; default: the whole frames in 320 ms.")
@click.option("--precision", type=click.Choice(["fp32", "fp16", "int8", "int4"]), default="fp32",
              show_default=True, help="Of the weights; int4, and int8 but for LSTMs, make cells.")  # fmt: skip
@click.option("--fp16-compute", is_flag=True, help="With fp16: compute in it as well, for GPUs.")
@click.option("--speech", type=FILE, metavar="MANIFEST",
              help="Speech to calibrate and compare on; default: compare on the clips that ship.")  # fmt: skip
@click.option("--no-calibrate", is_flag=True, help="Leave the batch-norm statistics as they are despite --speech.")
@click.option("--blank-score", type=float, default=0.0, show_default=True,
              help="Natural log added to the blank: -1 leaves out fewer words.")  # fmt: skip
@click.option("--lm", type=FILE, metavar="FILE", help="KenLM model to put in.")
@click.option("--alpha", type=float, default=0.5, show_default=True, help="Default weight of the language model.")
@click.option("--beta", type=float, default=1.5, show_default=True, help="Default bonus for each word.")
@click.option(
    "--unknown-score", type=float, default=-10.0, show_default=True, help="Default log score of unknown words."
)
@click.option("--beam-width", type=int, default=64, show_default=True, help="Default beam width.")
@click.option("--min-confidence", "--least-confidence", "min_confidence", type=float, default=0.0, show_default=True,
              help="Default mean confidence below which a segment is taken for noise.")  # fmt: skip
@click.option("--name", default="", help="Of the bundle; default: the checkpoint's.")
def export(checkpoint: Path, output: Path, speech: Path | None, **settings: Any) -> None:
    """Turn a CHECKPOINT into a streaming ONNX bundle, compared with it on real speech."""
    require("torch onnx", "export")
    from edgespeech.demo.bundles.export import export_bundle

    bundle = export_bundle(checkpoint, output, speech, settings, log.info)
    click.echo(str(bundle.folder))


@click.command()
@click.argument("bundle", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, metavar="BUNDLE", help="Folder to write.")
@click.option("--precision", type=click.Choice(["fp16", "int8", "int4"]), required=True, help="Of the weights.")
@click.option("--fp16-compute", is_flag=True, help="With fp16: compute in it as well, for GPUs.")
@click.option("--speech", type=FILE, metavar="MANIFEST",
              help="Calibration speech; needs no texts. Default: the clips that ship.")  # fmt: skip
@click.option("--dev", type=FILE, metavar="MANIFEST", help="Count word errors on, before and after.")
@click.option("--dev-limit", type=click.IntRange(1), metavar="N", help="Only N utterances of it, from all over.")
@click.option("--baseline", type=FILE, metavar="BUNDLE",
              help="fp32 bundle to compare with, such as the fused form; default: BUNDLE itself.")  # fmt: skip
@click.option("--calibration", type=click.Choice(["auto", "minmax", "percentile", "entropy", "error"]), default="auto",
              show_default=True, help="How activation ranges are chosen.")  # fmt: skip
@click.option("--keep", multiple=True, metavar="WEIGHT", help="Leave a weight in the next higher precision.")
@click.option("--report", type=FILE, metavar="FILE", help="Write all figures as JSON, and a picture beside it.")
@click.option("--into", metavar="FILE#NAME", help="Put the tables between <!-- NAME: begin --> and <!-- NAME: end -->.")
@click.option("--sensitivity", is_flag=True, help="Also quantize each layer alone (with --dev: its word errors).")
@click.option("--max-wer-increase", type=float, metavar="X", help="Keep layers until WER rises by at most X percent.")
@click.option("--max-deletion-increase", type=float, metavar="X", help="The same for words left out.")
def quantize(
    bundle: Path, output: Path, max_wer_increase: float | None, max_deletion_increase: float | None, **settings: Any
) -> None:
    """Make a BUNDLE smaller: fp16, int8 or int4 weights, compared with fp32 on speech."""
    require("onnx", "export")
    from edgespeech.quantization.error_rates import Budget
    from edgespeech.quantization.pipeline import QuantizeSettings, quantize_bundle

    budget = Budget(max_wer_increase, max_deletion_increase)
    written = quantize_bundle(bundle, output, QuantizeSettings(budget=budget, **settings), log.info, click.echo)
    click.echo(str(written.folder))


@click.command()
@click.argument("bundle", type=FILE, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print bundle.json.")
def info(bundle: Path | None, as_json: bool) -> None:
    """Say what is in a BUNDLE (default: the one that ships) and what its latency is made of."""
    from edgespeech.demo.bundles.inspect import describe
    from edgespeech.runtime.bundle import MANIFEST, load_bundle

    loaded = load_bundle(bundle)
    click.echo((loaded.folder / MANIFEST).read_text("utf-8").rstrip() if as_json else describe(loaded))


@click.command()
@click.argument("bundle", type=FILE, required=False)
def verify(bundle: Path | None) -> None:
    """Check a BUNDLE: hashes, graph against description, chunked against whole, language model."""
    from edgespeech.demo.bundles.inspect import verify_bundle
    from edgespeech.runtime.bundle import load_bundle

    for line in verify_bundle(load_bundle(bundle)):
        click.echo(line)
