"""The commands ``edgespeech tune-device`` and ``edgespeech doctor``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from edgespeech.demo.commands.bench import BEAMS, CHUNKS, providers_to_try, threads_from, values
from edgespeech.demo.commands.options import BUNDLE, FILE, JSON


@click.command("tune-device", short_help="Find the fastest settings for this device.")
@BUNDLE
@click.option("--also", type=FILE, multiple=True, metavar="DIR",
              help="Other form or precision of the model that may be used instead; repeatable.")  # fmt: skip
@click.option("--max-latency-ms", type=float, default=1000.0, show_default=True, metavar="MS",
              help="Maximum latency: chunk, look-ahead and processing time.")  # fmt: skip
@click.option("--max-wer-increase", type=float, default=1.0, show_default=True, metavar="X",
              help="Maximum increase of the word error rate over the bundle's own settings, in percentage points.",
              )  # fmt: skip
@click.option("--dev", type=FILE, metavar="MANIFEST",
              help="Manifest to measure word errors on instead of the sample clips.")  # fmt: skip
@click.option("--threads", metavar="N,N", callback=values(threads_from),
              help="Numbers of threads to try; default: 1, 2, 4 and all cores.")  # fmt: skip
@click.option("--provider", "providers", default="all", show_default=True, metavar="A,B", callback=values(str),
              help="Providers to try; `all` for every one that loads.")  # fmt: skip
@CHUNKS
@BEAMS
@click.option("--quick", is_flag=True, help="Measure for a shorter time, which is less certain.")
@click.option("--forget", is_flag=True, help="Only delete the stored settings of this bundle.")
@JSON
def tune_device(bundle: Path | None, forget: bool, as_json: bool, **options: Any) -> None:
    """Find the fastest settings within a budget on this device and store them; `live` then uses them."""
    from edgespeech.demo.tune_device.search import TuneRequest, tune
    from edgespeech.demo.tune_device.settings import forget_settings
    from edgespeech.runtime.bundle import load_bundle

    loaded = load_bundle(bundle)
    if forget:
        click.echo("forgotten" if forget_settings(loaded) else "nothing was remembered for this bundle")
        return
    providers = providers_to_try(options.pop("providers"), loaded.folder)
    outcome = tune(loaded, TuneRequest(providers=providers, **options))
    click.echo(json.dumps(outcome.as_dict()) if as_json else outcome.table())


@click.command()
@BUNDLE
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of the checks.")
@click.pass_context
def doctor(context: click.Context, bundle: Path | None, as_json: bool) -> None:
    """Check the installation and print how to fix what is missing."""
    from edgespeech.demo.doctor.checks import all_required_work, examine, render

    checks = examine(bundle)
    click.echo(json.dumps([check.as_dict() for check in checks]) if as_json else render(checks))
    if not all_required_work(checks):
        context.exit(1)
