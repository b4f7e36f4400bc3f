"""One training run as frozen records that reject unknown keys, read from a TOML file such as ``recipes/edge.toml``."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from edgespeech.errors import ConfigError
from edgespeech.reference.data.config import AugmentationConfig, DataConfig
from edgespeech.reference.model.config import Above, ModelConfig, NonNegative, Positive, Record, Seed, UnitInterval
from edgespeech.reference.model.labels import character_labels

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

log = logging.getLogger(__name__)

# Former names of keys, by table; recipes and training states that use them are still read.
RENAMED_KEYS = {
    "data": {"share": "fraction"},
    "augmentation": {
        "pause_share": "pause_prob",
        "speed_share": "speed_prob",
        "band_limit_share": "band_limit_prob",
        "noise_share": "noise_prob",
        "room_share": "room_prob",
        "time_mask_share": "time_mask_fraction",
    },
}


class OptimisationConfig(Record, frozen=True):
    """Optimiser and schedule: linear warm-up to ``learning_rate`` in ``warmup_steps``, then cosine decay.

    Attributes:
        optimiser: ``adamw`` for all; ``muon`` for matrices and kernels below the output layer, AdamW for the rest.
        epochs: Passes over the training data; the first one is ordered by length (SortaGrad, section 3.3).
        budget_minutes: If given, the decay follows steps or accumulated training time, whichever is further.
        weight_decay: Decoupled weight decay, on weight matrices only.
        clip_norm: Maximum norm of the whole gradient.
        dropout: Probability for the input of the output layer and of every recurrent layer but the first.
        ema_decay: Decay of the moving average of the weights, which is what is evaluated and kept.
        frozen_statistics: Normalise by the batch-norm statistics of ``start`` instead of those of each batch.
        anchor_weight: Weight of the divergence from the outputs of ``start`` on ``anchor`` (`anchor.Anchor`).
        risk_weight: Weight of the expected word errors in the loss (`word_risk.WordRisk`); labels have the rest.
        risk_hypotheses: Texts of the search that are weighed for each clip.
        phoneme_weight: Weight of CTC over phonemes in the loss (`phonemes.WithPhonemes`); labels have the rest.
        phoneme_layer: Recurrent layer that the phonemes are predicted from, counted from 1.
        precision: ``auto`` selects float16 on GPUs, bfloat16 on CPUs with Intel AMX, float32 on other CPUs.
        evaluate_every: Epochs between two evaluations on dev.
        patience: Evaluations in a row without a lower word error rate that end the run; 0 for no such end.
        threads: CPU threads; 0 leaves the choice to torch.
        seed: Seed of weights, order and augmentation.
    """

    optimiser: Literal["adamw", "muon"] = "adamw"
    epochs: Positive = 20
    budget_minutes: Above | None = None
    learning_rate: Above = 1.2e-3
    warmup_steps: NonNegative = 400
    weight_decay: float = 0.02
    clip_norm: Above = 2.0
    dropout: UnitInterval = 0.1
    ema_decay: UnitInterval = 0.998
    frozen_statistics: bool = False
    anchor_weight: Annotated[float, msgspec.Meta(ge=0.0)] = 0.0
    risk_weight: UnitInterval = 0.0
    risk_hypotheses: Annotated[int, msgspec.Meta(ge=2, le=100)] = 8
    phoneme_weight: UnitInterval = 0.0
    phoneme_layer: Positive = 3
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    evaluate_every: Positive = 1
    patience: NonNegative = 0
    threads: NonNegative = 0
    seed: Seed = 0


class TrainingConfig(Record, frozen=True):
    """One training run; paths such as its ``output`` folder are relative to the configuration file.

    Attributes:
        start: Checkpoint of the same model to start from (fine-tuning); by default the weights are random.
        labels: Characters that the model outputs, such as ``" 'abcdefghijklmnopqrstuvwxyzäöüß"``; by default the
            English letters, space and apostrophe. Texts with other characters are not trained on.
    """

    data: DataConfig
    output: str
    start: str | None = None
    name: str = "edgespeech"
    licence: str = ""
    labels: str | None = None
    model: ModelConfig = ModelConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    optimisation: OptimisationConfig = OptimisationConfig()

    def __post_init__(self) -> None:
        if self.labels is not None:
            character_labels(self.labels)
        weight, layer = self.optimisation.phoneme_weight, self.optimisation.phoneme_layer
        if self.optimisation.frozen_statistics and self.start is None:
            raise ValueError("frozen_statistics in [optimisation] are those of start: give both or none")
        if bool(self.data.anchor) != bool(self.optimisation.anchor_weight):
            raise ValueError("anchor in [data] and anchor_weight above 0 in [optimisation] belong together: give both")
        if self.data.anchor and not self.optimisation.frozen_statistics:
            raise ValueError("anchor in [data] needs frozen_statistics in [optimisation]: give both or none")
        if bool(self.data.search) != bool(self.optimisation.risk_weight):
            raise ValueError("search in [data] and risk_weight above 0 in [optimisation] belong together: give both")
        if weight and self.data.pronunciations is None:
            raise ValueError(f"phoneme_weight {weight:g} needs pronunciations in [data]: give both or none")
        if self.data.pronunciations is not None and not weight:
            raise ValueError("pronunciations need a phoneme_weight above 0 in [optimisation]: give both or none")
        if weight and layer > self.model.layers:
            raise ValueError(f"phoneme_layer {layer} is above the {self.model.layers} recurrent layers of [model]")


def training_config_from(value: dict[str, Any]) -> TrainingConfig:
    """Convert the tables of a recipe or of a training state, in which keys may have their former names.

    Raises:
        ConfigError: A key is given under both names, or the labels are in a table or invalid.
    """
    for name, table in value.items():
        if isinstance(table, dict) and "labels" in table:
            raise ConfigError(f"labels is a key of the whole recipe, not of [{name}]; move it above the first table")
    return msgspec.convert({name: _with_new_names(name, table) for name, table in value.items()}, TrainingConfig)


def _with_new_names(name: str, table: Any) -> Any:
    renamed = RENAMED_KEYS.get(name, {})
    if not isinstance(table, dict) or renamed.keys().isdisjoint(table):
        return table
    for old in renamed.keys() & table:
        if renamed[old] in table:
            raise ConfigError(f"[{name}] has {old} and {renamed[old]}, its new name; remove {old}")
        log.debug("[%s] %s is now called %s", name, old, renamed[old])
    return {renamed.get(key, key): value for key, value in table.items()}


def read_training_config(path: Path) -> TrainingConfig:
    """Read a TOML file; an unreadable file and an invalid key or value are a ConfigError."""
    try:
        return training_config_from(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}; give a TOML file") from None
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"{path}: {error}; reference/training/config.py and reference/data/config.py list every key"
        ) from None
    except (ValueError, RecursionError) as error:  # also of numbers and tables that are too large for Python
        raise ConfigError(f"{path} is not TOML: {error}; correct that line") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
