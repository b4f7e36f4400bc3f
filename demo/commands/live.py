"""``edgespeech live`` and ``edgespeech devices``: the microphone."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from edgespeech.demo.commands.options import FILE, load_recognizer, recognizer_options
from edgespeech.runtime.options import RecognizerRequest

log = logging.getLogger(__name__)


@click.command()
@click.option("--device", "devices", multiple=True, metavar="NAME|INDEX",
              help="Microphone: part of its name, or its number in `devices`; may be given several times.")  # fmt: skip
@click.option("--replay", "replays", type=FILE, multiple=True, metavar="FILE", help="Play a recording instead.")
@click.option("--speed", type=float, default=1.0, show_default=True, help="Of the replay; 0 is as fast as possible.")
@click.option("--rate", type=int, metavar="HZ", help="Open the microphone at this rate; default: its own.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per event and line.")
@click.option("--save", type=FILE, metavar="FILE", help="Also write finals to a .txt, .srt, .vtt or .jsonl file.")
@click.option("--record", type=FILE, metavar="FILE", help="Also write the sound to a .wav file, to replay it later.")
@click.option("--ledger", is_flag=True, help="Measure where the latency comes from, and show it at the end.")
@click.option("--fast-partials/--slow-partials", default=True, show_default=True,
              help="Show words before their look-ahead is there; twice the computing.")  # fmt: skip
@recognizer_options
def live(
    devices: tuple[str, ...],
    replays: tuple[Path, ...],
    speed: float,
    rate: int | None,
    as_json: bool,
    save: Path | None,
    record: Path | None,
    ledger: bool,
    fast_partials: bool,
    request: RecognizerRequest,
) -> None:
    """Transcribe the microphone while you speak; Ctrl-C ends."""
    from edgespeech.demo.live.session import live as run
    from edgespeech.demo.tune_device.settings import with_device_settings

    run(
        load_recognizer(with_device_settings(request)),
        devices=devices,
        replays=replays,
        speed=speed,
        rate=rate,
        as_json=as_json,
        save=save,
        record=record,
        ledger=ledger,
        fast_partials=fast_partials,
    )


@click.command()
def devices() -> None:
    """List microphones and the rates they open at."""
    from edgespeech.runtime.live.microphone import list_microphones

    for microphone in list_microphones():
        click.echo(str(microphone))
