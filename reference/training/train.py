"""Training: CTC with AdamW, mixed precision, several workers, resume at any batch, averaged weights, best kept.

``edgespeech train CONFIG.toml`` for one process, ``torchrun --nproc-per-node 8 -m edgespeech.reference.training.train
CONFIG.toml`` for many. The output folder gets ``last.pt`` (to resume), ``best.pt`` and ``history.jsonl``.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from edgespeech.errors import ConfigError, EdgespeechError
from edgespeech.reference.data.acoustics import audio_files
from edgespeech.reference.data.augment import WaveAugmenter
from edgespeech.reference.data.batches import Batch, BatchMaker, BucketSampler, ClipDataset, Key, ResidentLoader
from edgespeech.reference.data.clips import build_labels, share_of, usable_clips
from edgespeech.reference.data.pronunciation import Pronunciations
from edgespeech.reference.model.checkpoint import load_checkpoint, load_plain, save_atomically, save_checkpoint
from edgespeech.reference.model.deep_speech2 import DeepSpeech2, frame_mask
from edgespeech.reference.model.labels import Labels
from edgespeech.reference.training.config import TrainingConfig, read_training_config
from edgespeech.reference.training.greedy import ErrorRates, greedy_error_rates
from edgespeech.reference.training.progress import Progress
from edgespeech.reference.training.trainer import Position, Trainer, build_trainer
from edgespeech.reference.training.workers import Workers

SAVE_EVERY_SECONDS = 300.0
LOADER_GRACE_SECONDS = 60
MEASURED_BATCHES = 32  # for the normalisation of features


@dataclass(frozen=True)
class Outcome:
    """What a call of `train` reached; ``wer`` is that of the best checkpoint on dev, greedy."""

    finished: bool
    position: Position
    wer: float
    best: Path


def measure_features(model: DeepSpeech2, batches: Iterable[Batch]) -> None:
    """Set the global normalisation to mean and deviation of training speech as it will sound (augmented)."""
    total = torch.zeros(2, model.config.features.width, dtype=torch.float64, device=model.features.mean.device)
    frames = 0
    with torch.no_grad():
        for batch in batches:
            spectrum = model.features(batch.samples.to(total.device))
            valid = batch.lengths // model.config.features.hop_samples
            heard = spectrum * frame_mask(valid, spectrum.shape[2], spectrum.device)[:, None]
            total += torch.stack([heard.sum((0, 2)), heard.square().sum((0, 2))]).double()
            frames += int(valid.sum())
    mean, square = total / max(1, frames)
    model.features.mean.copy_(mean)
    model.features.inverse_deviation.copy_((square - mean.square()).clamp(min=1e-4).rsqrt())


def measured(sampler: BucketSampler, load: Callable[[list[Key]], Batch], epoch: int) -> Iterator[Batch]:
    """Batches to measure features on: some of an epoch, counted from 0; the first is ordered."""
    keys = [[(epoch, index) for index in batch] for batch in sampler.batches(epoch)]
    yield from map(load, keys[:MEASURED_BATCHES])


def heard(loader: Iterable[Batch]) -> Iterator[Batch]:
    """The batches; an error in a loader process loses the traceback that torch writes into its message."""
    try:
        yield from loader
    except EdgespeechError as error:
        kind = type(error)
        raise kind(str(error).rpartition(f"{kind.__module__}.{kind.__name__}: ")[2]) from None


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a wish that is asked for between batches."""
    wishes: list[int] = []

    def wish(number: int, _: FrameType | None) -> None:
        wishes.append(number)
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, wish) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(wishes)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def memory_in_words() -> Iterator[None]:
    """Say in one line that a GPU's memory was too small.

    Raises:
        ConfigError: It was.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        reason = str(error).partition(". ")[2].partition(". ")[0] or str(error)
        raise ConfigError(f"the GPU's memory is full ({reason}); lower batch_seconds, or leave resident out") from None


def leave_signals_to_training(_: int) -> None:
    """A loader process must outlive a signal to its whole group: training stops after the batch at hand, and saves.

    It ends some time after SIGTERM all the same: that is how Python ends the processes that are left when it exits.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(LOADER_GRACE_SECONDS))


