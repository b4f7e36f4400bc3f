"""The commands of ``edgespeech lm``: what they ask for and what they print."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click

from edgespeech.demo.commands.options import BUNDLE, FILE, JSON, LABELS, MARKDOWN
from edgespeech.demo.commands.outputs import OVERWRITE, output_bundle, output_file
from edgespeech.errors import UsageError

_LM = click.option("--lm", type=FILE, metavar="FILE",
                   help="Use this KenLM model (binary or ARPA) instead of the bundle's.")  # fmt: skip
_CACHE = click.option("--cache", type=FILE, metavar="DIR",
                      help="Folder that stores log-probabilities; by default in the user's cache folder.")  # fmt: skip


@click.group(short_help="Build, inspect and tune language models.")
def lm() -> None:
    """Language models: build one from text, inspect one, list unknown words, tune weights, compare decoders."""


@lm.command("build", short_help="Build an n-gram model from texts.")
@click.argument("texts", type=FILE, nargs=-1, required=True)
@output_file("-o", "--output", required=True, help="KenLM binary to write.")
@OVERWRITE
@click.option("--order", type=int, metavar="N", help="Longest n-gram; by default 3, or 6 over characters.")
@click.option("--unit", type=click.Choice(["word", "character"]), default="word", show_default=True,
              help="What the model is over; with characters, labels may lack a space.")  # fmt: skip
@click.option("--characters", is_flag=True, help="The same as --unit character.")
@click.option("--prune", default="0 0 1", show_default=True, metavar="COUNTS",
              help="Leave out n-grams that occur this often or less, one count per order.")  # fmt: skip
@click.option("--vocabulary", type=int, default=50_000, show_default=True, metavar="N",
              help="Number of most frequent words to keep.")  # fmt: skip
@click.option("--bits", type=int, default=6, show_default=True, metavar="N",
              help="Bits per probability and per back-off weight.")  # fmt: skip
@click.option("--bundle", type=FILE, metavar="DIR",
              help="Normalise to the labels of this bundle; by default to English letters.")  # fmt: skip
@LABELS
@click.option("--exclude", type=FILE, multiple=True, metavar="FILE",
              help="Text or manifest whose sentences must not enter the model (shared runs of six words); "
                   "repeatable.")  # fmt: skip
@click.option("--held-out", type=FILE, metavar="FILE",
              help="Text or manifest to measure perplexity on; excluded from the model.")  # fmt: skip
@click.option("--held-out-fraction", "--held-out-share", "held_out_fraction", type=float, metavar="X",
              help="Fraction of the lines to hold out for that; by default 0.001, or 0 with --held-out.")  # fmt: skip
@click.option("--drop-lone-letters", is_flag=True, help="Drop lines with broken abbreviations such as 'h m s'.")
def lm_build(
    drop_lone_letters: bool, bundle: Path | None, labels: str | None, unit: str, characters: bool, **options: Any
) -> None:
    """Estimate a quantized n-gram model from TEXTS (.txt, .gz, .xz, .bz2, or manifests) with KenLM's tools."""
    from edgespeech.reference.language_model.build import build_language_model
    from edgespeech.reference.language_model.request import BuildRequest

    if symbols := _symbols(bundle, labels):
        options["labels"] = symbols
    over_characters = characters or unit == "character"
    request = BuildRequest(keep_lone_letters=not drop_lone_letters, characters=over_characters, **options)
    summary = build_language_model(request)
    click.echo(str(summary.model))


def _symbols(bundle: Path | None, labels: str | None) -> tuple[str, ...] | None:
    """Return the labels that a text is normalised to; None for the English ones."""
    from edgespeech.reference.model.labels import character_labels
    from edgespeech.runtime.bundle import load_bundle

    if bundle is not None and labels is not None:
        raise UsageError("--bundle and --labels clash; give one of them")
    if bundle is not None:
        return load_bundle(bundle).manifest.labels
    return None if labels is None else character_labels(labels).symbols


@lm.command("info", short_help="Inspect a language model.")
@click.argument("model", type=FILE)
@click.option("--text", type=FILE, metavar="FILE", help="Text or manifest to measure perplexity on.")
@click.option(
    "--bundle", type=FILE, metavar="DIR", help="Normalise it to the labels of this bundle; by default to English."
)
@LABELS
@JSON
@MARKDOWN
def lm_info(
    model: Path, text: Path | None, bundle: Path | None, labels: str | None, as_json: bool, markdown: bool
) -> None:
    """Print the kind, order, words, n-grams and size of a KenLM MODEL, and its perplexity on a text."""
    from edgespeech.reference.language_model.info import inspect_language_model
    from edgespeech.runtime.measure.tables import output_text

    found = inspect_language_model(model, text, _symbols(bundle, labels))
    click.echo(json.dumps(found.as_dict()) if as_json else output_text([found.table()], markdown))


