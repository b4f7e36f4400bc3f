"""Commands that write and inspect bundles: import, export, quantize, info, verify."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgespeech.demo.commands.options import FILE, LABELS, MARKDOWN, json_option
from edgespeech.demo.commands.outputs import OVERWRITE, output_bundle, output_file
from edgespeech.runtime.dependencies import require


@click.command("import", short_help="Turn a model of another project into a checkpoint.")
@click.argument("foreign", type=FILE)
@output_file("-o", "--output", required=True, help="Checkpoint to write.")
@OVERWRITE
@click.option("--speech", type=FILE, metavar="MANIFEST",
              help="Speech for the statistics that replace those of each utterance, at the level of your device; "
              "default: the sample clips. With texts, the errors that they cost are counted.")  # fmt: skip
@click.option("--normalisation", type=click.Choice(["frozen", "running"]), default="frozen", show_default=True,
              help="Keep these statistics, or begin with them and follow the stream.")  # fmt: skip
@click.option("--reference", "references", type=FILE, multiple=True, metavar="NPZ",
              help="Outputs of the original code, to compare with stage by stage: log_probs [frames, labels] of a "
              "whole utterance, and more arrays by the names in docs/guide/import.md; repeatable. A difference above "
              "1e-3 is refused.")  # fmt: skip
@click.option("--audio", type=FILE, metavar="FILE",
              help="The utterance of --reference, if that has no samples and sample_rate.")  # fmt: skip
@LABELS
@MARKDOWN
def import_foreign(foreign: Path, output: Path, markdown: bool, **settings: Any) -> None:
    """Turn a Deep Speech 2 model of deepspeech.pytorch or PaddleSpeech into a checkpoint that `export` takes.

    FOREIGN is a file of torch, the folder of a release of PaddleSpeech, or its .pdparams. Nothing in it is run.
    """
    require("torch yaml", "export")
    from edgespeech.demo.bundles.import_model import ImportRequest, import_checkpoint
    from edgespeech.runtime.measure.tables import output_text

    imported = import_checkpoint(foreign, output, ImportRequest(**settings))
    click.echo(output_text(imported.page(), markdown))
    click.echo(f"\n{output}")


@click.command(short_help="Turn a checkpoint into a streaming bundle.")
@click.argument("checkpoint", type=FILE)
@output_bundle("-o", "--output", required=True, help="Folder to write.")
@OVERWRITE
@click.option("--form", type=click.Choice(["fused", "cells"]),
              help="Keep the recurrent operator, or unroll it over the chunk into cells; default: fused, or cells if "
              "the precision needs it.")  # fmt: skip
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
@click.option("--prior-power", type=float, default=0.0, show_default=True, metavar="X",
              help="Divide each label's probability by its frequency in the words of --lm, to this power (0 to 1).",
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
    require("onnxruntime", "cpu")
    from edgespeech.demo.bundles.export import BundleRequest, export_bundle

    click.echo(str(export_bundle(checkpoint, output, BundleRequest.from_options(options)).folder))


@click.command(short_help="Quantize a bundle to fp16, int8 or int4.")
@click.argument("bundle", type=FILE)
@output_bundle("-o", "--output", required=True, help="Folder to write.")
@OVERWRITE
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
@output_file("--report", beside=[".png"], help="Write all figures as JSON, and a picture beside it.")
@click.option("--into", metavar="FILE#NAME",
              help="Write the tables between <!-- NAME: begin --> and <!-- NAME: end --> in a document.")  # fmt: skip
@click.option("--sensitivity", is_flag=True,
              help="Also quantize each layer alone, and count its word errors if there is --dev.")  # fmt: skip
@click.option("--max-wer-increase", type=float, metavar="X",
              help="Keep layers in higher precision until WER rises by at most X percentage points.")  # fmt: skip
@click.option("--max-deletion-increase", type=float, metavar="X",
              help="Keep layers in higher precision until deletions rise by at most X percentage points.")  # fmt: skip
@MARKDOWN
def quantize(
    bundle: Path,
    output: Path,
    max_wer_increase: float | None,
    max_deletion_increase: float | None,
    markdown: bool,
    **settings: Any,
) -> None:
    """Quantize the weights of a BUNDLE to fp16, int8 or int4, and compare it with fp32 on speech."""
    require("onnx", "export")
    from edgespeech.quantization import Budget, QuantizeRequest, quantize_bundle
    from edgespeech.runtime.measure.tables import output_text

    budget = Budget.from_percent(max_wer_increase, max_deletion_increase)
    written = quantize_bundle(bundle, output, QuantizeRequest(budget=budget, **settings))
    if page := written.page():
        click.echo(output_text(page, markdown))
    click.echo(str(written.folder))


@click.command(short_help="Describe a bundle and its latency.")
@click.argument("bundle", type=FILE, required=False)
@json_option("Print bundle.json.")
@MARKDOWN
def info(bundle: Path | None, as_json: bool, markdown: bool) -> None:
    """Describe a BUNDLE and the parts of its latency; without an argument, the default bundle."""
    from edgespeech.demo.bundles.description import describe
    from edgespeech.runtime.bundle import MANIFEST, load_bundle
    from edgespeech.runtime.measure.tables import output_text

    loaded = load_bundle(bundle)
    if as_json:
        click.echo((loaded.folder / MANIFEST).read_text("utf-8").rstrip())
    else:
        click.echo(output_text(describe(loaded), markdown))


@click.command(short_help="Check that a bundle is complete and works.")
@click.argument("bundle", type=FILE, required=False)
@click.option("--strict", is_flag=True,
              help="For an untrusted bundle: print what it may do, refuse what is out of bounds, and try it in a "
              "process of its own with limits of time and memory.")  # fmt: skip
def verify(bundle: Path | None, strict: bool) -> None:
    """Check the hashes, graph, states, streaming and language model of a BUNDLE."""
    from edgespeech.demo.bundles.inspect import verify_bundle
    from edgespeech.demo.bundles.strict import inspect_untrusted
    from edgespeech.runtime.bundle import load_bundle

    for line in inspect_untrusted(bundle) if strict else verify_bundle(load_bundle(bundle)):
        click.echo(line)
