"""Read back from nodes and initializers of the final graph what every trained tensor became."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edgespeech.quantization.divergence import decibels
from edgespeech.quantization.graph.float_graph import FEATURE_PREFIX, FLOAT_LAYERS
from edgespeech.quantization.graph.integer_lstm import gate_columns
from edgespeech.quantization.graph.integer_weights import Blocks

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TensorEntry:
    """A trained tensor before and after quantization; ``sqnr`` is the signal-to-quantization-noise ratio."""

    name: str
    shape: tuple[int, ...]  # in the float32 graph
    precision: str  # in the final graph: fp32, fp16, int8, int4, int32, or missing
    reason: str  # why the tensor has not become smaller; empty if it has
    bytes_before: int
    bytes_after: int  # with scales and zero points
    weight_sqnr_db: float | None  # None if the weights did not change
    output_sqnr_db: float | None = None  # of the layer's output on speech, with noise from the layers below


@dataclass(frozen=True)
class _Stored:
    """How the final graph stores a tensor; ``reach``, the range of balanced input channels, weights the noise."""

    precision: str
    initializers: tuple[str, ...]
    values: Floats | None
    reach: Floats | None = None


@dataclass(frozen=True)
class _Integers:
    """A node's operator, the bits of its weights, and the constants it reads: integers, scales and the rest."""

    operator: str
    bits: int
    constants: tuple[str, ...]


