"""Averages of checkpoints of one model: weights of several trainings of which one went on from the other.

Such weights lie in one valley of the loss, and their mean is better than each (model soups, arXiv 2203.05482). The
batch-norm statistics of a mean belong to nobody: measure them anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from edgespeech.errors import CheckpointError, UsageError
from edgespeech.reference.checkpoint import load_checkpoint
from edgespeech.reference.model import DeepSpeech2


def average_checkpoints(paths: Sequence[Path], shares: Sequence[float]) -> tuple[DeepSpeech2, dict[str, Any]]:
    """The weighted mean of all weights and statistics.

    Args:
        paths: Two or more checkpoints with the same configuration and labels.
        shares: One for each, not negative; divided by their sum.

    Returns:
        The model, and a provenance that is the last checkpoint's with ``averaged``, the name of each file to its share.

    Raises:
        CheckpointError: A file is unusable, or of another model than the first.
        UsageError: Too few checkpoints, or shares that do not fit.
    """
    if len(paths) < 2:
        raise UsageError(f"{len(paths)} checkpoint to average; give two or more")
    if len(shares) != len(paths) or min(shares) < 0.0 or not sum(shares) > 0.0:
        given = ",".join(f"{share:g}" for share in shares)
        raise UsageError(f"shares {given} for {len(paths)} checkpoints; give one for each, none negative")
    model, provenance = load_checkpoint(paths[0])
    mean = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    for path, share in zip(paths, shares, strict=True):
        one, provenance = load_checkpoint(path)
        if one.config != model.config or one.labels.symbols != model.labels.symbols:
            raise CheckpointError(f"{path} is another model than {paths[0]}; average checkpoints of one recipe")
        for name, value in one.state_dict().items():
            mean[name].add_(value, alpha=share / sum(shares))
    model.load_state_dict(mean)
    averaged = {f"{path.parent.name}/{path.name}": share for path, share in zip(paths, shares, strict=True)}
    return model, {**provenance, "averaged": averaged}
