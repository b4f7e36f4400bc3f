"""Unpickling that imports and calls nothing of a file: its classes become records, and other names are refused.

`torch.load` takes the class `Unpickler` of a module, so `UNPICKLERS` stands for one.
"""

from __future__ import annotations

import collections
import pickle
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, BinaryIO

import torch

from edgespeech.errors import CheckpointError

# Packages whose classes real checkpoints contain: configurations, and what they refer to.
PACKAGES = (
    "argparse", "deepspeech_pytorch", "hydra", "hydra_configs", "hydra_plugins", "lightning", "lightning_fabric",
    "omegaconf", "pathlib", "pytorch_lightning", "typing",
)  # fmt: skip
_NAMES = {
    ("collections", "defaultdict"), ("enum", "Enum"), ("_codecs", "encode"), ("torch.torch_version", "TorchVersion"),
    *(("torch.nn.modules.rnn", name) for name in ("RNN", "GRU", "LSTM")),
    *((module, name) for module in ("builtins", "__builtin__")
      for name in ("bool", "int", "long", "float", "complex", "str", "unicode", "bytes", "tuple", "object")),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    *(("numpy", name) for name in ("ndarray", "dtype")),
}  # fmt: skip
_CONTAINERS = {"dict": dict, "list": list, "set": set, "frozenset": frozenset}
_CALLS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor"): torch._utils._rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
    ("torch", "Size"): torch.Size,
    ("torch", "device"): torch.device,
    **{(module, name): call for module in ("builtins", "__builtin__") for name, call in _CONTAINERS.items()},
}


class Record:
    """What is known of an object of a foreign class: what it was made of and holds; nothing of its class is run.

    Attributes:
        name: The class, with its module.
        arguments: What it would have been called with.
        state: Its attributes, as the file has them.
        items: Its entries, if it is a mapping.
        values: Its elements, if it is a sequence.
    """

    name = ""

    def __new__(cls, *arguments: Any, **_: Any) -> Record:
        """Make a record instead of calling the class."""
        made = super().__new__(cls)
        made.arguments, made.state, made.items, made.values = arguments, None, {}, []
        return made

    arguments: tuple[Any, ...]
    state: Any
    items: dict[Any, Any]
    values: list[Any]

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items[key] = value

    def append(self, value: Any) -> None:
        """Keep an element of the sequence."""
        self.values.append(value)

    add = append

    def extend(self, values: Any) -> None:
        """Keep elements of the sequence."""
        self.values.extend(values)


class ForeignCallError(pickle.UnpicklingError):
    """A pickle that calls, or refers to, something that no checkpoint needs."""


class _Call:
    """A permitted function; a pickle can call it but not reach or change it."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._call(*arguments, **named)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("the pickle changes a function")


class InertUnpickler(pickle.Unpickler):
    """Resolves names of a pickle to records and to a few functions that build tensors and containers.

    Raises:
        ForeignCallError: Another name occurs, such as ``os.system``.
    """

    def find_class(self, module: str, name: str, /) -> Any:
        """Return what stands for a name; nothing is imported."""
        if (module, name) in _CALLS:
            return _Call(_CALLS[module, name])
        if module == "torch" and isinstance(kind := vars(torch).get(name), torch.dtype):
            return kind
        if module.partition(".")[0] in PACKAGES or (module, name) in _NAMES:
            return type("Record", (Record,), {"name": f"{module}.{name}"})
        raise ForeignCallError(f"{module}.{name}")


def _load(file: BinaryIO, **options: Any) -> Any:
    return InertUnpickler(file, **options).load()


UNPICKLERS = SimpleNamespace(__name__="inert_pickles", Unpickler=InertUnpickler, load=_load)


def records(value: Any) -> Iterator[Record]:
    """Yield the records in a tree of containers, each once, the outer ones first."""
    seen: set[int] = set()
    queue = collections.deque([value])
    while queue:
        one = queue.popleft()
        if id(one) in seen or isinstance(one, (str, bytes, int, float, torch.Tensor)):
            continue
        seen.add(id(one))
        if isinstance(one, Record):
            yield one
            queue.extend((one.arguments, one.state, one.items, one.values))
        elif isinstance(one, dict):
            queue.extend(one.values())
        elif isinstance(one, (list, tuple, set, frozenset)):
            queue.extend(one)


def refuse_call(path: object, name: object) -> CheckpointError:
    """Make the error of a file whose pickle names something else than classes of a checkpoint."""
    return CheckpointError(
        f"{path} contains a reference to {name}, which loading it the usual way could run: refused, nothing was run; "
        "if you trust where it comes from, save the bare state_dict where its classes are defined, and import that"
    )
