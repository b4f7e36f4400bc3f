"""Checkpoints: one file with weights, model configuration, labels and provenance, without pickled code."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from edgespeech.errors import CheckpointError, ConfigError
from edgespeech.reference.model.config import ModelConfig, model_config_from
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.reference.model.labels import Labels
from edgespeech.runtime.files import replacing
from edgespeech.runtime.foreign.kinds import PAGE, ModelFile
from edgespeech.runtime.foreign.model_files import identify
from edgespeech.runtime.foreign.torch_files import CHECKPOINT_FORMAT as FORMAT

VERSION = 1
_NO_FIT = "the weights do not fit the configuration"
# What the content of a file can raise where it is something else than it should be.
MISFITS = (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)


def save_atomically(value: dict[str, Any], path: Path) -> None:
    """Write a file with ``torch.save`` under a temporary name, then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # With a file object: given a path, torch turns a full disk into a bare RuntimeError.
    with replacing(path) as file:
        try:
            torch.save(value, file)
        except RuntimeError as error:
            # After a failed write torch ends its archive, and that error hides the cause.
            raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None


def save_checkpoint(
    model: DeepSpeech2, path: str | Path, provenance: Mapping[str, Any] | None = None, half: bool = False
) -> None:
    """Write the weights, configuration and labels of a model as a checkpoint, which `edgespeech export` takes.

    Args:
        model: The model, from `model_from_state_dict` or from a training.
        path: File to write; an older one is replaced, and missing folders are made.
        provenance: Where the model comes from, of texts, numbers, lists and dictionaries. The bundle keeps it; ``name``
            becomes its name.
        half: Store matrices and kernels as float16, which halves the file.

    Raises:
        CheckpointError: The provenance contains other values.
        UsageError: The file cannot be written.
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
            "provenance": _plain(provenance or {}),
            "weights": weights,
        },
        Path(path),
    )


def _plain(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Check that a provenance can be read again without running code, and written to a bundle."""
    try:
        return msgspec.json.decode(msgspec.json.encode(dict(provenance)), type=dict[str, Any])
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"the provenance cannot be saved ({error}); give texts, numbers, lists and dictionaries"
        ) from None


def weight_shapes(config: ModelConfig, labels: Labels) -> dict[str, tuple[int, ...]]:
    """Return the name and the shape of every tensor that a checkpoint of this model has, from the input upwards."""
    with torch.device("meta"):  # without memory, whatever the sizes
        model = DeepSpeech2(config, labels)
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def model_from_state_dict(weights: Mapping[str, Tensor], config: ModelConfig, labels: Labels) -> DeepSpeech2:
    """Make a model in evaluation mode of plain tensors, with the names and shapes of `weight_shapes`.

    Raises:
        CheckpointError: A tensor is missing, unknown, of another shape, or not finite.
    """
    wanted = weight_shapes(config, labels)
    if wanted.keys() != weights.keys():
        raise CheckpointError(_other_names(wanted, weights))
    for name, value in weights.items():
        if not isinstance(value, Tensor):
            raise CheckpointError(f"{_NO_FIT}: {name} is of type {type(value).__name__}, wanted a tensor")
        if value.shape != wanted[name]:
            shapes = f"{name} has the shape {list(value.shape)}, wanted {list(wanted[name])}"
            raise CheckpointError(f"{_NO_FIT}: {shapes}; correct one of them, see {PAGE}")
        if not bool(value.isfinite().all()):
            raise CheckpointError(f"{name} has weights that are not finite; choose an earlier checkpoint")
    model = DeepSpeech2(config, labels)
    model.load_state_dict(weights)
    return model.eval()


def _other_names(wanted: Mapping[str, tuple[int, ...]], given: Mapping[str, Any]) -> str:
    lacking = [f"{name} {list(shape)}" for name, shape in wanted.items() if name not in given]
    unknown = [str(name)[:60] for name in given if name not in wanted]
    parts = []
    if lacking:
        parts.append(f"lack {len(lacking)} of {len(wanted)} tensors, such as {lacking[0]}")
    if unknown:
        parts.append(f"have {len(unknown)} that it does not know, such as {unknown[0]}")
    return f"{_NO_FIT}: they {' and '.join(parts)}; rename them, see {PAGE}"


def load_plain(path: Path) -> dict[str, Any]:
    """Load a checkpoint or a training state: tensors and plain values (``weights_only=True``).

    Raises:
        CheckpointError: The file is missing, damaged, something else, or contains code.
    """
    if not path.exists():
        raise CheckpointError(f"no checkpoint at {path}; give the .pt file that `edgespeech train` wrote")
    found = identify(path)
    if found.kind not in {"checkpoint", "training"}:
        raise CheckpointError(_refusal(path, found))
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path} contains objects other than tensors and plain values; loading it could run foreign code: refused"
        ) from None
    except Exception as error:  # a damaged pickle can raise anything
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise CheckpointError(f"{path} is damaged ({reason}); copy it again") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} contains a {type(value).__name__}; wanted a checkpoint of edgespeech")
    return value


def _refusal(path: Path, found: ModelFile) -> str:
    what = f"no checkpoint at {path}: it is {found.what}" if path.is_dir() else f"{path} is {found.what}"
    if found.kind == "bundle":
        return f"{what}, which is exported already; give the checkpoint (.pt) that it was made of, see {PAGE}"
    if found.kind == "model":
        return f"{what}; wanted a checkpoint of edgespeech; make one of {found.source}, see {PAGE}"
    if not path.is_dir():
        what = f"{path} is damaged or not a checkpoint: it is {found.what}"
    return f"{what}; give the .pt file that `edgespeech train` wrote, see {PAGE}"


def load_checkpoint(path: str | Path) -> tuple[DeepSpeech2, dict[str, Any]]:
    """Read a model written by `save_checkpoint`, in evaluation mode with float32 weights, and its provenance.

    Raises:
        CheckpointError: The file is missing, damaged, unsafe, of another format or version, or its weights are not
            finite or of other shapes.
    """
    path = Path(path)
    value = load_plain(path)
    if not _is(value.get("format"), FORMAT):
        raise CheckpointError(
            f"{path} is a training state, wanted a checkpoint; give the best.pt beside it, or make one of it: "
            f"edgespeech average {path} -o checkpoint.pt"
        )
    if not _is(value.get("version"), VERSION):
        raise CheckpointError(f"{path} has version {value.get('version')!r}; this edgespeech reads {VERSION}")
    try:
        config, labels = model_config_from(value["model"]), Labels(value["labels"])
        model = model_from_state_dict(dict(value["weights"]), config, labels)
        provenance = dict(value["provenance"])
    except (CheckpointError, ConfigError) as error:
        raise CheckpointError(f"{path}: {error}") from None
    except MISFITS as error:
        raise misfit(path, error) from None
    return model, provenance


def misfit(path: Path, error: Exception) -> CheckpointError:
    """Make the error of a file whose parts do not fit together; ``error`` is one of `MISFITS`."""
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    return CheckpointError(f"{path}: its parts do not fit together: {reason}; train or save it again")


def _is(value: object, wanted: object) -> bool:
    """Compare a value of a file, which may be a tensor, of which a comparison has as many results as elements."""
    return type(value) is type(wanted) and value == wanted
