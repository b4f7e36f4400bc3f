"""The command ``edgespeech evaluate``: its options and what it prints."""

from __future__ import annotations

import logging
import shlex
import sys
from dataclasses import replace
from typing import Any

import click

from edgespeech.demo.commands.options import FILE, engine_options, load_recognizer, load_request, recognizer_options
from edgespeech.demo.commands.outputs import OVERWRITE, output_file
from edgespeech.runtime.options import RecognizerRequest

log = logging.getLogger(__name__)


@click.command(short_help="Measure word error rate and speed.")
@click.argument("manifests", type=FILE, nargs=-1, required=True)
@click.option("--noise", type=FILE, multiple=True, metavar="FOLDER",
              help="Also measure with noise from this folder added; repeatable.")  # fmt: skip
@click.option("--snr", default="20,10,5,0", show_default=True, metavar="DB,DB",
              help="Signal-to-noise ratios at which noise is added.")  # fmt: skip
@click.option("--rooms", type=FILE, multiple=True, metavar="FOLDER",
              help="Also measure with room impulse responses from this folder; repeatable.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), metavar="N",
              help="Use only N utterances of each manifest, spread evenly over it; default: all.")  # fmt: skip
@click.option("--confusions", type=click.IntRange(0), default=0, metavar="N",
              help="Also print the N most frequent errors of each kind.")  # fmt: skip
@click.option("--against", type=FILE, metavar="DIR",
              help="Compare with another bundle: the difference, and whether it is statistically significant.",
              )  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per manifest and condition.")
@click.option("--markdown", is_flag=True, help="Print a Markdown table.")
@click.option("--into", metavar="FILE#NAME",
              help="Write Markdown between <!-- NAME: begin --> and <!-- NAME: end --> of a document.")  # fmt: skip
@output_file("--save", help='JSON-lines file for references (text) and hypotheses (pred_text, also as "heard").')
@OVERWRITE
@click.option("--normalise/--no-normalise", default=True, show_default=True,
              help="Remove punctuation from references and hypotheses before words are compared.")  # fmt: skip
@engine_options
@recognizer_options("nbest")
def evaluate(request: RecognizerRequest, **options: Any) -> None:
    """Measure word error rate and speed on MANIFESTS (NeMo-style JSON lines), as recorded, in noise and in rooms."""
    from edgespeech.demo.evaluation.evaluate import (
        EvaluateRequest,
        evaluate_bundles,
        evaluate_by_engine,
        json_lines,
        results_page,
    )
    from edgespeech.demo.jobs.engine import Engine
    from edgespeech.runtime.measure.evaluation import save_hypotheses
    from edgespeech.runtime.measure.tables import find_marks, insert_between_marks, markdown_text, output_text

    engine = Engine(*(options.pop(name) for name in ("jobs", "engine", "address")))
    wanted = EvaluateRequest(**options)
    conditions = wanted.acoustics.conditions()
    requests = [request, *([replace(request, bundle=wanted.against)] if wanted.against else [])]
    if engine == Engine():
        recognizers = [load_recognizer(one) for one in requests]
        bundle = recognizers[0].bundle
        results = evaluate_bundles(wanted, conditions, recognizers)
    else:
        bundles = [load_request(one) for one in requests]
        bundle = bundles[0][0]
        results = evaluate_by_engine(wanted, bundles, engine)
    if wanted.save is not None:
        save_hypotheses(wanted.save, [one.evaluation for one in results])
    if wanted.as_json:
        click.echo(json_lines(wanted, results))
        return
    page = results_page(wanted, results, bundle, shlex.join(["edgespeech", *sys.argv[1:]]))
    if wanted.into is None:
        click.echo(output_text(page, wanted.markdown))
    else:
        insert_between_marks(*find_marks(wanted.into), markdown_text(page))
        log.info("%s: %d rows", wanted.into, len(results))
