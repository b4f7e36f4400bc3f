"""Calibrate the batch norm of a checkpoint on the speech of a manifest, and count word errors before and after."""

from __future__ import annotations

import copy
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgespeech.errors import AudioError, ConfigError, ManifestError
from edgespeech.quantization.batch_norm import (
    BATCH_SECONDS,
    LayerMovement,
    calibrate_batch_norm,
    count_batch_norms,
    largest_movement,
    movement_table,
)
from edgespeech.quantization.requests import CalibrateRequest
from edgespeech.reference.data.clips import Clip, usable_clips
from edgespeech.reference.data.config import DataConfig
from edgespeech.reference.model.checkpoint import load_checkpoint, save_checkpoint
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.runtime.files import require_writable
from edgespeech.runtime.manifest import Utterance, read_manifest, read_samples
from edgespeech.runtime.measure.progress import Progress, track
from edgespeech.runtime.measure.word_errors import WordErrors

log = logging.getLogger(__name__)

MIN_SECONDS, MAX_SECONDS = 0.3, 60.0
RECOMMENDED_SECONDS = 60.0
NEGLIGIBLE_MOVEMENT = 0.01  # deviations
SILENT_PEAK = 1e-3  # of full scale, -60 dB


@dataclass(frozen=True)
class CalibratedModel:
    """A model with batch-norm statistics that were measured on a number of clips and their seconds."""

    model: DeepSpeech2
    movements: Sequence[LayerMovement]  # from the bottom up; empty for a model without batch norm
    clips: int
    seconds: float

    def provenance(self, manifest: Path) -> dict[str, Any]:
        """Return what a checkpoint or bundle records about the calibration; nothing if there was none."""
        if not self.movements:
            return {}
        return {"calibrated": {"manifest": manifest.name, "clips": self.clips, "seconds": round(self.seconds, 2)}}


@dataclass(frozen=True)
class CalibratedCheckpoint:
    """A calibrated checkpoint on disk, with the number and length of the clips that were used.

    Attributes:
        movements: Change of each batch norm, from the bottom up; empty for a model without batch norm.
        word_errors: Greedy word errors before and after; None if there was no text to count them on.
    """

    path: Path
    movements: Sequence[LayerMovement]
    clips: int
    seconds: float
    word_errors: tuple[WordErrors, WordErrors] | None


class Recordings:
    """Utterances that are read from disk each time they are iterated, so that hours of speech fit into memory."""

    def __init__(self, utterances: Sequence[Utterance], sample_rate: int) -> None:
        self.utterances = utterances
        self.sample_rate = sample_rate

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return (read_samples(utterance, self.sample_rate) for utterance in self.utterances)


def calibrate_checkpoint(checkpoint: str | Path, output: str | Path, request: CalibrateRequest) -> CalibratedCheckpoint:
    """Write a checkpoint whose batch-norm statistics were measured on speech; both files may be the same.

    Raises:
        EdgespeechError: The checkpoint, a manifest or the output is unusable; nothing is written.
    """
    output = Path(output)
    require_writable(output, create=True)
    model, provenance = load_checkpoint(Path(checkpoint))
    clips = None if request.dev is None else _clips_with_text(model, request.dev)
    calibrated = calibrate_model(_rounded(model) if request.half else model, request.speech)
    errors = None
    if calibrated.movements:
        try:
            clips = clips or _clips_with_text(model, request.speech)
            errors = _compare_word_errors(model, calibrated.model, clips)
        except ConfigError as error:
            log.info("word errors not measured: %s; give --dev a manifest with texts", error)
    save_checkpoint(calibrated.model, output, {**provenance, **calibrated.provenance(request.speech)}, request.half)
    return CalibratedCheckpoint(output, calibrated.movements, calibrated.clips, calibrated.seconds, errors)


