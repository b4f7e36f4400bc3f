"""Whether other training data makes as good a model: one small recipe, trained for the same time on a manifest.

python -m edgespeech.demo.experiments.training_data.compare true.jsonl
python -m edgespeech.demo.experiments.training_data.compare aligned.jsonl
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from random import Random

import click
import msgspec
import torch

from edgespeech.demo.experiments.alignment import FILE
from edgespeech.reference.model.checkpoint import load_checkpoint, save_checkpoint
from edgespeech.reference.training.config import TrainingConfig, read_training_config
from edgespeech.reference.training.train import Outcome, train
from edgespeech.runtime.manifest import Utterance, read_manifest, write_manifest

RECIPE = Path("reference/recipes/archive.toml")
NOISE = 0.5  # standard deviation, of that of a matrix: 79 % word errors instead of 48 %


def save_start(checkpoint: Path, path: Path, seed: int = 0) -> None:
    """Write a model that has forgotten much of what it knew: a checkpoint with noise in its matrices and kernels.

    Args:
        checkpoint: The model.
        path: File to write.
        seed: Seed of the noise.
    """
    random = torch.Generator().manual_seed(seed)
    model, _ = load_checkpoint(checkpoint)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.add_(NOISE * weight.std() * torch.randn(weight.shape, generator=random))
    save_checkpoint(model, path, {"start": checkpoint.name, "noise": NOISE})


def repeated(manifest: Path, hours: float, seed: int = 0) -> list[Utterance]:
    """Return clips of a manifest in random order, as often as needed for this many hours."""
    random, found, seconds = Random(seed), list[Utterance](), 0.0
    clips = read_manifest(manifest)
    while seconds < 3600.0 * hours:
        if len(found) % len(clips) == 0:
            random.shuffle(clips)
        found.append(clips[len(found) % len(clips)])
        seconds += found[-1].duration or 0.0
    return found


def configured(recipe: Path, manifest: Path, hours: float) -> TrainingConfig:
    """Return a recipe for this manifest, with this much training speech in an epoch."""
    config = read_training_config(recipe)
    folder = manifest.absolute().parent
    train = folder / f"{manifest.stem}_repeated.jsonl"
    write_manifest(train, repeated(manifest, hours, config.optimisation.seed))
    return msgspec.structs.replace(
        config,
        output=str(folder / f"{manifest.stem}_model"),
        start=str(folder / "start.pt"),
        data=msgspec.structs.replace(config.data, train=(str(train),)),
    )


def run(recipe: Path, checkpoint: Path, manifest: Path, hours: float) -> tuple[TrainingConfig, Outcome]:
    """Train on a manifest; an interrupted run continues."""
    config = configured(recipe, manifest, hours)
    assert config.start is not None
    if not Path(config.start).exists():
        save_start(checkpoint, Path(config.start), config.optimisation.seed)
    return config, train(config, recipe.absolute().parent, resume=True)


@click.command()
@click.argument("manifest", type=FILE)
@click.option("--recipe", type=FILE, default=RECIPE, show_default=True)
@click.option("--checkpoint", type=FILE, default=Path("models/edge.pt"), show_default=True, help="Model to begin with.")
@click.option("--hours", default=0.8, show_default=True, help="Training speech in an epoch.")
def main(manifest: Path, recipe: Path, checkpoint: Path, hours: float) -> None:
    """Print greedy word errors on the dev speech of the recipe."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    config, outcome = run(recipe, checkpoint, manifest, hours)
    trained = outcome.position
    click.echo(json.dumps({
        "manifest": manifest.name, "clips": len(read_manifest(manifest)), "epochs": config.optimisation.epochs,
        "steps": trained.step, "minutes": trained.trained_seconds / 60.0, "best_wer": outcome.wer,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
