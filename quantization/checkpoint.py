"""`calibrate`: brings together a checkpoint, speech from a manifest, batch-norm calibration, and word errors."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress, track

from edgespeech.errors import AudioError, ConfigError, ManifestError
from edgespeech.quantization.batch_norm import (
    BATCH_SECONDS,
    LayerMovement,
    calibrate_batch_norm,
    count_batch_norms,
    largest_movement,
    movement_table,
)
from edgespeech.reference.data.clips import Clip, usable_clips
from edgespeech.reference.data.config import DataConfig
from edgespeech.reference.model.checkpoint import load_checkpoint, save_checkpoint
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.runtime.files import require_writable
from edgespeech.runtime.manifest import Utterance, read_manifest, read_samples

Report = Callable[[str], None]
SHORTEST_SECONDS, LONGEST_SECONDS = 0.3, 60.0
LITTLE_SECONDS = 60.0
MATCHING = 0.01
SILENT_PEAK = 1e-3  # of full scale, -60 dB


@dataclass(frozen=True)
class Calibration:
    """A calibrated model, how far its statistics moved, and the speech that was heard: clips and seconds of them."""

    model: DeepSpeech2
    movements: Sequence[LayerMovement]
    clips: int
    seconds: float

    def provenance(self, manifest: Path) -> dict[str, Any]:
        """What a checkpoint or bundle says about it; nothing where nothing was calibrated."""
        if not self.movements:
            return {}
        return {"calibrated": {"manifest": manifest.name, "clips": self.clips, "seconds": round(self.seconds, 2)}}


class Recordings:
    """Utterances that are read from disk each time they are iterated, so that hours of speech fit."""

    def __init__(self, utterances: Sequence[Utterance], sample_rate: int) -> None:
        """Take what to read, and Hz of the samples."""
        self.utterances = utterances
        self.sample_rate = sample_rate

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Samples, float32 [n], one utterance after the other."""
        return (read_samples(utterance, self.sample_rate) for utterance in self.utterances)


def calibrate_checkpoint(
    checkpoint: Path, speech: Path, output: Path, dev: Path | None, half: bool, report: Report
) -> Path:
    """Write a checkpoint whose batch-norm statistics were measured on speech.

    Args:
        checkpoint: A file of `edgespeech train`.
        speech: Manifest of the calibration speech; texts are not needed.
        output: The file to write; it may be the same.
        dev: Manifest to count word errors on; None for the calibration speech, as far as it has texts.
        half: Matrices and kernels as float16; the statistics are then those of the rounded weights.
        report: Takes lines for people.

    Returns:
        The file written.

    Raises:
        EdgespeechError: Something given is unusable; nothing is written.
    """
    require_writable(output, create=True)
    model, provenance = load_checkpoint(checkpoint)
    clips = None if dev is None else _clips_with_text(model, dev, report)
    calibration = calibrate_checkpoint_model(_rounded(model) if half else model, speech, report)
    if calibration.movements:
        try:
            clips = clips or _clips_with_text(model, speech, report)
            _report_word_errors(model, calibration.model, clips, report)
        except ConfigError as error:
            report(f"word errors not measured: {error}; give --dev a manifest with texts")
    save_checkpoint(calibration.model, output, {**provenance, **calibration.provenance(speech)}, half)
    return output


