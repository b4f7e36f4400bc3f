"""``edgespeech live`` and ``edgespeech devices``: the microphone."""

from __future__ import annotations

import sys
from typing import Any

import click

from edgespeech.demo.commands.options import FILE, load_recognizer, recognizer_options
from edgespeech.demo.commands.outputs import OVERWRITE, may_overwrite
from edgespeech.runtime.options import RecognizerRequest


@click.command(short_help="Transcribe the microphone while you speak.")
@click.option("--device", "devices", multiple=True, metavar="NAME|INDEX|system",
              help="Microphone: part of its name or its index in `edgespeech devices`; `system` is what the "
                   "computer plays. Repeatable.")  # fmt: skip
@click.option("--replay", "replays", type=FILE, multiple=True, metavar="FILE",
              help="Play a recording instead of the microphone, - for standard input; repeatable.")  # fmt: skip
@click.option("--mix", is_flag=True, help="Mix the devices or replays into one stream, instead of one stream for each.")
@click.option("--channel", default="mix", show_default=True, metavar="N|mix|each",
              help="Channel to read, from 1; the mean of all; or each as a source of its own.")  # fmt: skip
@click.option("--raw", metavar="FORMAT:RATE:CHANNELS",
              help="Format of samples without a header, such as s16le:8000:2 (FILE is -, .raw or .pcm).")  # fmt: skip
@click.option("--speed", type=float, default=1.0, show_default=True,
              help="Playback speed of the replay; 0 is as fast as possible.")  # fmt: skip
@click.option("--rate", type=int, metavar="HZ",
              help="Sample rate to open the microphone at; default: the rate it prefers.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event.")
@click.option("--save", type=FILE, metavar="FILE", help="Also write finals to a .txt, .srt, .vtt or .jsonl file.")
@click.option("--append", is_flag=True, help="Add the finals to a .txt or .jsonl file that exists.")
@click.option("--record", type=FILE, metavar="FILE", help="Also write the audio to a .wav file, to replay it later.")
@click.option("--captions", type=FILE, metavar="FILE",
              help="Always keep the newest two lines in a text file, for OBS; empty after silence.")  # fmt: skip
@OVERWRITE
@click.option("--latency-report", "--ledger", "latency_report", is_flag=True,
              help="Measure the latency and print its parts at the end.")  # fmt: skip
@click.option("--fast-partials/--slow-partials", default=True, show_default=True,
              help="Show words before their look-ahead has arrived, at twice the computation.")  # fmt: skip
@recognizer_options()
def live(request: RecognizerRequest, as_json: bool, **options: Any) -> None:
    """Transcribe the microphone while you speak; Enter or space ends a segment, Ctrl-C the session."""
    from edgespeech.demo.live.terminal import run_on_terminal
    from edgespeech.demo.tune_device.settings import with_device_settings
    from edgespeech.runtime.live.request import LiveRequest

    live_request = LiveRequest(overwrite=may_overwrite(), **options)
    recognizer = load_recognizer(with_device_settings(request), for_people=is_for_people(as_json))
    run_on_terminal(recognizer, live_request, as_json)


def is_for_people(as_json: bool) -> bool:
    """Return whether standard output is a terminal, and shows text."""
    return not as_json and sys.stdout is not None and sys.stdout.isatty()


@click.command(short_help="List microphones and their sample rates.")
def devices() -> None:
    """List microphones and the sample rates they open at, and whether what the computer plays can be recorded."""
    from edgespeech.runtime.live.microphone import list_microphones
    from edgespeech.runtime.live.system_source import describe_system

    click.echo(describe_system())
    for microphone in list_microphones():
        click.echo(str(microphone))
