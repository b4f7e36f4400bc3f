"""Training: CTC, mixed precision, several workers, resuming at any batch, averaged weights, the best ones kept.

``edgespeech train CONFIG.toml`` runs one process, ``torchrun --nproc-per-node 8 -m edgespeech.reference.training.train
CONFIG.toml`` many. The output folder gets ``last.pt`` (to resume), ``best.pt`` and ``history.jsonl``.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from edgespeech.errors import ConfigError, EdgespeechError
from edgespeech.reference.data.batches import Batch
from edgespeech.reference.data.pronunciation import Pronunciations
from edgespeech.reference.model.checkpoint import load_checkpoint, load_plain, save_atomically, save_checkpoint
from edgespeech.reference.model.deep_speech2 import DeepSpeech2, frame_mask
from edgespeech.reference.model.labels import Labels
from edgespeech.reference.training.config import TrainingConfig, read_training_config
from edgespeech.reference.training.greedy import GreedyResult, evaluate_greedy
from edgespeech.reference.training.interruption import explain_full_memory, load_batches, stop_on_signals
from edgespeech.reference.training.progress import TrainingProgress
from edgespeech.reference.training.speech import MEASURED_BATCHES, TrainingSpeech, load_speech
from edgespeech.reference.training.trainer import Position, Trainer, build_trainer
from edgespeech.reference.training.word_risk import WordRisk
from edgespeech.reference.training.workers import Workers, in_first_worker
from edgespeech.runtime.files import appending
from edgespeech.runtime.measure.progress import track

log = logging.getLogger("edgespeech.reference.training.train")  # `__name__` is "__main__" under torchrun
log.addFilter(in_first_worker)

SAVE_EVERY_SECONDS = 300.0
STATE = "last.pt"


@dataclass(frozen=True)
class Outcome:
    """Result of a call of `train`; ``best`` is written when an epoch ends, ``wer`` is its greedy error rate on dev."""

    finished: bool
    position: Position
    wer: float
    best: Path


def train(config: TrainingConfig, base: Path, *, resume: bool = False, minutes: float | None = None) -> Outcome:
    """Train until the last epoch, the time limit or a signal; ``last.pt`` is always written.

    Args:
        config: The run.
        base: Folder that the paths of the configuration are relative to.
        resume: Continue from ``last.pt`` if it exists.
        minutes: Wall-clock limit of this call.

    Raises:
        EdgespeechError: Configuration, manifests, audio or the state to resume from are invalid.
    """
    began = time.monotonic()
    if config.optimisation.threads:
        torch.set_num_threads(config.optimisation.threads)
    with explain_full_memory(), Workers() as workers, stop_on_signals() as signalled:
        torch.manual_seed(config.optimisation.seed)
        speech = load_speech(config, base, workers)
        trainer = prepare_trainer(config, base, speech, workers, resume)
        trainer.try_largest(speech.largest_batch(trainer.position.epoch), workers.device)

        def must_stop() -> bool:
            return signalled() or (minutes is not None and time.monotonic() - began > minutes * 60.0)

        return _Run(config, base / config.output, workers, speech, trainer).run(must_stop)


def prepare_trainer(
    config: TrainingConfig, base: Path, speech: TrainingSpeech, workers: Workers, resume: bool
) -> Trainer:
    """Build the model and its trainer, or restore them from ``last.pt``."""
    model = first_model(config, base, speech.labels)
    pronunciations = None
    if config.data.pronunciations is not None:
        pronunciations = Pronunciations.read(base / config.data.pronunciations)
        found = sum(pronunciations.encode(clip.text) is not None for clip in speech.clips)
        phonemes = len(pronunciations.symbols) - 1
        log.info("%d phonemes; %d of %d clips have pronunciations", phonemes, found, len(speech.clips))
    total_steps = config.optimisation.epochs * len(speech.sampler)
    risk = None
    if config.data.search is not None:
        risk = WordRisk(base / config.data.search, speech.labels, config.optimisation.risk_hypotheses)
    trainer = build_trainer(config, model, workers.device, total_steps, pronunciations, speech.anchor, risk)
    log.info(
        "%d clips, %.2f h; dev %d clips; %.2f M parameters; %s; %s",
        len(speech.clips), sum(clip.seconds for clip in speech.clips) / 3600, len(speech.dev),
        sum(p.numel() for p in model.parameters()) / 1e6, workers, str(trainer.precision).removeprefix("torch."),
    )  # fmt: skip
    path = base / config.output / STATE
    if resume and path.is_file():
        trainer.restore(load_plain(path), path)
        log.info("resuming at epoch %d, step %d", trainer.position.epoch + 1, trainer.position.step)
    elif config.start is None:
        batches = speech.first_batches(max(1, config.augmentation.growing_passes))
        total = min(MEASURED_BATCHES, len(speech.sampler))
        measure_features(model, track(batches, "measuring the features", total) if workers.is_first else batches)
    return trainer


def first_model(config: TrainingConfig, base: Path, labels: Labels) -> DeepSpeech2:
    """Return the model before the first step: random, or that of ``config.start``, which must match the recipe."""
    if config.start is None:
        return DeepSpeech2(config.model, labels)
    path = base / config.start
    model, _ = load_checkpoint(path)
    if model.config != config.model or model.labels.symbols != labels.symbols:
        raise ConfigError(f"start = {path} has another [model] or other labels; copy its [model], or remove start")
    return model


def measure_features(model: DeepSpeech2, batches: Iterable[Batch]) -> None:
    """Set the global normalisation to mean and deviation of the augmented training speech."""
    total = torch.zeros(2, model.config.features.width, dtype=torch.float64, device=model.features.mean.device)
    frames = 0
    with torch.no_grad():
        for batch in batches:
            spectrum = model.features(batch.samples.to(total.device))
            valid = batch.lengths // model.config.features.hop_samples
            masked = spectrum * frame_mask(valid, spectrum.shape[2], spectrum.device)[:, None]
            total += torch.stack([masked.sum((0, 2)), masked.square().sum((0, 2))]).double()
            frames += int(valid.sum())
    mean, square = total / max(1, frames)
    model.features.mean.copy_(mean)
    model.features.inverse_deviation.copy_((square - mean.square()).clamp(min=1e-4).rsqrt())


class _Run:
    """The epochs of one call of `train`."""

    def __init__(
        self, config: TrainingConfig, output: Path, workers: Workers, speech: TrainingSpeech, trainer: Trainer
    ) -> None:
        self._config = config
        self._output = output
        self._workers = workers
        self._speech = speech
        self._trainer = trainer
        self._network: nn.Module = trainer.network
        if workers.world > 1:
            self._network = DistributedDataParallel(trainer.network)
        self._saved = time.monotonic()

    def run(self, must_stop: Callable[[], bool]) -> Outcome:
        """Train until the last epoch, or until ``must_stop`` returns true after a batch on any worker."""
        epochs, position = self._config.optimisation.epochs, self._trainer.position
        best = self._output / "best.pt"
        with TrainingProgress(epochs, len(self._speech.sampler), enabled=self._workers.is_first) as progress:
            while position.epoch < epochs and not self._workers.any(self._trainer.is_past_best):
                if not self._train_epoch(progress, must_stop):
                    self._save()
                    without = "" if best.exists() else ", too early for a best.pt"
                    where = position.epoch + 1, position.step, without
                    log.info("stopped at epoch %d, step %d%s; continue with --resume", *where)
                    return Outcome(False, position, position.best_wer, best)
                self._end_epoch(progress)
        if (fitting := self._trainer.fitting).split:
            log.info("%d batches were split for the memory, and %d clips left out", fitting.split, fitting.left_out)
        log.info("done: best greedy WER on dev %.2f%% in %s", 100.0 * position.best_wer, best)
        return Outcome(True, position, position.best_wer, best)

    def _train_epoch(self, progress: TrainingProgress, must_stop: Callable[[], bool]) -> bool:
        """Train to the end of the epoch; returns false if it was stopped before."""
        trainer, workers, position = self._trainer, self._workers, self._trainer.position
        self._speech.sampler.set_position(position.epoch, position.batch)
        progress.begin_epoch(position.epoch, len(self._speech.sampler))
        trainer.set_training(self._network)
        tick = time.monotonic()
        for batch in load_batches(self._speech.loader):
            # Masks and dropout of a step depend only on its number, so a resumed run equals an uninterrupted one.
            seed = self._config.optimisation.seed << 32
            torch.manual_seed(seed + position.step * workers.world + workers.rank)
            loss = trainer.step(self._network, batch, workers.device)
            trainer.end_batch(workers.max(time.monotonic() - tick))
            tick = time.monotonic()
            progress.update(position.epoch, position.batch, loss, trainer.learning_rate())
            if workers.any(must_stop()):
                return False
            if tick - self._saved > SAVE_EVERY_SECONDS:
                self._save()
                self._saved = time.monotonic()
        return True

    def _end_epoch(self, progress: TrainingProgress) -> None:
        self._trainer.end_epoch()
        optimisation, epoch = self._config.optimisation, self._trainer.position.epoch
        due = epoch == optimisation.epochs or epoch % optimisation.evaluate_every == 0
        if self._workers.is_first and due:
            seconds, device = self._config.data.batch_seconds, self._workers.device
            result = evaluate_greedy(self._trainer.averaged, self._speech.dev, seconds, device)
            progress.end_epoch(epoch, result)
            keep(self._trainer, result, self._output, self._config)
        self._save()
        self._workers.wait()

    def _save(self) -> None:
        if self._workers.is_first:
            save_atomically(self._trainer.state(), self._output / STATE)


def keep(trainer: Trainer, result: GreedyResult, output: Path, config: TrainingConfig) -> None:
    """Append the result to the history, and write ``best.pt`` if its word error rate is the lowest so far."""
    position = trainer.position
    line = {
        "epoch": position.epoch,
        "step": position.step,
        "minutes": round(position.trained_seconds / 60.0, 2),
        "dev_wer": round(result.errors.wer, 5),
        "dev_cer": round(result.errors.cer, 5),
        "dev_loss": round(result.loss, 4),
    }
    output.mkdir(parents=True, exist_ok=True)
    with appending(output / "history.jsonl") as history:
        history.write(json.dumps(line).encode() + b"\n")
    if trainer.record_wer(result.errors.wer):
        provenance = {"name": config.name, "licence": config.licence, "train": list(config.data.train), **line}
        save_checkpoint(trainer.averaged, output / "best.pt", provenance)


def main() -> None:
    """Train from the command line of torchrun."""
    parser = argparse.ArgumentParser(description="Train a Deep Speech 2 model.")
    parser.add_argument("config", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--minutes", type=float)
    arguments = parser.parse_args()
    try:
        with _logging_to_stderr():
            config = read_training_config(arguments.config)
            train(config, arguments.config.parent, resume=arguments.resume, minutes=arguments.minutes)
    except EdgespeechError as error:
        print(f"edgespeech: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None


@contextmanager
def _logging_to_stderr() -> Iterator[None]:
    logger, handler = logging.getLogger("edgespeech"), _StderrHandler()
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


class _StderrHandler(logging.Handler):
    """Writes lines to the standard error of the moment: while a progress bar is drawn, that prints above the bar."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
