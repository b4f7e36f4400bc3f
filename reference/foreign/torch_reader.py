"""Files of torch, read as tensors, plain containers and inert records."""

from __future__ import annotations

import os
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from edgespeech.errors import CheckpointError
from edgespeech.reference.foreign.inert_pickles import UNPICKLERS, ForeignCallError, Record, records, refuse_call

MAX_FILE_BYTES = 8 << 30
FORCED = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
MAX_PICKLE_BYTES = 64 << 20  # without the tensors


@dataclass(frozen=True)
class Opened:
    """The content of a file, and how it could be opened."""

    value: Any
    how: str


def read_torch(path: Path) -> Opened:
    """Read what ``torch.save`` or PyTorch Lightning wrote, in any of torch's formats; nothing in it is run.

    Raises:
        CheckpointError: The file is damaged, too large, or its pickle calls what no checkpoint needs.
    """
    _check_size(path)
    try:
        return Opened(torch.load(path, map_location="cpu", weights_only=True), "tensors and plain values only")
    except pickle.UnpicklingError:
        pass  # it holds objects of classes
    except Exception as error:  # a damaged pickle can raise anything
        raise damaged(path, error) from None
    if FORCED in os.environ:
        raise CheckpointError(
            f"{path} holds objects of classes, and {FORCED} is set, so torch reads nothing but tensors; unset it for "
            "this command, which runs nothing of the file"
        )
    try:
        value = torch.load(path, map_location="cpu", weights_only=False, pickle_module=UNPICKLERS)
    except ForeignCallError as error:
        raise refuse_call(path, error) from None
    except Exception as error:
        raise damaged(path, error) from None
    kinds = {record.name for record in records(value)}
    return Opened(value, f"without its {len(kinds)} classes, such as {min(kinds)}" if kinds else "plain values")


def damaged(path: Path, error: Exception) -> CheckpointError:
    """Make the error of a file that cannot be read."""
    reason = " ".join(str(error).split())[:100] or type(error).__name__
    return CheckpointError(f"{path} is damaged or cut off ({reason}); copy it again")


def _check_size(path: Path) -> None:
    """Check sizes before anything is read: those of archives can be far larger than their files."""
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise CheckpointError(f"{path} has {size} bytes, wanted at most {MAX_FILE_BYTES}; save only its state_dict")
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except Exception as error:
        raise damaged(path, error) from None
    names = {PurePosixPath(entry.filename).name for entry in entries}
    if "constants.pkl" in names:
        raise CheckpointError(f"{path} is a TorchScript archive, a program; give the checkpoint that it was made of")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise CheckpointError(f"{path} is a compressed archive, which torch does not write; save it again")
    pickled = sum(entry.file_size for entry in entries if PurePosixPath(entry.filename).name == "data.pkl")
    if pickled > MAX_PICKLE_BYTES or sum(entry.file_size for entry in entries) > size:
        raise CheckpointError(f"{path} states sizes that do not fit its {size} bytes; copy it again")


def attribute(value: Any, *names: str) -> Any:
    """Follow names through dictionaries and records, such as those of omegaconf; None if one is missing."""
    for name in names:
        value = _plain(value)
        value = value.get(name) if isinstance(value, dict) else None
    return _plain(value)


def _plain(value: Any) -> Any:
    """Return the content of a record: the nodes of omegaconf keep theirs as ``_val`` or ``_content``."""
    while isinstance(value, Record):
        state = value.state[0] if isinstance(value.state, tuple) and value.state else value.state
        if isinstance(state, dict) and "_val" in state:
            value = state["_val"]
        elif isinstance(state, dict) and "_content" in state:
            value = state["_content"]
        elif isinstance(state, dict):
            return state
        else:  # an enumeration is called with its value
            return value.items or (value.arguments[0] if value.arguments else None)
    return value
