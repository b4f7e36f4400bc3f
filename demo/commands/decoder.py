"""The commands ``edgespeech hot-words`` and ``edgespeech confidence``, which measure the decoder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click

from edgespeech.demo.commands.options import FILE, JSON, MARKDOWN, load_recognizer, recognizer_options
from edgespeech.errors import UsageError
from edgespeech.runtime.options import RecognizerRequest


@click.command("hot-words", short_help="Measure recall and precision of hot words.")
@click.argument("manifest", type=FILE)
@JSON
@MARKDOWN
@recognizer_options("nbest")
def hot_words(manifest: Path, as_json: bool, markdown: bool, request: RecognizerRequest) -> None:
    """Measure recall and precision of hot words on a MANIFEST, without and with their boosts.

    The hot words are those of --hot-word and --hot-words.
    """
    from edgespeech.demo.evaluation.hot_words import compare_hot_words, hot_word_table
    from edgespeech.runtime.measure.tables import output_text

    phrases = request.options.hot_words
    if not phrases:
        raise UsageError("no hot words to count; give --hot-word WORDS:BOOST or --hot-words FILE")
    recognizer = load_recognizer(replace(request, options=replace(request.options, hot_words=None)))
    without, boosted = compare_hot_words(recognizer, manifest, phrases)
    both = {"without": without.as_dict(), "with": boosted.as_dict()}
    click.echo(json.dumps(both) if as_json else output_text([hot_word_table(without, boosted)], markdown))


@click.command(short_help="Compare word confidences with accuracy.")
@click.argument("manifest", type=FILE)
@JSON
@MARKDOWN
@recognizer_options("nbest")
def confidence(manifest: Path, as_json: bool, markdown: bool, request: RecognizerRequest) -> None:
    """Compare the confidences of words with their accuracy on a MANIFEST."""
    from edgespeech.demo.evaluation.confidence import measure_calibration
    from edgespeech.runtime.measure.tables import output_text

    found = measure_calibration(load_recognizer(request), manifest)
    click.echo(json.dumps(found.as_dict()) if as_json else output_text(found.page(), markdown))