@lm.command("words", short_help="List words of a text that a model does not know.")
@click.argument("texts", type=FILE, nargs=-1, required=True)
@BUNDLE
@_LM
@output_file("-o", "--output", help="File of hot words to write; default: standard output.")
@OVERWRITE
@click.option("--min-count", type=int, default=1, show_default=True, metavar="N", help="How often a word must occur.")
@click.option("--min-letters", type=int, default=4, show_default=True, metavar="N", help="Letters it must have.")
@click.option("--limit", type=int, default=1000, show_default=True, metavar="N", help="Most words to list.")
@click.option("--boost", type=float, default=8.0, show_default=True, metavar="X", help="Boost of each word.")
def lm_words(
    texts: tuple[Path, ...], bundle: Path | None, lm: Path | None, output: Path | None, **settings: Any
) -> None:
    """List words of TEXTS that the language model does not know, as hot words, the most frequent first.

    Give the list to --hot-words of the commands that recognise speech. Many words cost errors elsewhere: with
    more text than a list, `edgespeech adapt --text` is better.
    """
    from edgespeech.reference.language_model.unknown_words import WordsRequest, find_unknown_words
    from edgespeech.runtime.bundle import load_bundle
    from edgespeech.runtime.files import replacing

    opened = load_bundle(bundle)
    lm = lm or opened.language_model_path
    if lm is None:
        raise UsageError(f"bundle {opened.folder} has no language model; name one with --lm")
    found = find_unknown_words(WordsRequest(texts=texts, lm=lm, labels=opened.manifest.labels, **settings))
    lines = "".join(f"{line}\n" for line in found.lines())
    if output is None:
        click.echo(lines, nl=False)
        return
    with replacing(output) as file:
        file.write(lines.encode())
    click.echo(f"{output}: {len(found.listed)} hot words")


@lm.command("tune", short_help="Find the best language model weights.")
@click.argument("manifest", type=FILE)
@BUNDLE
@_LM
@output_bundle("-o", "--output", metavar="DIR",
               help="Write a tuned copy to this folder instead of changing the bundle.")  # fmt: skip
@OVERWRITE
@click.option("--dry-run", is_flag=True, help="Print the result without changing the bundle.")
@click.option(
    "--report-on", type=FILE, metavar="MANIFEST", help="Manifest of other speech, for an unbiased error rate."
)
@click.option(
    "--minutes", type=float, default=4.0, show_default=True, help="CPU time limit of the weight search, in minutes."
)
@click.option(
    "--search-beam",
    type=int,
    default=64,
    show_default=True,
    metavar="N",
    help="Beam width used during the weight search.",
)
@click.option("--beams", default="16,32,64,128", show_default=True, metavar="N,N", help="Beam widths to choose from.")
@output_file("--picture", metavar="FILE.png", help="Write a PNG of the WER over alpha and beta.")
@JSON
@MARKDOWN
@_CACHE
def lm_tune(
    manifest: Path, minutes: float, search_beam: int, beams: str, as_json: bool, markdown: bool, **settings: Any
) -> None:
    """Find the best language model weights and beam width for speech like that in MANIFEST.

    The result becomes the bundle's default. With --lm, that model is also put into the bundle. The error rate on
    MANIFEST itself is optimistic: --report-on measures on other speech.
    """
    from edgespeech.demo.tune_decoder.bundle_tuning import TuneRequest, tune_bundle
    from edgespeech.runtime.measure.tables import output_text

    if not 0.0 < minutes < math.inf:
        raise UsageError(f"minutes is {minutes:g}; wanted a number above 0")
    widths = _beam_widths(beams)
    request = TuneRequest(manifest=manifest, minutes=minutes, search_beam=_width(search_beam), beams=widths, **settings)
    found = tune_bundle(request)
    click.echo(json.dumps(found.as_dict()) if as_json else output_text(found.page(), markdown))


@lm.command("compare", short_help="Compare beam search decoders.")
@click.argument("manifest", type=FILE)
@BUNDLE
@_LM
@click.option("--beams", default="16,64,256", show_default=True, metavar="N,N", help="Beam widths to measure at.")
@click.option("--decoder", "names", multiple=True, metavar="NAME", help="Compare only this decoder; repeatable.")
@click.option(
    "--weights",
    multiple=True,
    metavar="NAME=ALPHA,BETA,UNKNOWN",
    help="Use these weights instead of tuning this decoder; repeatable.",
)
@click.option("--tune-every", type=int, default=3, show_default=True, metavar="N", help="Tune on every Nth utterance.")
@click.option(
    "--minutes", type=float, default=1.0, show_default=True, help="CPU time limit of tuning one decoder, in minutes."
)
@JSON
@MARKDOWN
@_CACHE
def lm_compare(
    manifest: Path, beams: str, names: tuple[str, ...], weights: tuple[str, ...], minutes: float, **settings: Any
) -> None:
    """Compare beam searches on the log-probabilities of MANIFEST: edgespeech, flashlight-text, pyctcdecode.

    Each decoder has its own weights, tuned in the same way. Error rates and CPU times are measured in turns, on one
    thread.
    """
    from edgespeech.demo.tune_decoder.decoder_comparison import CompareRequest, compare_decoders, parse_weights
    from edgespeech.runtime.measure.tables import output_text

    if not 0.0 < minutes < math.inf:
        raise UsageError(f"minutes is {minutes:g}; wanted a number above 0")
    as_json, markdown = settings.pop("as_json"), settings.pop("markdown")
    request = CompareRequest(
        manifest, beam_widths=_beam_widths(beams), decoders=names, given=parse_weights(weights), seconds=60.0 * minutes,
        **settings,
    )  # fmt: skip
    found = compare_decoders(request)
    click.echo(json.dumps(found.as_dict()) if as_json else output_text(found.page(), markdown))


def _beam_widths(text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({_width(int(part)) for part in text.split(",")}))
    except ValueError:
        raise UsageError(f"beams are {text!r}; wanted widths with commas between, such as 16,64,256") from None


def _width(beam_width: int) -> int:
    if not 1 <= beam_width <= 10_000:
        raise UsageError(f"beam width is {beam_width}; wanted 1 to 10000")
    return beam_width