def first_model(config: TrainingConfig, base: Path, labels: Labels) -> DeepSpeech2:
    """The model before the first step: random, or that of ``config.start``.

    Raises:
        CheckpointError: The checkpoint is unusable.
        ConfigError: It is of another model or has other labels.
    """
    if config.start is None:
        return DeepSpeech2(config.model, labels)
    path = base / config.start
    model, _ = load_checkpoint(path)
    if model.config != config.model or model.labels.symbols != labels.symbols:
        raise ConfigError(f"start = {path} has another [model] or other labels; copy its [model], or drop start")
    return model


def train(
    config: TrainingConfig,
    base: Path,
    *,
    resume: bool = False,
    minutes: float | None = None,
    report: Callable[[str], None] = print,
) -> Outcome:
    """Train until the epochs are over, the minutes are up or a signal asks to stop; always leaves ``last.pt``.

    Args:
        config: The run.
        base: Folder that the paths of the configuration are relative to.
        resume: Go on from ``last.pt`` if it exists.
        minutes: Wall-clock limit of this call.
        report: Takes lines for people.

    Raises:
        EdgespeechError: Configuration, manifests, audio or the state to resume from are unusable.
    """
    began = time.monotonic()
    optimisation, data = config.optimisation, config.data
    if optimisation.threads:
        torch.set_num_threads(optimisation.threads)
    with memory_in_words(), Workers() as workers, stop_on_signals() as stop_wanted:
        say = report if workers.rank == 0 else lambda line: None
        torch.manual_seed(optimisation.seed)
        output = base / config.output
        manifests = [base / path for path in data.train]
        labels = build_labels(config.model, manifests)
        clips, dropped = usable_clips(manifests, labels, config.model, data)
        clips = share_of(clips, data.share, optimisation.seed)
        dev, dev_dropped = usable_clips([base / path for path in data.dev], labels, config.model, data)
        for name, counter in (("train", dropped), ("dev", dev_dropped)):
            for reason, count in counter.items():
                say(f"{name}: {count} clips dropped: {reason}")
        rate = config.model.features.sample_rate
        augmenter = WaveAugmenter(
            config.augmentation,
            rate,
            audio_files([base / path for path in data.noise]),
            audio_files([base / path for path in data.rooms]),
            workers.device if data.resident else None,
        )
        # A share of the clips is repeated until an epoch is as long as with all: shares differ in data, not in updates.
        repeated = clips * round(1.0 / data.share)
        sampler = BucketSampler(
            [clip.seconds for clip in repeated],
            data.batch_seconds / workers.world,
            optimisation.seed,
            workers.rank,
            workers.world,
            sorted_first=config.start is None,
        )
        make = BatchMaker(augmenter, config.augmentation.pause_share, optimisation.seed)
        loader: ResidentLoader | DataLoader[Any]
        if data.resident:
            loader = ResidentLoader(repeated, rate, sampler, make, workers.device)
            load = loader.load
        else:
            dataset = ClipDataset(repeated, rate, data.cache_hours)
            loader = DataLoader(
                dataset,
                batch_sampler=sampler,
                collate_fn=make,
                num_workers=data.workers,
                persistent_workers=data.workers > 0,
                worker_init_fn=leave_signals_to_training,
                pin_memory=workers.device.type == "cuda",
            )

            def load(keys: list[Key]) -> Batch:
                return make([dataset[key] for key in keys])

        dev_dataset = ClipDataset(dev, rate, data.cache_hours)
        model = first_model(config, base, labels)
        pronunciations = None
        if data.pronunciations is not None:
            pronunciations = Pronunciations.read(base / data.pronunciations)
            spoken = sum(pronunciations.encode(clip.text) is not None for clip in clips)
            say(f"{len(pronunciations.symbols) - 1} phonemes; {spoken} of {len(clips)} clips have pronunciations")
        trainer = build_trainer(config, model, workers.device, optimisation.epochs * len(sampler), pronunciations)
        state_path = output / "last.pt"
        if resume and state_path.is_file():
            trainer.restore(load_plain(state_path), state_path)
            say(f"resuming at epoch {trainer.position.epoch + 1}, step {trainer.position.step}")
        elif config.start is None:
            measure_features(model, measured(sampler, load, max(1, config.augmentation.growing_passes)))
        say(
            f"{len(clips)} clips, {sum(clip.seconds for clip in clips) / 3600:.2f} h; dev {len(dev)} clips; "
            f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters; {workers}; "
            f"{str(trainer.precision).removeprefix('torch.')}"
        )
        network: nn.Module = DistributedDataParallel(trainer.network) if workers.world > 1 else trainer.network
        position = trainer.position
        saved = time.monotonic()

        def save() -> None:
            if workers.rank == 0:
                save_atomically(trainer.state(), state_path)

        with Progress(optimisation.epochs, len(sampler), enabled=workers.rank == 0) as progress:
            while position.epoch < optimisation.epochs:
                sampler.set_position(position.epoch, position.batch)
                progress.begin_epoch(position.epoch, len(sampler))
                network.train()
                tick = time.monotonic()
                for batch in heard(loader):
                    # Masks and dropout of a step depend on its number alone: a resumed run equals an unbroken one.
                    torch.manual_seed((optimisation.seed << 32) + position.step * workers.world + workers.rank)
                    loss = trainer.step(network, batch, workers.device)
                    position.batch += 1
                    position.trained_seconds += workers.largest(time.monotonic() - tick)
                    tick = time.monotonic()
                    progress.update(position.epoch, position.batch, loss, trainer.learning_rate())
                    late = minutes is not None and tick - began > minutes * 60.0
                    if workers.any(late or stop_wanted()):
                        save()
                        say(f"stopped at epoch {position.epoch + 1}, step {position.step}; go on with --resume")
                        return Outcome(False, position, position.best_wer, output / "best.pt")
                    if tick - saved > SAVE_EVERY_SECONDS:
                        save()
                        saved = time.monotonic()
                position.epoch, position.batch = position.epoch + 1, 0
                last = position.epoch == optimisation.epochs
                if workers.rank == 0 and (last or position.epoch % optimisation.evaluate_every == 0):
                    rates = greedy_error_rates(trainer.averaged, dev_dataset, data.batch_seconds, workers.device)
                    progress.epoch_done(position.epoch, rates)
                    keep(trainer, rates, output, config)
                save()
                workers.wait()
        say(f"done: best greedy WER on dev {position.best_wer:.2%} in {output / 'best.pt'}")
        return Outcome(True, position, position.best_wer, output / "best.pt")