def calibrate_checkpoint_model(model: DeepSpeech2, manifest: Path, report: Report) -> Calibration:
    """Calibrate the batch norm of a model on the speech of a manifest, and say what was dropped, heard and moved.

    Args:
        model: Not changed.
        manifest: NeMo-style JSON lines; texts are not needed.
        report: Takes lines for people.

    Returns:
        The calibrated model; one without batch norm as it came, with no movement.

    Raises:
        ManifestError: The manifest is missing or broken, or no clip of it is usable.
        VerificationError: A layer gives values that are not finite.
    """
    utterances = read_manifest(manifest)
    passes = count_batch_norms(model)
    if not passes:
        report("this model has no batch norm: nothing to calibrate, the weights stay untouched")
        return Calibration(model, (), 0, 0.0)
    recordings, seconds = _usable(utterances, manifest, model.config.features.sample_rate, report)
    clips = len(recordings.utterances)
    report(f"calibrating {passes} batch norms on {clips} clips, {seconds:.1f} s of {manifest}")
    if seconds < LITTLE_SECONDS:
        report(
            f"only {seconds:.1f} s of speech: the statistics will be rough; a few minutes of many speakers are better"
        )
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("calibrating", total=passes * clips)
        calibrated, movements = calibrate_batch_norm(model, recordings, lambda heard: progress.advance(task, heard))
    report(movement_table(movements))
    if largest_movement(movements) < MATCHING:
        report("the statistics belonged to this speech already: they moved by less than a hundredth of a deviation")
    return Calibration(calibrated, movements, clips, seconds)


def _usable(
    utterances: Sequence[Utterance], manifest: Path, sample_rate: int, report: Report
) -> tuple[Recordings, float]:
    """What can be calibrated on, from short to long, and its seconds; what cannot is counted and said."""
    lengths: list[tuple[float, int]] = []
    dropped: Counter[str] = Counter()
    console = Console(stderr=True)
    shown = track(utterances, "reading", console=console, disable=not console.is_terminal, transient=True)
    for index, utterance in enumerate(shown):
        if not utterance.path.is_file():
            dropped["missing file"] += 1
            continue
        try:
            samples = read_samples(utterance, sample_rate)
        except AudioError:
            dropped["unreadable file"] += 1
            continue
        seconds = len(samples) / sample_rate
        if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
            dropped[f"not between {SHORTEST_SECONDS:g} and {LONGEST_SECONDS:g} s"] += 1
        elif np.abs(samples).max() < SILENT_PEAK:
            dropped["silent"] += 1
        else:
            lengths.append((seconds, index))
    if not lengths:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
        raise ManifestError(f"no usable clip in {manifest}: {reasons}; give --speech recordings of speech")
    for reason, count in dropped.items():
        report(f"dropped {count} of {len(utterances)} clips: {reason}")
    chosen = [utterances[index] for _, index in sorted(lengths)]
    return Recordings(chosen, sample_rate), sum(seconds for seconds, _ in lengths)


def _clips_with_text(model: DeepSpeech2, manifest: Path, report: Report) -> list[Clip]:
    bounds = DataConfig(train=(), dev=(), min_seconds=SHORTEST_SECONDS, max_seconds=LONGEST_SECONDS)
    clips, dropped = usable_clips([manifest], model.labels, model.config, bounds)
    for reason, count in dropped.items():
        report(f"word errors: dropped {count} of {len(clips) + dropped.total()} clips: {reason}")
    return clips


def _report_word_errors(before: DeepSpeech2, after: DeepSpeech2, clips: Sequence[Clip], report: Report) -> None:
    from edgespeech.reference.data.batches import ClipDataset
    from edgespeech.reference.training.greedy import greedy_error_rates

    dataset = ClipDataset(clips, before.config.features.sample_rate, cache_hours=40.0)
    with Console(stderr=True).status("counting word errors"):
        old, new = (greedy_error_rates(one, dataset, BATCH_SECONDS, torch.device("cpu")) for one in (before, after))
    seconds = sum(clip.seconds for clip in clips)
    report(
        f"greedy, on {len(clips)} clips, {seconds:.1f} s: WER {old.wer:.2%} -> {new.wer:.2%}, "
        f"CER {old.cer:.2%} -> {new.cer:.2%}"
    )


def _rounded(model: DeepSpeech2) -> DeepSpeech2:
    """A copy with the matrices and kernels that float16 can hold."""
    rounded = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in rounded.parameters():
            if parameter.dim() > 1:
                parameter.copy_(parameter.half())
    return rounded
