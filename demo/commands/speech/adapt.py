"""``edgespeech adapt``: a bundle for one voice."""

from __future__ import annotations

from pathlib import Path

import click

from edgespeech.demo.commands.options import BUNDLE, FILE, MARKDOWN
from edgespeech.demo.commands.outputs import OVERWRITE, output_bundle
from edgespeech.runtime.dependencies import require


@click.command(short_help="Adapt a model to your voice.")
@click.option("--speech", type=FILE, required=True, metavar="MANIFEST",
              help="Recordings of the voice with texts, from `edgespeech record` or elsewhere; five minutes or more.",
              )  # fmt: skip
@output_bundle("-o", "--output", default="personal", show_default=True, help="Folder to write.")
@OVERWRITE
@click.option("--checkpoint", type=FILE, metavar="FILE",
              help="Model to adapt; default: models/edge.pt of the repository.")  # fmt: skip
@BUNDLE
@click.option("--held-out", type=FILE, metavar="MANIFEST",
              help="Other recordings of the voice, which decide when to stop; default: a seventh of --speech.",
              )  # fmt: skip
@click.option("--replay", type=FILE, metavar="MANIFEST",
              help="Speech of many others to train on too, half an hour for example; default: the weights are mixed "
              "with those before.")  # fmt: skip
@click.option("--dev", type=FILE, metavar="MANIFEST",
              help="Speech of others to count word errors on, before and after.")  # fmt: skip
@click.option("--minutes", type=float, metavar="M",
              help="Train for about M minutes at most; default: until held-out recordings get no better.")  # fmt: skip
@MARKDOWN
def adapt(
    output: Path, bundle: Path | None, dev: Path | None, checkpoint: Path | None, markdown: bool, **inputs: object
) -> None:
    """Adapt a model to the voice of --speech, and write a bundle of it if it recognises that voice better.

    The new bundle has the language model and the settings of --bundle. Without progress on held-out recordings
    nothing is written, and the exit code is 1. Ctrl-C stops; the same command goes on.
    """
    require("torch scipy", "train")
    require("onnx", "export")
    from edgespeech.demo.bundles.adapt import PersonalRequest, adapt_bundle, default_checkpoint
    from edgespeech.reference.adaptation.adapt import AdaptationRequest
    from edgespeech.runtime.measure.tables import output_text

    request = AdaptationRequest(checkpoint or default_checkpoint(), **inputs)  # type: ignore[arg-type]
    written = adapt_bundle(
        PersonalRequest(request, bundle, dev), output, lambda cost: click.echo(f"this takes {cost}", err=True)
    )
    click.echo(output_text(written.page(), markdown))
    click.echo(f"\n{written.bundle.folder}")
