"""Parameters of PaddlePaddle (``.pdparams``): a pickle of NumPy arrays, of which three names are allowed."""

from __future__ import annotations

import io
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgespeech.errors import CheckpointError
from edgespeech.reference.foreign.inert_pickles import ForeignCallError, refuse_call
from edgespeech.reference.foreign.torch_reader import damaged

MAX_FILE_BYTES = 4 << 30
_NUMBERS = {"f2", "f4", "f8", "i4", "i8"}


class _Type:
    """Stands for ``numpy.dtype`` in a pickle."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code, self.order = code, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = "<" if state[1] == "|" else str(state[1])

    @property
    def type(self) -> np.dtype[Any]:
        if self.code not in _NUMBERS or self.order not in "<>":
            raise ValueError(f"an array of type {self.order}{self.code}"[:60])
        return np.dtype(self.order + self.code)


class _Array:
    """Stands for ``numpy.ndarray``; the numbers are copied once the whole file was read."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.type, self.transposed, self.data = state

    def tensor(self) -> Tensor:
        if not isinstance(self.type, _Type) or not isinstance(self.data, bytes):
            raise ValueError("an array of objects")
        numbers = np.frombuffer(self.data, self.type.type)
        if len(numbers) != math.prod(self.shape):
            raise ValueError(f"an array of {len(numbers)} numbers with the shape {self.shape}"[:80])
        array = numbers.reshape(self.shape, order="F" if self.transposed else "C")
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C"))


class _Maker:
    """Stands for ``numpy.core.multiarray._reconstruct`` in a pickle."""

    def __call__(self, *_: Any) -> _Array:
        return _Array()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        if module in {"numpy.core.multiarray", "numpy._core.multiarray"} and name == "_reconstruct":
            return _Maker()
        found = {("numpy", "ndarray"): _Array, ("numpy", "dtype"): _Type}.get((module, name))
        if found is None:
            raise ForeignCallError(f"{module}.{name}")
        return found


def read_paddle(path: Path) -> dict[str, Tensor]:
    """Read the arrays of a file that ``paddle.save`` wrote; other entries are left out, and nothing in it is run.

    Raises:
        CheckpointError: The file is damaged, too large, no dictionary of arrays, or names anything but NumPy's arrays.
    """
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise CheckpointError(f"{path} has {size} bytes, wanted at most {MAX_FILE_BYTES}: models are smaller")
    try:
        value = _Unpickler(io.BytesIO(path.read_bytes())).load()
        if not isinstance(value, dict):
            raise ValueError(f"it holds a {type(value).__name__}, not a dictionary")
        # Newer releases keep each array together with the name of its parameter.
        arrays = {name: one[1] if isinstance(one, tuple) and len(one) == 2 else one for name, one in value.items()}
        return {str(name): one.tensor() for name, one in arrays.items() if isinstance(one, _Array)}
    except ForeignCallError as error:
        raise refuse_call(path, error) from None
    except Exception as error:  # a damaged pickle can raise anything
        raise damaged(path, error) from None
