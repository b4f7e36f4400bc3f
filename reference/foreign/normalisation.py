"""Statistics in place of those of each utterance, which a stream cannot know, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import VerificationError
from edgespeech.reference.foreign.original import Original
from edgespeech.reference.foreign.whole_utterance import Statistics, features_of, log_probs_of, statistics_of
from edgespeech.reference.model.checkpoint import model_from_state_dict
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.runtime.decoder.log_probs import greedy
from edgespeech.runtime.manifest import SAMPLE_CLIPS, Utterance, read_manifest, read_samples
from edgespeech.runtime.measure.normalisation import scoring_text
from edgespeech.runtime.measure.progress import track
from edgespeech.runtime.measure.word_errors import align_and_count

Floats = NDArray[np.float32]
Normalisation = Literal["frozen", "running"]
MAX_UTTERANCES = 200  # that statistics are measured on
MAX_COMPARED = 30
MIN_SECONDS = 0.1  # shorter recordings have no statistics


@dataclass(frozen=True)
class Recording:
    """An utterance with its samples and the statistics of its features."""

    utterance: Utterance
    samples: Floats
    statistics: Statistics


@dataclass(frozen=True)
class Calibration:
    """Statistics measured on speech.

    Attributes:
        frozen: The mean over utterances of their means, and of their deviations, weighted by length.
        recordings: What they were measured on.
        manifest: Where it was listed; None for the sample clips.
    """

    frozen: Statistics
    recordings: tuple[Recording, ...]
    manifest: Path | None
    sample_rate: int

    @property
    def seconds(self) -> float:
        """Length of all recordings together."""
        return sum(len(one.samples) for one in self.recordings) / self.sample_rate

    @property
    def level(self) -> float:
        """Root mean square of all samples in dB of full scale."""
        power = sum(float(np.square(one.samples, dtype=np.float64).sum()) for one in self.recordings)
        return 10.0 * float(np.log10(power / sum(len(one.samples) for one in self.recordings)))


@dataclass(frozen=True)
class Cost:
    """What replaced statistics change against those of each utterance.

    Attributes:
        name: Which statistics.
        changed_labels: Fraction of frames whose most probable label differs.
        difference: Mean absolute difference of log-probabilities (natural log) of the most probable labels.
        cer, wer: Character and word error rate of the best path, fractions; None without texts.
    """

    name: str
    changed_labels: float
    difference: float
    cer: float | None
    wer: float | None


def calibrate(model: DeepSpeech2, manifest: Path | None) -> Calibration:
    """Measure the statistics of features on the utterances of a manifest, by default on the sample clips.

    Raises:
        ManifestError: The manifest is unusable.
        AudioError: A recording cannot be read.
        VerificationError: All recordings are too short or silent.
    """
    rate = model.config.features.sample_rate
    utterances = read_manifest(manifest or SAMPLE_CLIPS, check_files=True)
    step = -(-len(utterances) // MAX_UTTERANCES)  # spread evenly
    recordings = []
    for utterance in track(utterances[::step], "statistics of the features"):
        samples = read_samples(utterance, rate)
        if len(samples) >= MIN_SECONDS * rate and np.any(samples):
            recordings.append(Recording(utterance, samples, statistics_of(features_of(model, samples))))
    if not recordings:
        raise VerificationError("the speech for the statistics is silent or too short; give --speech other recordings")
    return Calibration(_average(recordings), tuple(recordings), manifest, rate)


def _average(recordings: Sequence[Recording]) -> Statistics:
    weights = [len(one.samples) for one in recordings]
    mean, deviation = np.average([one.statistics for one in recordings], axis=0, weights=weights)
    return Statistics(float(mean), float(deviation))


def streaming_model(original: Original, calibration: Calibration, kind: Normalisation) -> DeepSpeech2:
    """Build the model with frozen statistics, or with running ones that begin with them."""
    config = original.config
    if kind == "running":
        config = msgspec.structs.replace(config, features=msgspec.structs.replace(config.features, normalisation=kind))
    weights = {**original.weights, **calibration.frozen.buffers(config.features.width)}
    return model_from_state_dict(weights, config, original.labels)


def measure_costs(original: Original, calibration: Calibration) -> list[Cost]:
    """Compare statistics on the calibration speech: those of each utterance, then frozen and running ones.

    The frozen statistics that an utterance gets are those of all others, so the figures are not those of speech that
    was calibrated on; with a single recording they are.
    """
    recordings = calibration.recordings[:: -(-len(calibration.recordings) // MAX_COMPARED)]
    fixed = streaming_model(original, calibration, "frozen")
    running = streaming_model(original, calibration, "running")
    kinds: dict[str, list[Floats]] = {"of each utterance": [], "frozen": [], "running": []}
    for one in track(recordings, "cost of the statistics"):
        others = [other for other in calibration.recordings if other is not one]
        start = _average(others) if others else calibration.frozen
        kinds["of each utterance"].append(log_probs_of(fixed, one.samples, one.statistics))
        kinds["frozen"].append(log_probs_of(fixed, one.samples, start))
        kinds["running"].append(log_probs_of(running, one.samples, start))
    whole = kinds["of each utterance"]
    return [_cost(name, found, whole, recordings, original) for name, found in kinds.items()]


def _cost(
    name: str, found: Sequence[Floats], whole: Sequence[Floats], recordings: Sequence[Recording], original: Original
) -> Cost:
    best = [one.argmax(axis=1) for one in whole]
    frames = sum(map(len, best))
    changed = sum(int(np.sum(one.argmax(axis=1) != wanted)) for one, wanted in zip(found, best, strict=True))
    moved = sum(
        float(np.abs(one - other)[np.arange(len(wanted)), wanted].sum())
        for one, other, wanted in zip(found, whole, best, strict=True)
    )
    texts = [scoring_text(one.utterance.text) for one in recordings]
    cer = wer = None
    if any(texts):
        errors = align_and_count(texts, [scoring_text(greedy(one, original.labels.symbols)) for one in found])
        cer, wer = errors.cer, errors.wer
    return Cost(name, changed / frames, moved / frames, cer, wer)
