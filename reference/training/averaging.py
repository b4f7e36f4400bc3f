"""Averages of checkpoints of one model: weights of several trainings of which one went on from the other.

Such weights lie in one valley of the loss, and their mean is better than each (model soups, arXiv 2203.05482). The
batch-norm statistics of a mean belong to nobody: measure them anew.
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
from edgespeech.reference.training.config import TrainingConfig
from edgespeech.reference.training.trainer import STATE_FORMAT


def average_checkpoints(paths: Sequence[Path], shares: Sequence[float]) -> tuple[DeepSpeech2, dict[str, Any]]:
    """The weighted mean of all weights and statistics.

    Args:
        paths: One or more checkpoints with the same configuration and labels; of a ``last.pt``, the averaged weights.
        shares: One for each, not negative; divided by their sum.

    Returns:
        The model; the last provenance, with ``train`` of all checkpoints and ``averaged``, the share of each.

    Raises:
        CheckpointError: A file is unusable, or of another model than the first.
        UsageError: Shares that do not fit.
    """
    if not paths or len(shares) != len(paths) or min(shares) < 0.0 or not sum(shares) > 0.0:
        given = ",".join(f"{share:g}" for share in shares)
        raise UsageError(f"shares {given} for {len(paths)} checkpoints; give one for each, none negative")
    model, provenance = _load(paths[0])
    mean = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    heard: dict[str, None] = {}
    for path, share in zip(paths, shares, strict=True):
        one, provenance = _load(path)
        heard |= dict.fromkeys(provenance.get("train", []))
        if one.config != model.config or one.labels.symbols != model.labels.symbols:
            raise CheckpointError(f"{path} is another model than {paths[0]}; average checkpoints of one recipe")
        for name, value in one.state_dict().items():
            mean[name].add_(value, alpha=share / sum(shares))
    model.load_state_dict(mean)
    averaged = {f"{path.parent.name}/{path.name}": share for path, share in zip(paths, shares, strict=True)}
    return model, {**provenance, "train": list(heard), "averaged": averaged}


def _load(path: Path) -> tuple[DeepSpeech2, dict[str, Any]]:
    value = load_plain(path)
    if value.get("format") != STATE_FORMAT:
        return load_checkpoint(path)
    try:
        config = msgspec.convert(value["config"], TrainingConfig)
        model = DeepSpeech2(config.model, Labels(value["labels"]))
        weights = value["average"]
        model.load_state_dict({name.removeprefix("module."): weights[name] for name in weights if name != "n_averaged"})
        position = value["position"]
        reached = {"epoch": position["epoch"], "step": position["step"], "minutes": position["trained_seconds"] / 60.0}
    except (KeyError, TypeError, RuntimeError, ConfigError, msgspec.ValidationError) as error:
        reason = " ".join(str(error).split())[:160]
        raise CheckpointError(f"{path}: its parts do not fit together: {reason}; give another checkpoint") from None
    return model.eval(), {"name": config.name, "licence": config.licence, "train": list(config.data.train), **reached}