class GraphAudit:
    """Compares a final graph with its float32 original, whose node names it must have kept."""

    def __init__(self, original: onnx.ModelProto, final: onnx.ModelProto) -> None:
        self._original = {tensor.name: numpy_helper.to_array(tensor) for tensor in original.graph.initializer}
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in final.graph.initializer}
        self._nodes = {node.name: node for node in final.graph.node}
        self._producers = {node.output[0]: node for node in final.graph.node}
        self._read = {name for node in final.graph.node for name in node.input}
        self._casts = {
            node.output[0]: node.input[0]
            for node in final.graph.node
            if node.op_type == "Cast" and node.input[0] in self._constants
        }
        self._users: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for node in original.graph.node:
            for position, name in enumerate(node.input):
                self._users[name].append((node.name, position))

    def entries(self, kept: Mapping[str, str] = {}) -> list[TensorEntry]:
        """Return one entry for each trained tensor; ``kept`` gives reasons for those left as they are on purpose."""
        return [self._entry(name, kept.get(name, "")) for name in self._original if self._is_trained(name)]

    def _is_trained(self, name: str) -> bool:
        value = self._original[name]
        return value.dtype == np.float32 and value.size > 1 and not name.startswith(FEATURE_PREFIX)

    def _entry(self, name: str, kept: str) -> TensorEntry:
        value, stored = self._original[name], self._stored(name)
        sqnr = None
        if stored.values is not None and stored.precision != "fp32":
            exact, reach = value.astype(np.float64), 1.0 if stored.reach is None else stored.reach
            noise = (exact - stored.values) * reach
            sqnr = decibels(float(np.square(exact * reach).sum()), float(np.square(noise).sum()))
        return TensorEntry(
            name=name,
            shape=value.shape,
            precision=stored.precision,
            reason=_reason(name, value, stored.precision, kept),
            bytes_before=value.nbytes,
            bytes_after=sum(self._constants[key].nbytes for key in stored.initializers),
            weight_sqnr_db=sqnr,
        )

    def _stored(self, name: str) -> _Stored:
        if name in self._constants and name in self._read:
            value = self._constants[name]
            return _Stored("fp32" if value.dtype == np.float32 else str(value.dtype), (name,), value)
        if name in self._casts:
            half = self._constants[self._casts[name]]
            return _Stored("fp16" if half.dtype == np.float16 else str(half.dtype), (self._casts[name],), _f32(half))
        multiplied = {self._nodes[node].input[position] for node, position in self._users[name] if node in self._nodes}
        if multiplied == {f"{name}.half"} and (half := self._constants[f"{name}.half"]).dtype == np.float16:
            return _Stored("fp16", (f"{name}.half",), _f32(half))
        found = {self._integers(*user) for user in self._users[name]}
        if len(found) != 1 or None in found:
            return _Stored("missing", (), None)
        (integers,) = found
        assert integers is not None
        return self._dequantized(name, integers)

    def _integers(self, node_name: str, position: int) -> _Integers | None:
        node = self._nodes.get(node_name)
        positions: tuple[int, ...] = ()
        if node is not None:
            positions = {
                ("MatMulIntegerToFloat", 1): (1, 3),
                ("MatMulNBits", 1): (1, 2),
                ("QLinearConv", 1): (3, 4, 5),
                ("QLinearConv", 2): (8, 1, 4),
                ("DynamicQuantizeLSTM", 1): (1, 8),
                ("DynamicQuantizeLSTM", 2): (2, 10),
            }.get((node.op_type, position), ())
        if node is None or not positions or max(positions) >= len(node.input):
            return None
        keys = tuple(node.input[index] for index in positions)
        if position == 1 and node.op_type != "QLinearConv" and (inverse := self._inverse_reach(node.input[0])):
            keys = (*keys, inverse)
        default = 4 if node.op_type == "MatMulNBits" else 8
        bits = next((attribute.i for attribute in node.attribute if attribute.name == "bits"), default)
        return _Integers(node.op_type, bits, keys) if all(key in self._constants for key in keys) else None

    def _inverse_reach(self, source: str) -> str | None:
        producer = self._producers.get(source)
        if producer is not None and producer.op_type in {"QuantizeLinear", "Clip"}:
            producer = self._producers.get(producer.input[0])
        if producer is None or producer.op_type != "Mul" or producer.input[1] not in self._constants:
            return None
        return str(producer.input[1])

    def _dequantized(self, name: str, found: _Integers) -> _Stored:
        operator, (values, scales, *rest) = found.operator, found.constants
        integers, scale = self._constants[values], self._constants[scales]
        if integers.dtype == np.int32:  # a convolution's bias has the scale of input times weight
            product = scale * self._constants[rest[0]]
            return _Stored("int32", (values,), _f32(integers * product))
        if operator == "QLinearConv" and integers.dtype == np.int8:
            column = scale.reshape(-1, *(1 for _ in integers.shape[1:]))
            return _Stored("int8", (values, scales, *rest), _f32(integers * column))
        shape = self._original[name].shape
        if operator == "MatMulIntegerToFloat" and integers.dtype == np.int8:
            precision, matrix = "int8", _f32(integers * scale)
        elif operator == "DynamicQuantizeLSTM" and integers.dtype == np.int8:
            precision, matrix = "int8", _f32(gate_columns(integers[0] * scale[0], shape[-1]))
        elif operator == "MatMulNBits" and integers.dtype == np.uint8 and found.bits == 4:
            precision, matrix = "int4", Blocks(integers, scale).matrix(shape[0])
        else:
            precision = f"int{found.bits}" if operator == "MatMulNBits" else str(integers.dtype)
            return _Stored(precision, (values, scales, *rest), None)
        reach = 1.0 / self._constants[rest[0]][: len(matrix), None] if rest else np.ones((1, 1), np.float32)
        weights = matrix / reach
        if operator == "DynamicQuantizeLSTM":  # W and R are [1, outputs, inputs]
            weights, reach = weights.T[None], reach.T[None]
        return _Stored(precision, (values, scales, *rest), _f32(weights), _f32(reach))


def _f32(values: NDArray[np.generic]) -> Floats:
    return np.asarray(values, np.float32)


def _reason(name: str, value: Floats, precision: str, kept: str) -> str:
    if precision == "missing":
        return "not found in the final graph"
    if precision == "int32":
        return "bias of an integer convolution"
    if precision != "fp32":
        return kept
    if sum(size > 1 for size in value.shape) < 2:
        return "bias, added in float32"
    for prefix, why in FLOAT_LAYERS.items():
        if name.startswith(prefix):
            return why
    return kept or "the graph multiplies it in float32"


def precision_fractions(entries: Sequence[TensorEntry]) -> dict[str, float]:
    """Return for each precision of the final graph its fraction of the trained weights' float32 bytes."""
    total = sum(entry.bytes_before for entry in entries)
    by_precision: dict[str, float] = defaultdict(float)
    for entry in entries:
        by_precision[entry.precision] += entry.bytes_before / max(1, total)
    return dict(by_precision)
