"""The command ``edgespeech evaluate``."""

from __future__ import annotations

import json
import logging
import shlex
import sys
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import click

from edgespeech.demo.commands.options import FILE, load_recognizer, recognizer_options
from edgespeech.errors import UsageError
from edgespeech.runtime.dependencies import require
from edgespeech.runtime.options import RecognizerRequest

log = logging.getLogger(__name__)


@click.command()
@click.argument("manifests", type=FILE, nargs=-1, required=True)
@click.option("--noise", type=FILE, multiple=True, metavar="FOLDER", help="Also in noise from this folder.")
@click.option("--snr", default="20,10,5,0", show_default=True, metavar="DB,DB", help="Speech above noise.")
@click.option("--rooms", type=FILE, multiple=True, metavar="FOLDER", help="Also in rooms: impulse responses.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only N utterances of each manifest.")
@click.option("--confusions", "most", type=click.IntRange(0), default=0, metavar="N",
              help="Also the N most frequent errors of each kind.")  # fmt: skip
@click.option("--against", type=FILE, metavar="DIR", help="Another bundle, and whether the two differ beyond noise.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per manifest and condition.")
@click.option("--markdown", is_flag=True, help="A table in Markdown.")
@click.option(
    "--into", metavar="FILE#NAME", help="Put the Markdown between <!-- NAME: begin --> and <!-- NAME: end -->."
)
@click.option("--save", type=FILE, metavar="FILE", help="Write what was said and heard to a JSON-lines file.")
@recognizer_options
def evaluate(
    manifests: tuple[Path, ...],
    noise: tuple[Path, ...],
    snr: str,
    rooms: tuple[Path, ...],
    limit: int | None,
    most: int,
    against: Path | None,
    as_json: bool,
    markdown: bool,
    into: str | None,
    save: Path | None,
    request: RecognizerRequest,
) -> None:
    """Measure word error rate and speed on MANIFESTS (NeMo-style JSON lines), as recorded, in noise and in rooms."""
    from edgespeech.demo.evaluation import table as tables
    from edgespeech.runtime.files import require_writable
    from edgespeech.runtime.measure.evaluation import AS_RECORDED, evaluate_manifest, save_hypotheses
    from edgespeech.runtime.measure.tables import find_marks, insert_between_marks

    if as_json and (markdown or into):
        raise UsageError("--json and --markdown (or --into) clash; choose one")
    place = find_marks(into) if into else None
    if save is not None:
        require_writable(save)
    heard_as = [AS_RECORDED]
    if noise or rooms:
        require("scipy", "train")
        from edgespeech.demo.evaluation.conditions import conditions

        heard_as = conditions(noise, _decibels(snr), rooms)
    recognizer = load_recognizer(request)
    other = load_recognizer(replace(request, bundle=against)) if against else None
    found = [evaluate_manifest(recognizer, path, condition, limit) for path in manifests for condition in heard_as]
    others = [evaluate_manifest(other, path, condition, limit) for path in manifests for condition in heard_as if other]
    if save is not None:
        save_hypotheses(save, found)
    if as_json:
        for one, twin in zip_longest(found, others):
            extra = {"confusions": tables.confusions(one, most)} if most else {}
            extra |= {"against": tables.against(one, twin)} if twin else {}
            click.echo(json.dumps({**one.as_dict(), **extra}))
        return
    lines = [tables.against_line(*pair, against) for pair in zip(found, others, strict=True)] if against else []
    lines += [line for one in found for line in tables.confusion_lines(one, most)] if most else []
    if markdown or place:
        facts = recognizer.bundle.manifest
        digest = facts.files["acoustic.onnx"].sha256[:12]
        command = shlex.join(["edgespeech", *sys.argv[1:]])
        made = f"Bundle `{facts.name}`, {facts.graph.precision}, acoustic.onnx {digest}; `{command}`"
        listed = ["", "```", *lines, "```"] if lines else []
        text = "\n".join([tables.markdown_table(found), made, *listed])
    else:
        text = "\n".join([tables.summary(found[0]) if len(found) == 1 else tables.text_table(found), *lines])
    if place is not None:
        insert_between_marks(*place, text)
        log.info(f"{into}: {len(found)} rows")
    else:
        click.echo(text)


def _decibels(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--snr {text!r}: wanted decibels with commas between them, such as 20,10,5,0") from None
