"""The commands that write checkpoints: train, average, calibrate."""

from __future__ import annotations

from pathlib import Path

import click

from edgespeech.demo.commands.options import FILE
from edgespeech.demo.commands.outputs import OVERWRITE, output_file
from edgespeech.errors import UsageError
from edgespeech.runtime.dependencies import require


@click.command(short_help="Train a model by a recipe.")
@click.argument("config", type=FILE)
@click.option("--resume", is_flag=True, help="Continue from the last state of this run.")
@click.option("--minutes", type=float, metavar="M",
              help="Stop after M minutes, and continue later with --resume; default: no limit.")  # fmt: skip
def train(config: Path, resume: bool, minutes: float | None) -> None:
    """Train a model by the recipe CONFIG (a TOML file).

    For several GPUs, see `python -m edgespeech.reference.training.train`.
    """
    require("torch scipy", "train")
    from edgespeech.reference.training.config import read_training_config
    from edgespeech.reference.training.train import train as run

    outcome = run(read_training_config(config), config.parent, resume=resume, minutes=minutes)
    if outcome.best.exists():
        click.echo(str(outcome.best))


@click.command(short_help="Average checkpoints of one model.")
@click.argument("checkpoints", type=FILE, nargs=-1, required=True)
@output_file("-o", "--output", required=True, help="Checkpoint to write.")
@OVERWRITE
@click.option("--weights", "--shares", "weights", metavar="X,X", 
              help="Mixing weight of each checkpoint; default: equal.")  # fmt: skip
@click.option("--half", is_flag=True, help="Store the weights as float16.")
def average(checkpoints: tuple[Path, ...], output: Path, weights: str | None, half: bool) -> None:
    """Average the parameters of CHECKPOINTS of one model; with --half, a single one becomes a small copy."""
    require("torch scipy", "train")
    from edgespeech.reference.model.checkpoint import save_checkpoint
    from edgespeech.reference.training.averaging import average_checkpoints
    from edgespeech.runtime.files import require_writable

    try:
        wanted = [float(weight) for weight in weights.split(",")] if weights else [1.0] * len(checkpoints)
    except ValueError:
        raise UsageError(f"--weights {weights}: wanted numbers with commas between them, such as 0.4,0.6") from None
    require_writable(output, create=True)
    model, provenance = average_checkpoints(checkpoints, wanted)
    save_checkpoint(model, output, provenance, half)
    click.echo(str(output))


@click.command(short_help="Measure batch-norm statistics again.")
@click.argument("checkpoint", type=FILE)
@click.option(
    "--speech",
    type=FILE,
    required=True,
    metavar="MANIFEST",
    help="Speech to measure the statistics on; needs no texts.",
)
@output_file("-o", "--output", required=True, help="Checkpoint to write.")
@OVERWRITE
@click.option("--dev", type=FILE, metavar="MANIFEST", help="Speech to count word errors on; default: the same.")
@click.option("--half", is_flag=True, help="Store the weights as float16.")
def calibrate(checkpoint: Path, speech: Path, output: Path, dev: Path | None, half: bool) -> None:
    """Measure the batch-norm statistics of CHECKPOINT again, exactly, on speech."""
    require("torch scipy", "train")
    from edgespeech.quantization import CalibrateRequest, calibrate_checkpoint

    click.echo(str(calibrate_checkpoint(checkpoint, output, CalibrateRequest(speech, dev, half)).path))
