"""One training run as frozen records that reject unknown keys.

A training run is one TOML file (``recipes/edge.toml`` made the default bundle).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import msgspec

from edgespeech.errors import ConfigError
from edgespeech.reference.data.config import AugmentationConfig, DataConfig
from edgespeech.reference.model.config import Above, ModelConfig, NonNegative, Positive, Record, Seed, Share

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class OptimisationConfig(Record, frozen=True):
    """How weights move, with warm-up and cosine decay.

    Attributes:
        optimiser: ``adamw`` for all; ``muon`` for matrices and kernels below the output layer, AdamW for the rest.
        epochs: Passes over the training data; the first one is ordered by length (SortaGrad, section 3.3).
        budget_minutes: If given, the decay also follows the accumulated training time, whichever is further.
        learning_rate: Peak.
        warmup_steps: Linear rise to the peak.
        weight_decay: Decoupled, on weight matrices only.
        clip_norm: Bound on the norm of the whole gradient.
        dropout: On the input of every recurrent layer but the first, and of the output layer.
        ema_decay: Of the averaged weights, which are what is evaluated and kept.
        phoneme_weight: Share of the loss that is CTC over phonemes (`phonemes.WithPhonemes`); the rest is over labels.
        phoneme_layer: Recurrent layer whose output the phonemes are read from, counted from 1.
        precision: ``auto`` takes float16 on GPUs, bfloat16 on CPUs with matrix tiles, float32 on others.
        evaluate_every: Passes between two looks at dev.
        threads: CPU threads; 0 leaves it to torch.
        seed: Of weights, order and augmentation.
    """

    optimiser: Literal["adamw", "muon"] = "adamw"
    epochs: Positive = 20
    budget_minutes: Above | None = None
    learning_rate: Above = 1.2e-3
    warmup_steps: NonNegative = 400
    weight_decay: float = 0.02
    clip_norm: Above = 2.0
    dropout: Share = 0.1
    ema_decay: Share = 0.998
    phoneme_weight: Share = 0.0
    phoneme_layer: Positive = 3
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    evaluate_every: Positive = 1
    threads: NonNegative = 0
    seed: Seed = 0


class TrainingConfig(Record, frozen=True):
    """One training run; paths are relative to the configuration file.

    Attributes:
        output: Folder of its checkpoints.
        start: Checkpoint of the same model to begin with (fine-tuning); without one the weights are random.
    """

    data: DataConfig
    output: str
    start: str | None = None
    name: str = "edgespeech"
    licence: str = ""
    model: ModelConfig = ModelConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    optimisation: OptimisationConfig = OptimisationConfig()

    def __post_init__(self) -> None:
        """Reject phonemes without pronunciations, pronunciations without use, and a layer that the model lacks."""
        weight, layer = self.optimisation.phoneme_weight, self.optimisation.phoneme_layer
        if weight and self.data.pronunciations is None:
            raise ValueError(f"phoneme_weight {weight:g} needs pronunciations in [data]: give both or none")
        if self.data.pronunciations is not None and not weight:
            raise ValueError("pronunciations need a phoneme_weight above 0 in [optimisation]: give both or none")
        if weight and layer > self.model.layers:
            raise ValueError(f"phoneme_layer {layer} is above the {self.model.layers} recurrent layers of [model]")


def read_training_config(path: Path) -> TrainingConfig:
    """Read a TOML file.

    Args:
        path: The file.

    Raises:
        ConfigError: No such file, not TOML, an unknown key, a missing key or a value out of range.
    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), TrainingConfig)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}; give a TOML file") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}; mend the line it names") from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}; see reference/config.py for every key") from None
