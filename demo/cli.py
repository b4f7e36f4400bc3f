"""The command line: ``edgespeech``. Results go to standard output, everything else to standard error."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from edgespeech import __version__
from edgespeech.demo.bench_commands import bench, doctor, tune_device
from edgespeech.demo.data_commands import data
from edgespeech.demo.decoder_commands import confidence, hot_words
from edgespeech.demo.evaluate_command import evaluate
from edgespeech.demo.live_output import abandon_standard_output
from edgespeech.demo.lm_commands import lm
from edgespeech.demo.options import FILE, make_recognizer, recognizer_options, require, say
from edgespeech.errors import EdgespeechError, UsageError


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edgespeech")
@click.pass_context
def cli(context: click.Context) -> None:
    """Deep Speech 2 on the device: export a checkpoint, transcribe recordings and the microphone.

    \b
    edgespeech transcribe talk.wav            recordings to text, JSON or subtitles
    edgespeech live                           the microphone, word by word
    edgespeech export model.pt -o bundle/     a checkpoint to a verified streaming bundle
    """  # noqa: D301 (click reads the backspace)
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@cli.command()
@click.argument("audio", nargs=-1, required=True)
@click.option("--format", "form", type=click.Choice(["text", "json", "srt", "vtt"]), default="text", show_default=True)
@click.option("--rate", type=int, default=16000, show_default=True, metavar="HZ",
              help="Sample rate of raw 16-bit mono sound on standard input (AUDIO is -).")  # fmt: skip
@recognizer_options
def transcribe(audio: tuple[str, ...], form: str, rate: int, **options: Any) -> None:
    """Turn recordings into text.

    AUDIO is a WAV, FLAC, OGG, Opus or MP3 file of any rate and channel count, or - for raw sound from a pipe.
    """
    from edgespeech.demo.transcribe import transcribe_files

    if form in {"srt", "vtt"} and len(audio) > 1:
        raise UsageError(f"{len(audio)} recordings and --format {form}: subtitles are for one recording at a time")
    failed = transcribe_files(make_recognizer(**options), audio, form, rate, click.echo, say)
    if failed:
        raise click.exceptions.Exit(UsageError.exit_code)


@cli.command()
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
    **options: Any,
) -> None:
    """Transcribe the microphone while you speak; Ctrl-C ends."""
    from edgespeech.demo.device_settings import with_device_settings
    from edgespeech.demo.live import live as run

    run(
        make_recognizer(**with_device_settings(options, say)),
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


@cli.command()
def devices() -> None:
    """List microphones and the rates they open at."""
    from edgespeech.demo.microphone import list_microphones

    for microphone in list_microphones():
        click.echo(str(microphone))


@cli.command()
@click.argument("checkpoint", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, metavar="BUNDLE", help="Folder to write.")
@click.option("--form", type=click.Choice(["fused", "cells"]), default="fused", show_default=True,
              help="One recurrent operator, or cells unrolled over the chunk.")  # fmt: skip
@click.option("--chunk-ms", type=float, metavar="MS", help="Audio per step; default: the whole frames in 320 ms.")
@click.option("--precision", type=click.Choice(["fp32", "fp16", "int8", "int4"]), default="fp32",
              show_default=True, help="Of the weights; int4, and int8 but for LSTMs, make cells.")  # fmt: skip
@click.option("--fp16-compute", is_flag=True, help="With fp16: compute in it as well, for GPUs.")
@click.option("--speech", type=FILE, metavar="MANIFEST",
              help="Speech to calibrate and compare on; default: compare on the clips that ship.")  # fmt: skip
@click.option("--no-calibrate", is_flag=True, help="Leave the batch-norm statistics as they are despite --speech.")
@click.option("--blank-score", type=float, default=0.0, show_default=True,
              help="Natural log added to the blank: -1 leaves out fewer words.")  # fmt: skip
@click.option("--lm", type=FILE, metavar="FILE", help="KenLM model to put in.")
@click.option("--alpha", type=float, default=0.5, show_default=True, help="Default weight of the language model.")
@click.option("--beta", type=float, default=1.5, show_default=True, help="Default bonus for each word.")
@click.option(
    "--unknown-score", type=float, default=-10.0, show_default=True, help="Default log score of unknown words."
)
@click.option("--beam-width", type=int, default=64, show_default=True, help="Default beam width.")
@click.option("--least-confidence", type=float, default=0.0, show_default=True,
              help="Default mean confidence below which a segment is taken for noise.")  # fmt: skip
@click.option("--name", default="", help="Of the bundle; default: the checkpoint's.")
def export(checkpoint: Path, output: Path, speech: Path | None, **settings: Any) -> None:
    """Turn a CHECKPOINT into a streaming ONNX bundle, compared with it on real speech."""
    require("torch onnx", "export")
    from edgespeech.demo.export import export_bundle

    bundle = export_bundle(checkpoint, output, speech, settings, say)
    click.echo(str(bundle.folder))


@cli.command()
@click.argument("bundle", type=FILE, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print bundle.json.")
def info(bundle: Path | None, as_json: bool) -> None:
    """Say what is in a BUNDLE (default: the one that ships) and what its latency is made of."""
    from edgespeech.demo.inspect_bundle import describe
    from edgespeech.runtime.bundle import MANIFEST, load_bundle

    loaded = load_bundle(bundle)
    click.echo((loaded.folder / MANIFEST).read_text("utf-8").rstrip() if as_json else describe(loaded))


@cli.command()
@click.argument("bundle", type=FILE, required=False)
def verify(bundle: Path | None) -> None:
    """Check a BUNDLE: hashes, graph against description, chunked against whole, language model."""
    from edgespeech.demo.inspect_bundle import verify_bundle
    from edgespeech.runtime.bundle import load_bundle

    for line in verify_bundle(load_bundle(bundle)):
        click.echo(line)


@cli.command()
@click.argument("config", type=FILE)
@click.option("--resume", is_flag=True, help="Go on from the last state of this run.")
@click.option("--minutes", type=float, metavar="M", help="Stop after M minutes; go on later with --resume.")
def train(config: Path, resume: bool, minutes: float | None) -> None:
    """Train the reference model as CONFIG (a TOML file) says.

    Several GPUs: see `python -m edgespeech.reference.train`.
    """
    require("torch scipy", "train")
    from edgespeech.reference.config import read_training_config
    from edgespeech.reference.train import train as run

    outcome = run(read_training_config(config), config.parent, resume=resume, minutes=minutes, report=say)
    click.echo(str(outcome.best))


@cli.command()
@click.argument("checkpoints", type=FILE, nargs=-1, required=True)
@click.option("-o", "--output", type=FILE, required=True, metavar="FILE", help="Checkpoint to write.")
@click.option("--shares", metavar="X,X", help="Of each checkpoint; default: the same.")
@click.option("--half", is_flag=True, help="Write the weights as float16.")
def average(checkpoints: tuple[Path, ...], output: Path, shares: str | None, half: bool) -> None:
    """Average the weights of CHECKPOINTS of one model. Of one alone, --half makes a small copy."""
    require("torch scipy", "train")
    from edgespeech.demo.calibrate import require_writable
    from edgespeech.reference.averaging import average_checkpoints
    from edgespeech.reference.checkpoint import save_checkpoint

    try:
        wanted = [float(share) for share in shares.split(",")] if shares else [1.0] * len(checkpoints)
    except ValueError:
        raise UsageError(f"--shares {shares}: wanted numbers with commas between them, such as 0.4,0.6") from None
    require_writable(output)
    model, provenance = average_checkpoints(checkpoints, wanted)
    save_checkpoint(model, output, provenance, half)
    click.echo(str(output))


@cli.command()
@click.argument("checkpoint", type=FILE)
@click.option("--speech", type=FILE, required=True, metavar="MANIFEST", help="Speech to measure on; needs no texts.")
@click.option("-o", "--output", type=FILE, required=True, metavar="FILE", help="Checkpoint to write.")
@click.option("--dev", type=FILE, metavar="MANIFEST", help="Count word errors on; default: the same speech.")
@click.option("--half", is_flag=True, help="Write the weights as float16.")
def calibrate(checkpoint: Path, speech: Path, output: Path, dev: Path | None, half: bool) -> None:
    """Measure the batch-norm statistics of a CHECKPOINT anew, exactly, on speech."""
    require("torch scipy", "train")
    from edgespeech.demo.calibrate import calibrate_checkpoint

    click.echo(str(calibrate_checkpoint(checkpoint, speech, output, dev, half, say)))


@cli.command()
@click.argument("bundle", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, metavar="BUNDLE", help="Folder to write.")
@click.option("--precision", type=click.Choice(["fp16", "int8", "int4"]), required=True, help="Of the weights.")
@click.option("--fp16-compute", is_flag=True, help="With fp16: compute in it as well, for GPUs.")
@click.option("--speech", type=FILE, metavar="MANIFEST",
              help="Calibration speech; needs no texts. Default: the clips that ship.")  # fmt: skip
@click.option("--dev", type=FILE, metavar="MANIFEST", help="Count word errors on, before and after.")
@click.option("--dev-limit", type=click.IntRange(1), metavar="N", help="Only N utterances of it, from all over.")
@click.option("--baseline", type=FILE, metavar="BUNDLE",
              help="fp32 bundle to compare with, such as the fused form; default: BUNDLE itself.")  # fmt: skip
@click.option("--calibration", type=click.Choice(["auto", "minmax", "percentile", "entropy", "error"]), default="auto",
              show_default=True, help="How activation ranges are chosen.")  # fmt: skip
@click.option("--keep", multiple=True, metavar="WEIGHT", help="Leave a weight in the next higher precision.")
@click.option("--report", type=FILE, metavar="FILE", help="Write all figures as JSON, and a picture beside it.")
@click.option("--into", metavar="FILE#NAME", help="Put the tables between <!-- NAME: begin --> and <!-- NAME: end -->.")
@click.option("--sensitivity", is_flag=True, help="Also quantize each layer alone (with --dev: its word errors).")
@click.option("--max-wer-increase", type=float, metavar="X", help="Keep layers until WER rises by at most X percent.")
@click.option("--max-deletion-increase", type=float, metavar="X", help="The same for words left out.")
def quantize(
    bundle: Path, output: Path, max_wer_increase: float | None, max_deletion_increase: float | None, **settings: Any
) -> None:
    """Make a BUNDLE smaller: fp16, int8 or int4 weights, compared with fp32 on speech."""
    require("onnx", "export")
    from edgespeech.demo.quantize import QuantizeSettings, quantize_bundle
    from edgespeech.quantization.error_rates import Budget

    budget = Budget(max_wer_increase, max_deletion_increase)
    written = quantize_bundle(bundle, output, QuantizeSettings(budget=budget, **settings), say, click.echo)
    click.echo(str(written.folder))


cli.add_command(lm)
cli.add_command(hot_words)
cli.add_command(confidence)
cli.add_command(data)
cli.add_command(evaluate)
cli.add_command(bench)
cli.add_command(tune_device)
cli.add_command(doctor)


def main() -> None:
    """Run a command; every error of ours becomes one line on standard error."""
    try:
        code = cli.main(prog_name="edgespeech", standalone_mode=False)
        if sys.stdout is not None:  # closed by the caller
            sys.stdout.flush()
    except click.ClickException as error:
        say(f"edgespeech: {' '.join(error.format_message().split())}; see edgespeech --help")
        code = 2
    except EdgespeechError as error:
        say(f"edgespeech: {' '.join(str(error).split())}")
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        code = 130
    except (BrokenPipeError, SystemExit):  # the reader has gone; click makes the second of the first
        code = 0
        abandon_standard_output()
    except OSError as error:
        say(f"edgespeech: {' '.join(str(error).split())}; free some space or mend the path")
        code = 2
        abandon_standard_output()
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