def keep(trainer: Trainer, rates: ErrorRates, output: Path, config: TrainingConfig) -> None:
    """Append to the history, and write ``best.pt`` if dev says so."""
    position = trainer.position
    line = {
        "epoch": position.epoch,
        "step": position.step,
        "minutes": round(position.trained_seconds / 60.0, 2),
        "dev_wer": round(rates.wer, 5),
        "dev_cer": round(rates.cer, 5),
        "dev_loss": round(rates.loss, 4),
    }
    output.mkdir(parents=True, exist_ok=True)
    with (output / "history.jsonl").open("a", encoding="utf-8") as history:
        history.write(json.dumps(line) + "\n")
    if rates.wer <= position.best_wer:
        position.best_wer = rates.wer
        provenance = {"name": config.name, "licence": config.licence, "train": list(config.data.train), **line}
        save_checkpoint(trainer.averaged, output / "best.pt", provenance)


def main() -> None:
    """The door for torchrun."""
    parser = argparse.ArgumentParser(description="Train a Deep Speech 2 model.")
    parser.add_argument("config", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--minutes", type=float)
    arguments = parser.parse_args()
    try:
        config = read_training_config(arguments.config)
        train(config, arguments.config.parent, resume=arguments.resume, minutes=arguments.minutes)
    except EdgespeechError as error:
        print(f"edgespeech: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
