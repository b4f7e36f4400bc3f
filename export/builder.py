"""Build ONNX graphs with named streaming states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8


@dataclass(frozen=True)
class StateTensor:
    """A streaming state: input ``name``, output ``name_out``, float32 [batch, *shape], initially zero."""

    name: str
    shape: tuple[int, ...]

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

    def integers(self, *values: int) -> str:
        """Store an int64 vector as a constant and return its name."""
        return self.weight("integers_" + "_".join(map(str, values)), np.array(values, np.int64))

    def state(self, name: str, shape: Sequence[int]) -> str:
        """Declare a state and return the name of its input."""
        self.states.append(StateTensor(name, tuple(shape)))
        return name

    def set_new_state(self, name: str, value: str) -> None:
        """Make a tensor the new value of a declared state."""
        self.nodes.append(helper.make_node("Identity", [value], [f"{name}_out"], name=f"{name}_out"))

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
