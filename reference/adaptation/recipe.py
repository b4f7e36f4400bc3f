"""The training run that adapts a model: how long, how fast, and what keeps it near the model before."""

from __future__ import annotations

from dataclasses import dataclass

from edgespeech.errors import UsageError
from edgespeech.reference.data.config import AugmentationConfig, DataConfig
from edgespeech.reference.model.config import ModelConfig
from edgespeech.reference.training.config import OptimisationConfig, TrainingConfig

AUGMENTATION = AugmentationConfig(
    pause_prob=0.3,
    speed_prob=0.7,
    band_limit_prob=0.05,
    noise_prob=0.0,
    room_prob=0.0,
    time_masks=4,
    time_mask_fraction=0.04,
)


@dataclass(frozen=True)
class AdaptationSettings:
    """How a model is adapted.

    Attributes:
        passes: Evaluations on the held-out speech; in each the voice is processed ``repeats`` times.
        repeats: Passes over the speech of the voice between two evaluations.
        learning_rate: Highest learning rate of Muon and AdamW.
        mix: Part of the trained weights in those of the result, whose rest are those before; 1 with replay.
        batch_seconds: Audio of the voice in an update.
        anchor_weight: Weight of the divergence from the outputs before on the replay.
        anchor_seconds: Audio of the replay in an update.
        seed: Seed of the split, the order and the augmentation.
    """

    passes: int = 3
    repeats: int = 4
    learning_rate: float = 7e-4
    mix: float = 0.7
    batch_seconds: float = 40.0
    anchor_weight: float = 5.0
    anchor_seconds: float = 20.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.passes < 1 or self.repeats < 1:
            raise UsageError(f"{self.passes} passes of {self.repeats} repeats: wanted at least 1 of each; correct it")
        if not 0.0 < self.mix <= 1.0:
            raise UsageError(f"a mix of {self.mix:g}; wanted more than 0, at most 1; correct it")


@dataclass(frozen=True)
class AdaptationFiles:
    """Names of the files of a run, in its folder."""

    voice: str = "voice.jsonl"
    held_out: str = "held_out.jsonl"
    replay: str | None = None
    start: str = "start.pt"
    output: str = "run"


def adaptation_config(
    model: ModelConfig, labels: str | None, files: AdaptationFiles, settings: AdaptationSettings
) -> TrainingConfig:
    """Make the recipe of an adaptation, for `edgespeech.reference.training.train.train`."""
    replay = () if files.replay is None else (files.replay,)
    return TrainingConfig(
        data=DataConfig(
            train=(files.voice,) * settings.repeats,
            dev=(files.held_out,),
            anchor=replay,
            batch_seconds=settings.batch_seconds,
            anchor_seconds=settings.anchor_seconds,
            resident=True,
        ),
        output=files.output,
        start=files.start,
        name="adapted",
        labels=labels,
        model=model,
        augmentation=AUGMENTATION,
        optimisation=OptimisationConfig(
            optimiser="muon",
            epochs=settings.passes,
            learning_rate=settings.learning_rate,
            warmup_steps=5,
            weight_decay=0.0,
            dropout=0.1,
            ema_decay=0.95,
            # Batches of one voice, augmented, have other statistics than the clean speech of many.
            frozen_statistics=True,
            anchor_weight=settings.anchor_weight if replay else 0.0,
            seed=settings.seed,
        ),
    )
