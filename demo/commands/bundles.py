"""Commands that write and inspect bundles: export, quantize, info, verify."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgespeech.demo.commands.options import FILE
from edgespeech.runtime.dependencies import require


@click.command(short_help="Turn a checkpoint into a streaming bundle.")
@click.argument("checkpoint", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, metavar="BUNDLE", help="Folder to write.")
@click.option("--form", type=click.Choice(["fused", "cells"]), default="fused", show_default=True,
              help="Keep the recurrent operator, or unroll it over the chunk into cells.")  # fmt: skip
@click.option("--chunk-ms", type=float, metavar="MS", 
              help="Audio per step; default: as many whole frames as fit in 320 ms.")  # fmt: skip
@click.option("--precision", type=click.Choice(["fp32", "fp16", "int8", "int4"]), default="fp32",
              show_default=True, help="Weight precision. int4, and int8 for GRU and RNN models, unroll the recurrence "
              "(`--form cells`).")  # fmt: skip
@click.option("--fp16-compute", is_flag=True, help="With --precision fp16, also compute in fp16, for GPUs.")
@click.option("--speech", type=FILE, metavar="MANIFEST",
              help="Speech to calibrate and compare on. By default the sample clips are compared on.")  # fmt: skip
@click.option("--no-calibrate", is_flag=True, help="Keep the batch-norm statistics despite --speech.")
@click.option("--blank-score", type=float, default=0.0, show_default=True,
              help="Added to the blank's logit; negative values, such as -1, make the model drop fewer words.",
              )  # fmt: skip
@click.option("--lm", type=FILE, metavar="FILE", help="KenLM model to copy into the bundle.")
@click.option("--alpha", type=float, default=0.5, show_default=True,
              help="The bundle's default weight of the language model.")  # fmt: skip
@click.option("--beta", type=float, default=1.5, show_default=True,
              help="The bundle's default score (natural log) added for each word.")  # fmt: skip
@click.option("--unknown-score", type=float, default=-10.0, show_default=True,
              help="The bundle's default score (natural log) added for each out-of-vocabulary word.")  # fmt: skip
@click.option("--beam-width", type=int, default=64, show_default=True, help="The bundle's default beam width.")
@click.option("--min-confidence", "--least-confidence", "min_confidence", type=float, default=0.0, show_default=True,
              help="The bundle's default mean confidence below which a segment is taken for noise.")  # fmt: skip
@click.option("--name", default="", help="Name of the bundle; default: the checkpoint's.")
def export(checkpoint: Path, output: Path, **options: Any) -> None:
    """Turn a CHECKPOINT into a streaming ONNX bundle, and compare both on real speech."""
    require("torch onnx", "export")
    from edgespeech.demo.bundles.export import BundleRequest, export_bundle

    click.echo(str(export_bundle(checkpoint, output, BundleRequest.from_options(options)).folder))


@click.command(short_help="Quantize a bundle to fp16, int8 or int4.")
@click.argument("bundle", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, metavar="BUNDLE", help="Folder to write.")
@click.option("--precision", type=click.Choice(["fp16", "int8", "int4"]), required=True, help="Weight precision.")
@click.option("--fp16-compute", is_flag=True, help="With --precision fp16, also compute in fp16, for GPUs.")
@click.option("--speech", type=FILE, metavar="MANIFEST",
              help="Calibration speech; texts are not needed. Default: the sample clips.")  # fmt: skip
@click.option("--dev", type=FILE, metavar="MANIFEST",
              help="Speech with texts to count word errors on, before and after.")  # fmt: skip
@click.option("--dev-limit", type=click.IntRange(1), metavar="N",
              help="Use at most N utterances of --dev, spread evenly over the manifest.")  # fmt: skip
@click.option("--baseline", type=FILE, metavar="BUNDLE",
              help="fp32 bundle to compare with, such as the fused form; default: BUNDLE itself.")  # fmt: skip
@click.option("--calibration", type=click.Choice(["auto", "minmax", "percentile", "entropy", "error"]), default="auto",
              show_default=True, help="Method that chooses the activation ranges.")  # fmt: skip
@click.option("--keep", multiple=True, metavar="WEIGHT",
              help="Keep a weight in the next higher precision; repeatable.")  # fmt: skip
@click.option("--report", type=FILE, metavar="FILE", help="Write all figures as JSON, and a picture beside it.")
@click.option("--into", metavar="FILE#NAME",
              help="Write the tables between <!-- NAME: begin --> and <!-- NAME: end --> in a document.")  # fmt: skip
@click.option("--sensitivity", is_flag=True,
              help="Also quantize each layer alone, and count its word errors if there is --dev.")  # fmt: skip
@click.option("--max-wer-increase", type=float, metavar="X",
              help="Keep layers in higher precision until WER rises by at most X percentage points.")  # fmt: skip
@click.option("--max-deletion-increase", type=float, metavar="X",
              help="Keep layers in higher precision until deletions rise by at most X percentage points.")  # fmt: skip
def quantize(
    bundle: Path, output: Path, max_wer_increase: float | None, max_deletion_increase: float | None, **settings: Any
) -> None:
    """Quantize the weights of a BUNDLE to fp16, int8 or int4, and compare it with fp32 on speech."""
    require("onnx", "export")
    from edgespeech.quantization import Budget, QuantizeRequest, quantize_bundle

    budget = Budget.from_percent(max_wer_increase, max_deletion_increase)
    written = quantize_bundle(bundle, output, QuantizeRequest(budget=budget, **settings))
    if tables := written.tables():
        click.echo(tables)
    click.echo(str(written.folder))


@click.command(short_help="Print what a bundle contains, and its latency.")
@click.argument("bundle", type=FILE, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print bundle.json.")
def info(bundle: Path | None, as_json: bool) -> None:
    """Print what a BUNDLE contains and the parts of its latency; without an argument, those of the default bundle."""
    from edgespeech.demo.bundles.inspect import describe
    from edgespeech.runtime.bundle import MANIFEST, load_bundle

    loaded = load_bundle(bundle)
    click.echo((loaded.folder / MANIFEST).read_text("utf-8").rstrip() if as_json else describe(loaded))


@click.command(short_help="Check that a bundle is complete and works.")
@click.argument("bundle", type=FILE, required=False)
def verify(bundle: Path | None) -> None:
    """Check the hashes, graph, states, streaming and language model of a BUNDLE."""
    from edgespeech.demo.bundles.inspect import verify_bundle
    from edgespeech.runtime.bundle import load_bundle

    for line in verify_bundle(load_bundle(bundle)):
        click.echo(line)
