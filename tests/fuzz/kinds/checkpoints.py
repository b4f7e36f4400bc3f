"""Checkpoints of our own, and model files of other projects; nothing in them may run."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

from edgespeech.errors import EdgespeechError
from edgespeech.reference.foreign.reading import original_model, read_original
from edgespeech.reference.foreign.reference_outputs import read_reference
from edgespeech.reference.model.checkpoint import load_checkpoint, save_checkpoint
from edgespeech.runtime.foreign.model_files import identify
from tests.fuzz.kind import Kind
from tests.fuzz.mutators import mutate_bytes
from tests.reference.foreign.originals import deepspeech_pytorch, package
from tests.tiny_models import make_tiny_model


class Checkpoints(Kind[bytes]):
    """What ``edgespeech train`` writes, as ``export`` reads it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        torch.set_num_threads(1)
        path = folder / "seed.pt"
        save_checkpoint(make_tiny_model(), path, {"language": "English"})
        self._value = torch.load(path, weights_only=True)
        self._seed = path.read_bytes()

    def make(self, chance: Random) -> bytes:
        """Change values and save them again, or damage the file or a part of it."""
        if chance.random() < 0.4:
            return _saved(_mutated(self._value, chance))
        return _damaged_archive(self._seed, chance)

    def run(self, given: bytes) -> None:
        """Load it."""
        path = self.folder / "model.pt"
        path.write_bytes(given)
        load_checkpoint(path)


class ForeignFiles(Kind[bytes]):
    """Files of deepspeech.pytorch, bare pickles, safetensors heads, NumPy archives: what ``import`` may be given."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        torch.set_num_threads(1)
        self._values = [package("v2.0", deepspeech_pytorch(layers=1)), package("v3.0", deepspeech_pytorch(layers=1))]
        arrays = io.BytesIO()
        np.savez(arrays, log_probs=np.zeros((5, 4), np.float32), samples=np.zeros(800, np.float32), sample_rate=16000)
        self._seeds = [
            *map(_saved, self._values),
            _saved(self._values[0], _use_new_zipfile_serialization=False),
            arrays.getvalue(),
            pickle.dumps({"encoder.weight": np.zeros((3, 4), np.float32), "decoder.bias": np.ones(4)}),
            b"\x40\0\0\0\0\0\0\0" + b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(64) + bytes(4),
        ]

    def make(self, chance: Random) -> bytes:
        """Change values and save them again, or damage the file or a part of it."""
        if chance.random() < 0.3:
            return _saved(_mutated(chance.choice(self._values), chance))
        return _damaged_archive(chance.choice(self._seeds), chance)

    def run(self, given: bytes) -> None:
        """Tell what it is, read it as a model, and as the outputs of one."""
        path = self.folder / "model.pth"
        path.write_bytes(given)
        identify(path)
        try:
            read_reference([path], None, 16000)
        except EdgespeechError:
            pass
        original_model(read_original(path))


def _saved(value: Any, **settings: Any) -> bytes:
    target = io.BytesIO()
    torch.save(value, target, **settings)
    return target.getvalue()


def _damaged_archive(data: bytes, chance: Random) -> bytes:
    """Damage a file, or a member of an archive whose checksums fit again."""
    if chance.random() < 0.4 or not zipfile.is_zipfile(io.BytesIO(data)):
        return mutate_bytes(data, chance, in_place=0.6)
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w") as archive:
        entries = source.infolist()
        chosen = chance.choice([one for one in entries if one.filename.endswith(("data.pkl", ".npy"))] * 8 + entries)
        for entry in entries:
            content = source.read(entry)
            if entry is chosen:
                content = mutate_bytes(content, chance, in_place=0.6)
            archive.writestr(entry.filename, content)
    return target.getvalue()


def _mutated(value: Any, chance: Random) -> Any:
    """Return a copy of nested dictionaries with one value changed."""
    if not isinstance(value, dict) or not value:
        return chance.choice(_CHANGES)(value)
    changed = dict(value)
    key = chance.choice(list(changed))
    match chance.randrange(8):
        case 0:
            del changed[key]
        case 1:
            changed[chance.choice(("", "extra", 7, f"{key}.more"))] = changed[key]
        case _:
            changed[key] = _mutated(changed[key], chance)
    return changed


def _reshaped(value: Any) -> Any:
    return value.reshape(-1)[:-1] if torch.is_tensor(value) else [value] * 3


def _other_type(value: Any) -> Any:
    return value.to(torch.int8) if torch.is_tensor(value) else {"a": value}


def _not_finite(value: Any) -> Any:
    return value * float("nan") if torch.is_tensor(value) and value.is_floating_point() else float("nan")


_CHANGES: tuple[Callable[[Any], Any], ...] = (
    _reshaped,
    _other_type,
    _not_finite,
    lambda value: None,
    lambda value: -1,
    lambda value: 2**40,
    lambda value: "x" * 1000,
    lambda value: torch.zeros(0),
    lambda value: torch.zeros(1).expand(10**9),
    lambda value: torch.eye(3).to_sparse(),
)
