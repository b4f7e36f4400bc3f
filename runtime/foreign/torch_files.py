"""What torch wrote into an archive or a pickle: a checkpoint, a state_dict, a module, a TorchScript program."""

from __future__ import annotations

import pickletools
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from edgespeech.runtime.foreign.kinds import ModelFile, count_tensors, importable, model, other
from edgespeech.runtime.foreign.pickles import MAX_BYTES, Instance, instances, read_outline

LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
CHECKPOINT_FORMAT = "edgespeech-checkpoint"
STATE_FORMAT = "edgespeech-training"

DEEPSPEECH_PYTORCH = "rnns.0.rnn.weight_ih_l0"  # end of the name of a tensor
PADDLESPEECH = "encoder.conv.conv.0.weight"
_LIGHTNING = "pytorch-lightning_version"
_LOAD = "torch.load(..., weights_only=True)"
_HARMLESS = ("collections.", "torch.", "numpy.", "_codecs.", "storage", "builtins.", "__builtin__.", "copyreg.")
_TENSORS = ("torch._utils._rebuild", "torch._tensor.", "torch.nn.parameter.")
_CONTAINERS = {"collections.OrderedDict", "collections.defaultdict", "builtins.dict"}


def describe_archive(path: Path) -> ModelFile:
    """Tell what a file is that begins like a zip archive, as those of torch do."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {PurePosixPath(name).name: name for name in archive.namelist()}
            whole = " ".join(archive.namelist()[:1000])
            if "data.pkl" in names:
                with archive.open(names["data.pkl"]) as file:
                    data = file.read(MAX_BYTES)
                if "constants.pkl" in names:
                    return model("a TorchScript archive (torch.jit.save)", "torch.jit.load(...).state_dict()")
                return describe_outline(read_outline(data))
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError, ValueError):
        return other("cut off or damaged (it begins like a checkpoint)")
    if "model.weights.h5" in names:
        return model("a model of Keras (.keras)")
    if "archive_format" in names or "serialized_exported_program.json" in names:
        return model("a program of torch.export (.pt2)", "torch.export.load(...).state_dict")
    if whole.endswith(".npy") or ".npy " in whole:
        return other("a NumPy archive (.npz)")
    return other(f"a zip archive without weights of torch (it holds {next(iter(names), 'nothing')!r})")


def describe_legacy(path: Path) -> ModelFile:
    """Tell what a file in the format of torch before 1.6 is: its fourth pickle is the object."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES)
    try:
        for _ in range(3):
            end = next(position for code, _, position in pickletools.genops(data) if code.name == "STOP")
            data = data[(end or 0) + 1 :]
    except (StopIteration, ValueError):
        return other("cut off or damaged (it begins like a file of torch)")
    found = describe_outline(read_outline(data))
    return replace(found, kind="model", what=f"{found.what}, in the format of torch before 1.6")


def describe_pickle(data: bytes) -> ModelFile:
    """Tell what a bare pickle is, which would run its code when it is loaded; its beginning is enough."""
    outline = read_outline(data)
    if isinstance(outline, dict) and PADDLESPEECH in outline:
        return importable("a Deep Speech 2 model of PaddleSpeech", "paddle")
    name = _class(outline)
    return model(f"a Python pickle{f' of {name}' if name else ''}, which can contain code and is not loaded")


def describe_outline(value: Any) -> ModelFile:
    """Tell what an object is that ``torch.save`` wrote."""
    if isinstance(value, Instance) and value.name not in _CONTAINERS:
        if value.name.startswith("torch._utils._rebuild"):
            return other("a file of torch that contains a single tensor")
        if isinstance(value.state, dict) and "_modules" in value.state:
            what = f"a whole module ({_class(value)}) saved with torch.save, which only its code can load"
            return model(what, "its .state_dict() where its class is defined")
        return model(f"a file of torch that contains an object of {_class(value)}")
    items = _items(value)
    if not isinstance(items, dict):
        return other(f"a file of torch that contains {_article(type(items).__name__)}, not a dictionary")
    return _describe_items(items)


def _describe_items(items: Mapping[str, Any]) -> ModelFile:
    stated = items.get("format")
    if stated == CHECKPOINT_FORMAT:
        return ModelFile("checkpoint", "a checkpoint of edgespeech")
    if stated == STATE_FORMAT:
        return ModelFile("training", "a training state of edgespeech")
    if isinstance(stated, str):
        return model(f"a file of torch with the format {stated[:40]!r}")
    if any(key.endswith(DEEPSPEECH_PYTORCH) for one in (items, *map(_items, items.values())) if isinstance(one, dict)
           for key in one):  # fmt: skip
        return importable("a Deep Speech 2 model of deepspeech.pytorch", "torch")
    if _LIGHTNING in items:
        version = f" {items[_LIGHTNING]}" if isinstance(items[_LIGHTNING], str) else ""
        return model(f"a checkpoint of PyTorch Lightning{version}", f'{_LOAD}["state_dict"]')
    if _is_state_dict(items):
        return model(f"a bare state_dict ({count_tensors(items)})", _LOAD)
    inner = next((key for key, one in items.items() if _is_state_dict(_items(one))), None)
    others = sorted({one.name for one in instances(dict(items)) if not one.name.startswith(_HARMLESS)})
    objects = f"; objects of {others[0]}" if others else ""
    keys = ", ".join(list(items)[:5]) or "none that is text"
    what = f"a dictionary without a format of edgespeech (keys: {keys}{', ...' if len(items) > 5 else ''}{objects})"
    return model(what, "" if inner is None else f'{_LOAD}["{inner}"]')


def _items(value: Any) -> Any:
    return value.items if isinstance(value, Instance) and value.name in _CONTAINERS else value


def _is_state_dict(items: Any) -> bool:
    """Return whether all values are tensors, and there is one."""
    values = list(items.values()) if isinstance(items, dict) else []
    return bool(values) and all(isinstance(one, Instance) and one.name.startswith(_TENSORS) for one in values)


def _class(value: Any) -> str:
    return value.name if isinstance(value, Instance) else ""


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
