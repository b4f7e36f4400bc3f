"""Commands that measure the search: ``edgespeech hot-words`` and ``edgespeech confidence``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click

from edgespeech.demo.commands.options import FILE, load_recognizer, recognizer_options
from edgespeech.errors import UsageError
from edgespeech.runtime.options import RecognizerRequest


@click.command("hot-words")
@click.argument("manifest", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@recognizer_options
def hot_words(manifest: Path, as_json: bool, request: RecognizerRequest) -> None:
    """Count how often hot words are heard in a MANIFEST, without and with their boost.

    The words are those of --hot-word and --hot-words.
    """
    from edgespeech.demo.evaluation.hot_words import compare_hot_words, rates_table

    phrases = request.options.hot_words
    if not phrases:
        raise UsageError("no hot words to count; give --hot-word WORDS:BOOST or --hot-words FILE")
    recognizer = load_recognizer(replace(request, options=replace(request.options, hot_words=None)))
    plain, boosted = compare_hot_words(recognizer, manifest, phrases)
    both = {"without": plain.as_dict(), "with": boosted.as_dict()}
    click.echo(json.dumps(both) if as_json else rates_table(plain, boosted))


@click.command()
@click.argument("manifest", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@recognizer_options
def confidence(manifest: Path, as_json: bool, request: RecognizerRequest) -> None:
    """Compare the confidence of words with the truth on a MANIFEST."""
    from edgespeech.demo.evaluation.confidence import calibrate_on

    found = calibrate_on(load_recognizer(request), manifest)
    click.echo(json.dumps(found.as_dict()) if as_json else found.table())
