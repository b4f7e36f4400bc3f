"""The commands ``edgespeech tune-device`` and ``edgespeech doctor``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from edgespeech.demo.commands.bench import beams_option, chunks_option, providers_to_try, threads_from
from edgespeech.demo.commands.options import BUNDLE, FILE, JSON, MARKDOWN, values


@click.command("tune-device", short_help="Find the fastest settings for this device.")
@BUNDLE
@click.option("--also", type=FILE, multiple=True, metavar="DIR",
              help="Other form or precision of the model that may be used instead; repeatable.")  # fmt: skip
@click.option("--max-latency-ms", type=float, default=1000.0, show_default=True, metavar="MS",
              help="Maximum of chunk, look-ahead and compute time, which bound the latency.")  # fmt: skip
@click.option("--max-wer-increase", type=float, default=1.0, show_default=True, metavar="X",
              help="Maximum increase of the word error rate over the bundle's own settings, in percentage points.",
              )  # fmt: skip
@click.option("--dev", type=FILE, metavar="MANIFEST",
              help="Manifest to measure word errors on instead of the sample clips.")  # fmt: skip
@click.option("--threads", metavar="N,N", callback=values(threads_from),
              help="Numbers of threads to try; default: 1, 2, 4 and all cores.")  # fmt: skip
@click.option("--provider", "providers", default="all", show_default=True, metavar="A,B", callback=values(str),
              help="Providers to try; `all` for every one that loads.")  # fmt: skip
@chunks_option("about 80, 160, 320 and 640")
@beams_option("8, 16, 32, 64 and the bundle's")
@click.option("--quick", is_flag=True, help="Measure for a shorter time, which is less certain.")
@click.option("--forget", is_flag=True, help="Only delete the stored settings of this bundle.")
@JSON
@MARKDOWN
def tune_device(bundle: Path | None, forget: bool, as_json: bool, markdown: bool, **options: Any) -> None:
    """Find the fastest settings within a budget on this device and store them; `live` then uses them."""
    from edgespeech.demo.tune_device.search import TuneRequest, tune
    from edgespeech.demo.tune_device.settings import forget_settings
    from edgespeech.runtime.bundle import load_bundle
    from edgespeech.runtime.measure.tables import output_text

    loaded = load_bundle(bundle)
    if forget:
        click.echo("forgotten" if forget_settings(loaded) else "nothing was remembered for this bundle")
        return
    providers = providers_to_try(options.pop("providers"), loaded.folder)
    outcome = tune(loaded, TuneRequest(providers=providers, **options))
    click.echo(json.dumps(outcome.as_dict()) if as_json else output_text(outcome.page(), markdown))


# As in edgespeech.demo.doctor.checks, which is imported only when the command runs.
DOCTOR_PARTS = ("mic", "media", "export", "train", "report", "lm", "kenlm", "gpu")


@click.command(short_help="Check the installation and print how to fix what is missing.")
@click.argument("parts", nargs=-1, type=click.Choice(DOCTOR_PARTS), metavar="[PARTS]...")
@BUNDLE
@click.option("--device", metavar="NAME|INDEX",
              help="Microphone for the part `mic`: part of its name or its index in `edgespeech devices`.",
              )  # fmt: skip
@click.option("--seconds", type=float, metavar="X", help="Length of the recording for the part `mic`; default: 5.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of the checks.")
@click.pass_context
def doctor(
    context: click.Context,
    parts: tuple[str, ...],
    bundle: Path | None,
    device: str | None,
    seconds: float | None,
    as_json: bool,
) -> None:
    """Check the installation and print how to fix what is missing.

    The exit code is 1 if something that every command needs does not work. Optional parts may be missing, except for
    PARTS that are named; then no other ones are checked:

    \b
    mic     record from the microphone and judge the level of your speech
    media   read M4A, MP4, WebM and other files that libsndfile does not read
    export  `export` and `quantize`
    train   `train` and `calibrate`
    report  pictures of `bench --save` and `quantize --report`
    lm      `lm build`
    kenlm   the package kenlm, which reads language models faster
    gpu     compute the bundle on a GPU
    """  # noqa: D301
    from edgespeech.demo.doctor.checks import DoctorRequest, all_required_work, examine, render
    from edgespeech.demo.doctor.microphone import MicrophoneTrial
    from edgespeech.errors import UsageError

    if "mic" not in parts and not (device is None and seconds is None):
        raise UsageError("--device and --seconds are for the part mic; wanted: edgespeech doctor mic")
    trial = MicrophoneTrial(device) if seconds is None else MicrophoneTrial(device, seconds)
    checks = examine(DoctorRequest(bundle, tuple(dict.fromkeys(parts)), trial))
    click.echo(json.dumps([check.as_dict() for check in checks]) if as_json else render(checks))
    if not all_required_work(checks):
        context.exit(1)
