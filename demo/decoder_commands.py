"""Commands that measure the search: ``edgespeech hot-words`` and ``edgespeech confidence``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from edgespeech.demo.options import FILE, make_recognizer, recognizer_options
from edgespeech.errors import UsageError


@click.command("hot-words")
@click.argument("manifest", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@recognizer_options
def hot_words(manifest: Path, as_json: bool, **options: Any) -> None:
    """Count how often hot words are heard in a MANIFEST, without and with their boost.

    The words are those of --hot-word and --hot-words.
    """
    from edgespeech.demo.hot_word_rates import compare_hot_words, rates_table
    from edgespeech.demo.options import chosen_hot_words

    phrases = chosen_hot_words(options["hot_word"], options["hot_words"])
    if not phrases:
        raise UsageError("no hot words to count; give --hot-word WORDS:BOOST or --hot-words FILE")
    recognizer = make_recognizer(**{**options, "hot_word": (), "hot_words": None})
    plain, boosted = compare_hot_words(recognizer, manifest, phrases)
    both = {"without": plain.as_dict(), "with": boosted.as_dict()}
    click.echo(json.dumps(both) if as_json else rates_table(plain, boosted))


@click.command()
@click.argument("manifest", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@recognizer_options
def confidence(manifest: Path, as_json: bool, **options: Any) -> None:
    """Compare the confidence of words with the truth on a MANIFEST."""
    from edgespeech.demo.confidence_rates import calibrate_on

    found = calibrate_on(make_recognizer(**options), manifest)
    click.echo(json.dumps(found.as_dict()) if as_json else found.table())
