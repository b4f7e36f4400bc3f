"""Build ONNX graphs with named streaming states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

OPSET = 17
IR_VERSION = 8


def array(tensor: Tensor) -> NDArray[np.float32]:
    """Convert a torch tensor to a float32 array."""
    return np.asarray(tensor.detach().cpu().numpy(), np.float32)


@dataclass(frozen=True)
class StateTensor:
    """A streaming state: input ``name``, output ``name_out``, float32 [batch, *shape], initially ``initial``."""

    name: str
    shape: tuple[int, ...]
    initial: float = 0.0

    @property
    def output(self) -> str:
        """Name of the graph output with the new value."""
        return f"{self.name}_out"


class GraphBuilder:
    """Collects nodes, weights and states; a tensor is its name, as in ONNX itself."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, onnx.TensorProto] = {}
        self.states: list[StateTensor] = []
        self._names: dict[str, int] = {}

    def add(self, operator: str, inputs: Sequence[str], outputs: int = 1, name: str = "", **attributes: Any) -> Any:
        """Add a node and return the name of its output, or a list of names if it has several."""
        base = name or operator.lower()
        count = self._names.get(base, 0)
        self._names[base] = count + 1
        unique = f"{base}_{count}" if count else base
        names = [unique] if outputs == 1 else [f"{unique}:{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, name=unique, **attributes))
        return names[0] if outputs == 1 else names

    def weight(self, name: str, value: NDArray[Any]) -> str:
        """Store a constant, unless one of this name exists, and return the name."""
        if name not in self.weights:
            self.weights[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def scalar(self, name: str, value: float | np.int64) -> str:
        """Store a number of shape [], float32 or int64, and return the name; `weight` would make it [1]."""
        kind = np.int64 if isinstance(value, np.int64) else np.float32
        self.weights.setdefault(name, numpy_helper.from_array(np.array(value, kind), name))
        return name

    def integers(self, *values: int) -> str:
        """Store an int64 vector as a constant and return its name."""
        return self.weight("integers_" + "_".join(map(str, values)), np.array(values, np.int64))

    def state(self, name: str, shape: Sequence[int], initial: float = 0.0) -> str:
        """Declare a state and return the name of its input."""
        self.states.append(StateTensor(name, tuple(shape), initial))
        return name

    def set_new_state(self, name: str, value: str) -> None:
        """Make a tensor the new value of a declared state."""
        self.nodes.append(helper.make_node("Identity", [value], [f"{name}_out"], name=f"{name}_out"))

    def last(self, x: str, length: int, axis: int) -> str:
        """Return the last elements of x along an axis."""
        bounds = (-length, np.iinfo(np.int64).max, axis)
        return str(self.add("Slice", [x, *(self.integers(v) for v in bounds)], name="last"))

    def without(self, x: str, first: int, newest: int, axis: int) -> str:
        """Leave out the first and the newest elements of x along an axis; nothing is emitted if there are none."""
        if not first and not newest:
            return x
        bounds = (first, -newest if newest else np.iinfo(np.int64).max, axis)
        return str(self.add("Slice", [x, *(self.integers(v) for v in bounds)], name="without"))

    def with_context(self, name: str, x: str, shape: Sequence[int], axis: int) -> str:
        """Prepend the context of earlier steps to x along an axis; its end becomes the context of the next step."""
        length = shape[axis - 1]
        if length == 0:
            return x
        context = self.state(f"{name}_context", shape)
        buffer = str(self.add("Concat", [context, x], name=f"{name}_buffer", axis=axis))
        self.set_new_state(context, self.last(buffer, length, axis))
        return buffer

    def model(
        self, name: str, samples: int | str, labels: int, output: str, metadata: dict[str, str]
    ) -> onnx.ModelProto:
        """Assemble and check the graph: audio [batch, samples] and states in, ``log_probs`` and new states out.

        The number of ``samples`` is fixed, or the name of a free dimension. The tensor ``output`` becomes
        ``log_probs`` [batch, frames, labels].
        """
        self.nodes.append(helper.make_node("Identity", [output], ["log_probs"], name="log_probs"))

        def tensor(tensor_name: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(tensor_name, TensorProto.FLOAT, shape)

        graph = helper.make_graph(
            self.nodes,
            name,
            [tensor("samples", ["batch", samples]), *(tensor(s.name, ["batch", *s.shape]) for s in self.states)],
            [
                tensor("log_probs", ["batch", "frames", labels]),
                *(tensor(s.output, ["batch", *s.shape]) for s in self.states),
            ],
            list(self.weights.values()),
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="edgespeech"
        )
        helper.set_model_props(model, metadata)
        onnx.checker.check_model(model)
        return model