def calibrate_model(model: DeepSpeech2, manifest: Path) -> CalibratedModel:
    """Calibrate a copy of a model on the speech of a manifest; a model without batch norm is returned as it is.

    Raises:
        ManifestError: The manifest is missing or invalid, or none of its clips is usable.
        VerificationError: A layer's input is not finite.
    """
    utterances = read_manifest(manifest)
    passes = count_batch_norms(model)
    if not passes:
        log.info("this model has no batch norm: nothing to calibrate, the weights stay as they are")
        return CalibratedModel(model, (), 0, 0.0)
    recordings, seconds = _usable(utterances, manifest, model.config.features.sample_rate)
    clips = len(recordings.utterances)
    log.info("calibrating %d batch norms on %d clips, %.1f s of %s", passes, clips, seconds, manifest)
    if seconds < RECOMMENDED_SECONDS:
        log.warning(
            "only %.1f s of speech: the statistics will be rough; a few minutes of many speakers are better", seconds
        )
    with Progress("calibrating", passes * clips) as progress:
        calibrated, movements = calibrate_batch_norm(model, recordings, progress.advance)
    log.info("%s", movement_table(movements).text())
    if largest_movement(movements) < NEGLIGIBLE_MOVEMENT:
        log.info("the statistics already matched this speech: they moved by less than a hundredth of a deviation")
    return CalibratedModel(calibrated, movements, clips, seconds)


def _usable(utterances: Sequence[Utterance], manifest: Path, sample_rate: int) -> tuple[Recordings, float]:
    lengths: list[tuple[float, int]] = []
    dropped: Counter[str] = Counter()
    for index, utterance in enumerate(track(utterances, "reading")):
        if not utterance.path.is_file():
            dropped["missing file"] += 1
            continue
        try:
            samples = read_samples(utterance, sample_rate)
        except AudioError:
            dropped["unreadable file"] += 1
            continue
        seconds = len(samples) / sample_rate
        if not MIN_SECONDS <= seconds <= MAX_SECONDS:
            dropped[f"not between {MIN_SECONDS:g} and {MAX_SECONDS:g} s"] += 1
        elif np.abs(samples).max() < SILENT_PEAK:
            dropped["silent"] += 1
        else:
            lengths.append((seconds, index))
    if not lengths:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
        raise ManifestError(f"no usable clip in {manifest}: {reasons}; give --speech recordings of speech")
    for reason, count in dropped.items():
        log.info("dropped %d of %d clips: %s", count, len(utterances), reason)
    chosen = [utterances[index] for _, index in sorted(lengths)]
    return Recordings(chosen, sample_rate), sum(seconds for seconds, _ in lengths)


def _clips_with_text(model: DeepSpeech2, manifest: Path) -> list[Clip]:
    bounds = DataConfig(train=(), dev=(), min_seconds=MIN_SECONDS, max_seconds=MAX_SECONDS)
    clips, dropped = usable_clips([manifest], model.labels, model.config, bounds)
    for reason, count in dropped.items():
        log.info("word errors: dropped %d of %d clips: %s", count, len(clips) + dropped.total(), reason)
    return clips


def _compare_word_errors(
    before: DeepSpeech2, after: DeepSpeech2, clips: Sequence[Clip]
) -> tuple[WordErrors, WordErrors]:
    from edgespeech.reference.data.batches import ClipDataset
    from edgespeech.reference.training.greedy import evaluate_greedy

    dataset = ClipDataset(clips, before.config.features.sample_rate, cache_hours=40.0)
    with Progress("counting word errors"):
        old, new = (
            evaluate_greedy(model, dataset, BATCH_SECONDS, torch.device("cpu")).errors for model in (before, after)
        )
    seconds = sum(clip.seconds for clip in clips)
    rates = f"WER {old.wer:.2%} -> {new.wer:.2%}, CER {old.cer:.2%} -> {new.cer:.2%}"
    log.info("greedy, on %d clips, %.1f s: %s", len(clips), seconds, rates)
    return old, new


def _rounded(model: DeepSpeech2) -> DeepSpeech2:
    rounded = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in rounded.parameters():
            if parameter.dim() > 1:
                parameter.copy_(parameter.half())
    return rounded
