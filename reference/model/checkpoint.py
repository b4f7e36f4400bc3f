"""Checkpoints: one file with weights, model configuration, labels and provenance; never a pickle of code."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from edgespeech.errors import CheckpointError, ConfigError
from edgespeech.reference.model.config import model_config_from
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.reference.model.labels import Labels
from edgespeech.runtime.files import replacing

FORMAT = "edgespeech-checkpoint"
VERSION = 1


def save_atomically(value: dict[str, Any], path: Path) -> None:
    """Write with ``torch.save`` under a temporary name, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Through a file object: given a path, torch turns a full disk into a bare RuntimeError.
    with replacing(path) as file:
        torch.save(value, file)


def save_checkpoint(model: DeepSpeech2, path: Path, provenance: dict[str, Any], half: bool = False) -> None:
    """Write a model.

    Args:
        model: Its weights, configuration and labels are written.
        path: The file.
        provenance: Plain values: data, licence, figures.
        half: Matrices and kernels as float16: half the size, for keeping and sending.
    """
    weights = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    if half:
        # Statistics and biases weigh nothing, and a variance may lie outside of float16.
        weights = {name: value.half() if value.dim() > 1 else value for name, value in weights.items()}
    save_atomically(
        {
            "format": FORMAT,
            "version": VERSION,
            "model": msgspec.to_builtins(model.config),
            "labels": list(model.labels.symbols),
            "provenance": provenance,
            "weights": weights,
        },
        path,
    )


def load_plain(path: Path) -> dict[str, Any]:
    """Load a file that holds only tensors and plain values (``weights_only=True``).

    Raises:
        CheckpointError: No such file, damaged, or it holds code.
    """
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}; give the .pt file that `edgespeech train` wrote")
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path} is damaged or no checkpoint; give the .pt file that `edgespeech train` wrote")
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path} holds objects other than tensors and plain values; loading it could run foreign code: refused"
        ) from None
    except Exception as error:  # a damaged pickle can raise anything
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise CheckpointError(f"{path} is damaged or no checkpoint ({reason}); copy it again") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds a {type(value).__name__}; a checkpoint of edgespeech is wanted")
    return value


def load_checkpoint(path: Path) -> tuple[DeepSpeech2, dict[str, Any]]:
    """Read a model.

    Args:
        path: A file written by `save_checkpoint`.

    Returns:
        The model in evaluation mode with float32 weights, and its provenance.

    Raises:
        CheckpointError: No such file, damaged, unsafe, of another format or version, or weights that do not fit.
    """
    value = load_plain(path)
    if value.get("format") != FORMAT:
        raise CheckpointError(f"{path} has the format {value.get('format')!r}, wanted {FORMAT!r}; give a best.pt")
    if value.get("version") != VERSION:
        raise CheckpointError(f"{path} has version {value.get('version')!r}; this edgespeech reads {VERSION}")
    try:
        model = DeepSpeech2(model_config_from(value["model"]), Labels(value["labels"]))
        weights: dict[str, Tensor] = {
            name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in value["weights"].items()
        }
        model.load_state_dict(weights)
        provenance = dict(value["provenance"])
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except (KeyError, TypeError, AttributeError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise CheckpointError(f"{path}: its parts do not fit together: {reason}; train or save it again") from None
    if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
        raise CheckpointError(f"{path} has weights that are not finite; choose an earlier checkpoint")
    return model.eval(), provenance
