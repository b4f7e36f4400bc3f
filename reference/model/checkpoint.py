"""Checkpoints: one file with weights, model configuration, labels and provenance, without pickled code."""

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
    """Write a file with ``torch.save`` under a temporary name, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # With a file object: given a path, torch turns a full disk into a bare RuntimeError.
    with replacing(path) as file:
        torch.save(value, file)


def save_checkpoint(model: DeepSpeech2, path: Path, provenance: dict[str, Any], half: bool = False) -> None:
    """Write the weights, configuration and labels of a model, with a provenance of plain values.

    ``half`` stores matrices and kernels as float16, which halves the file.
    """
    weights = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    if half:
        # Statistics and biases take no space, and a variance may exceed the range of float16.
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
    """Load a file of tensors and plain values (``weights_only=True``).

    Raises:
        CheckpointError: The file is missing, damaged, or contains code.
    """
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}; give the .pt file that `edgespeech train` wrote")
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path} is damaged or not a checkpoint; give the .pt file that `edgespeech train` wrote")
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path} contains objects other than tensors and plain values; loading it could run foreign code: refused"
        ) from None
    except Exception as error:  # a damaged pickle can raise anything
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise CheckpointError(f"{path} is damaged or not a checkpoint ({reason}); copy it again") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} contains a {type(value).__name__}; wanted a checkpoint of edgespeech")
    return value


def load_checkpoint(path: Path) -> tuple[DeepSpeech2, dict[str, Any]]:
    """Read a model written by `save_checkpoint`, in evaluation mode with float32 weights, and its provenance.

    Raises:
        CheckpointError: The file is missing, damaged, unsafe, of another format or version, or its weights are not
            finite or of other shapes.
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
