"""``edgespeech adapt``: a bundle for one voice, for the words of a text, or for both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgespeech.demo.commands.options import BUNDLE, FILE, MARKDOWN
from edgespeech.demo.commands.outputs import OVERWRITE, output_bundle
from edgespeech.demo.commands.speech.own_text import adapt_to_text, text_options
from edgespeech.errors import UsageError
from edgespeech.runtime.dependencies import require

if TYPE_CHECKING:
    from edgespeech.runtime.measure.tables import Page


@click.command(short_help="Adapt a model to your voice or your words.")
@click.option("--speech", type=FILE, metavar="MANIFEST",
              help="Recordings of the voice with texts, from `edgespeech record` or elsewhere; five minutes or more.",
              )  # fmt: skip
@text_options
@output_bundle("-o", "--output", default="personal", show_default=True, help="Folder to write.")
@OVERWRITE
@click.option("--checkpoint", type=FILE, metavar="FILE",
              help="Model to adapt; default: models/edge.pt of the repository.")  # fmt: skip
@BUNDLE
@click.option("--held-out", type=FILE, metavar="MANIFEST",
              help="Other recordings of the voice, which decide if it helped; default: a part of --speech.",
              )  # fmt: skip
@click.option("--replay", type=FILE, metavar="MANIFEST",
              help="Speech of many others, on which the model is held to what it was; default: ten minutes that come "
              "with models/edge.pt. With another --checkpoint and without it, weights are mixed with those before.",
              )  # fmt: skip
@click.option("--dev", type=FILE, metavar="MANIFEST",
              help="Speech of others to count word errors on, before and after.")  # fmt: skip
@click.option("--minutes", type=float, metavar="M",
              help="Train for about M minutes at most; default: as long as is said when it begins.")  # fmt: skip
@MARKDOWN
def adapt(
    output: Path,
    bundle: Path | None,
    dev: Path | None,
    texts: tuple[Path, ...],
    text_weight: float | None,
    markdown: bool,
    **voice: Any,
) -> None:
    """Adapt a model to the voice of --speech, to the words of --text, or to both, and write a bundle.

    The voice changes the acoustic model, and the text the language model; the rest of --bundle stays. Without progress
    on held-out recordings, or on a held-out part of the text, nothing is written, and the exit code is 1. Ctrl-C stops;
    the same command goes on with the voice.
    """
    from edgespeech.runtime.measure.tables import output_text

    given = [name for name, value in voice.items() if value is not None]
    if not texts and voice["speech"] is None:
        raise UsageError("nothing to adapt to; give --speech MANIFEST, --text FILE, or both")
    if given and voice["speech"] is None:
        raise UsageError(f"--{given[0].replace('_', '-')} is for a voice; give --speech MANIFEST too, or leave it out")
    if text_weight is not None and not texts:
        raise UsageError("--text-weight is for a text; give --text FILE too, or leave it out")
    if voice["speech"] is not None:
        click.echo(output_text(_adapt_to_voice(output, bundle, dev, voice), markdown))
        bundle = output
    if texts:
        from edgespeech.demo.bundles.own_text import TextRequest

        request = TextRequest(texts, bundle, () if dev is None else (dev,), text_weight)
        click.echo(output_text(adapt_to_text(request, output).page(), markdown))
    click.echo(f"\n{output}")


def _adapt_to_voice(output: Path, bundle: Path | None, dev: Path | None, inputs: dict[str, Any]) -> Page:
    require("torch scipy", "train")
    require("onnx", "export")
    from edgespeech.demo.bundles.adapt import PersonalRequest, adapt_bundle, default_checkpoint, default_replay
    from edgespeech.reference.adaptation.adapt import AdaptationRequest

    checkpoint, replay = inputs.pop("checkpoint"), inputs.pop("replay")
    if checkpoint is None:
        checkpoint, replay = default_checkpoint(), replay or default_replay()
    request = AdaptationRequest(checkpoint, replay=replay, **inputs)
    written = adapt_bundle(
        PersonalRequest(request, bundle, dev), output, lambda cost: click.echo(f"this takes {cost}", err=True)
    )
    return written.page()
