"""What an adaptation takes: the time of an update and the memory, measured on its largest batch before it begins."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.reference.training.config import TrainingConfig
from edgespeech.reference.training.speech import TrainingSpeech
from edgespeech.reference.training.trainer import build_trainer
from edgespeech.reference.training.workers import Workers
from edgespeech.runtime.measure.memory import resident_memory
from edgespeech.runtime.measure.progress import describe_duration

# Of the evaluations and the export, relative to the updates and beside the memory that these take.
EXTRA_TIME, EXTRA_MB = 0.15, 800.0


@dataclass(frozen=True)
class Cost:
    """Estimated seconds of a pass, the most passes of the run, and peak memory in megabytes (1e6 bytes)."""

    pass_seconds: float
    passes: int
    peak_mb: float

    @property
    def seconds(self) -> float:
        """Estimated time of the whole run."""
        return self.pass_seconds * self.passes

    def passes_within(self, seconds: float) -> int:
        """Return how many passes, at most those of the run, fit into a time."""
        return min(self.passes, int(seconds / self.pass_seconds))

    def __str__(self) -> str:
        most = f"at most {self.passes} passes, {describe_duration(self.seconds)}"
        return f"{most} ({describe_duration(self.pass_seconds)} each), and {self.peak_mb / 1e3:.1f} GB of memory"


def measure_cost(model: DeepSpeech2, config: TrainingConfig, speech: TrainingSpeech, workers: Workers) -> Cost:
    """Compute the gradients of the largest batch, twice because the first time is slower, and update a copy once."""
    trainer = build_trainer(config, copy.deepcopy(model), workers.device, 1, anchor_speech=speech.anchor)
    batch = speech.largest_batch(0)
    trainer.try_largest(batch, workers.device)
    began = time.monotonic()
    trainer.step(trainer.network, batch, workers.device)
    seconds_per_sample = (time.monotonic() - began) / batch.samples.numel()
    seconds = speech.sampler.seconds
    padded = sum(len(one) * max(seconds[index] for index in one) for one in speech.sampler.batches(0))
    samples = padded * config.model.features.sample_rate
    pass_seconds = samples * seconds_per_sample * (1.0 + EXTRA_TIME)
    return Cost(pass_seconds, config.optimisation.epochs, resident_memory().peak_mb + EXTRA_MB)
