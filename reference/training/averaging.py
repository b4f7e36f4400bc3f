"""Averages of checkpoints of one model whose trainings continued one another (model soups, arXiv 2203.05482).

The batch-norm statistics of a mean match no model, so they have to be measured again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch

from edgespeech.errors import CheckpointError, ConfigError, UsageError
from edgespeech.reference.model.checkpoint import load_checkpoint, load_plain
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.reference.model.labels import Labels
from edgespeech.reference.training.config import training_config_from
from edgespeech.runtime.foreign.torch_files import STATE_FORMAT


def average_checkpoints(paths: Sequence[Path], weights: Sequence[float]) -> tuple[DeepSpeech2, dict[str, Any]]:
    """Compute the mean of all parameters and statistics; ``weights`` mix the checkpoints and are divided by their sum.

    A ``last.pt`` contributes its running average of the parameters. Returns the model and the provenance of the last
    checkpoint, with the ``train`` manifests of all and ``averaged``, the mixing weight of each.

    Raises:
        CheckpointError: A file is invalid, or has another model than the first.
        UsageError: The number of mixing weights differs from that of the checkpoints, or one is negative.
    """
    if not paths or len(weights) != len(paths) or min(weights) < 0.0 or not sum(weights) > 0.0:
        given = ",".join(f"{weight:g}" for weight in weights)
        raise UsageError(f"weights {given} for {len(paths)} checkpoints; give one for each, none negative")
    model, provenance = _load(paths[0])
    mean = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    manifests: dict[str, None] = {}
    for path, weight in zip(paths, weights, strict=True):
        one, provenance = _load(path)
        manifests |= dict.fromkeys(provenance.get("train", []))
        if one.config != model.config or one.labels.symbols != model.labels.symbols:
            raise CheckpointError(f"{path} has another model than {paths[0]}; average checkpoints of one recipe")
        for name, value in one.state_dict().items():
            mean[name].add_(value, alpha=weight / sum(weights))
    model.load_state_dict(mean)
    averaged = {f"{path.parent.name}/{path.name}": weight for path, weight in zip(paths, weights, strict=True)}
    if len(paths) > 1:  # figures of one of them are not those of the mean
        provenance = {name: value for name, value in provenance.items() if not name.startswith("dev_")}
    return model, {**provenance, "train": list(manifests), "averaged": averaged}


def _load(path: Path) -> tuple[DeepSpeech2, dict[str, Any]]:
    value = load_plain(path)
    if value.get("format") != STATE_FORMAT:
        return load_checkpoint(path)
    try:
        config = training_config_from(value["config"])
        model = DeepSpeech2(config.model, Labels(value["labels"]))
        average = {name.removeprefix("module."): tensor for name, tensor in value["average"].items()}
        model.load_state_dict({name: tensor for name, tensor in average.items() if name != "n_averaged"})
        position = value["position"]
        reached = {"epoch": position["epoch"], "step": position["step"], "minutes": position["trained_seconds"] / 60.0}
    except (KeyError, TypeError, AttributeError, RuntimeError, ConfigError, msgspec.ValidationError) as error:
        reason = " ".join(str(error).split())[:160]
        raise CheckpointError(f"{path}: its parts do not fit together: {reason}; give another checkpoint") from None
    return model.eval(), {"name": config.name, "licence": config.licence, "train": list(config.data.train), **reached}
