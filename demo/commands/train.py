"""The commands that write checkpoints: train, average, calibrate."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from edgespeech.demo.commands.options import FILE
from edgespeech.errors import UsageError
from edgespeech.runtime.dependencies import require

log = logging.getLogger(__name__)


@click.command()
@click.argument("config", type=FILE)
@click.option("--resume", is_flag=True, help="Go on from the last state of this run.")
@click.option("--minutes", type=float, metavar="M", help="Stop after M minutes; go on later with --resume.")
def train(config: Path, resume: bool, minutes: float | None) -> None:
    """Train the reference model as CONFIG (a TOML file) says.

    Several GPUs: see `python -m edgespeech.reference.training.train`.
    """
    require("torch scipy", "train")
    from edgespeech.reference.training.config import read_training_config
    from edgespeech.reference.training.train import train as run

    outcome = run(read_training_config(config), config.parent, resume=resume, minutes=minutes, report=log.info)
    click.echo(str(outcome.best))


@click.command()
@click.argument("checkpoints", type=FILE, nargs=-1, required=True)
@click.option("-o", "--output", type=FILE, required=True, metavar="FILE", help="Checkpoint to write.")
@click.option("--shares", metavar="X,X", help="Of each checkpoint; default: the same.")
@click.option("--half", is_flag=True, help="Write the weights as float16.")
def average(checkpoints: tuple[Path, ...], output: Path, shares: str | None, half: bool) -> None:
    """Average the weights of CHECKPOINTS of one model. Of one alone, --half makes a small copy."""
    require("torch scipy", "train")
    from edgespeech.reference.model.checkpoint import save_checkpoint
    from edgespeech.reference.training.averaging import average_checkpoints
    from edgespeech.runtime.files import require_writable

    try:
        wanted = [float(share) for share in shares.split(",")] if shares else [1.0] * len(checkpoints)
    except ValueError:
        raise UsageError(f"--shares {shares}: wanted numbers with commas between them, such as 0.4,0.6") from None
    require_writable(output, create=True)
    model, provenance = average_checkpoints(checkpoints, wanted)
    save_checkpoint(model, output, provenance, half)
    click.echo(str(output))


@click.command()
@click.argument("checkpoint", type=FILE)
@click.option("--speech", type=FILE, required=True, metavar="MANIFEST", help="Speech to measure on; needs no texts.")
@click.option("-o", "--output", type=FILE, required=True, metavar="FILE", help="Checkpoint to write.")
@click.option("--dev", type=FILE, metavar="MANIFEST", help="Count word errors on; default: the same speech.")
@click.option("--half", is_flag=True, help="Write the weights as float16.")
def calibrate(checkpoint: Path, speech: Path, output: Path, dev: Path | None, half: bool) -> None:
    """Measure the batch-norm statistics of a CHECKPOINT anew, exactly, on speech."""
    require("torch scipy", "train")
    from edgespeech.quantization.checkpoint import calibrate_checkpoint

    click.echo(str(calibrate_checkpoint(checkpoint, speech, output, dev, half, log.info)))
