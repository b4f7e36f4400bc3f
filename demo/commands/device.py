"""``edgespeech tune-device`` and ``edgespeech doctor``: this device."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import click

from edgespeech.demo.commands.bench import BEAMS, CHUNKS, providers_to_try, threads_from, values
from edgespeech.demo.commands.options import FILE

log = logging.getLogger(__name__)


@click.command("tune-device")
@click.option("--bundle", type=FILE, metavar="DIR", help="Bundle to find the best settings for; default: ours.")
@click.option("--also", type=FILE, multiple=True, metavar="DIR",
              help="Another form or precision of the model that may be used instead; may be repeated.")  # fmt: skip
@click.option("--max-latency-ms", type=float, default=1000.0, show_default=True, metavar="MS",
              help="Chunk, look-ahead and computing together.")  # fmt: skip
@click.option("--max-wer-increase", type=float, default=1.0, show_default=True, metavar="X",
              help="Of the word errors with the bundle's own settings, in percent of the words.")  # fmt: skip
@click.option("--dev", type=FILE, metavar="MANIFEST", help="Count word errors on; default: the clips that ship.")
@click.option("--threads", metavar="N,N", callback=values(threads_from), help="To try; default: 1, 2, 4 and all.")
@click.option("--provider", "providers", default="all", show_default=True, metavar="A,B", callback=values(str),
              help="To try; `all`: every one that loads.")  # fmt: skip
@CHUNKS
@BEAMS
@click.option("--quick", is_flag=True, help="Less time, less certainty.")
@click.option("--forget", is_flag=True, help="Forget what was remembered for this bundle, and do nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def tune_device(bundle: Path | None, forget: bool, as_json: bool, **options: Any) -> None:
    """Find the fastest settings within a budget on this device; `live` uses them from then on."""
    from edgespeech.demo.tune_device.search import TuneSettings, tune
    from edgespeech.demo.tune_device.settings import forget_settings
    from edgespeech.runtime.bundle import load_bundle

    loaded = load_bundle(bundle)
    if forget:
        click.echo("forgotten" if forget_settings(loaded) else "nothing was remembered for this bundle")
        return
    options["providers"] = providers_to_try(options["providers"], loaded.folder)
    outcome = tune(loaded, TuneSettings(**options), log.info)
    click.echo(json.dumps(outcome.as_dict()) if as_json else outcome.table())


@click.command()
@click.option("--bundle", type=FILE, metavar="DIR", help="Bundle to look at; default: the one that ships.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def doctor(context: click.Context, bundle: Path | None, as_json: bool) -> None:
    """Say what is installed, what is missing for what, and the command that mends it."""
    from edgespeech.demo.doctor.checks import all_required_work, examine, render

    checks = examine(bundle)
    click.echo(json.dumps([check.as_dict() for check in checks]) if as_json else render(checks))
    if not all_required_work(checks):
        context.exit(1)
