"""What an ONNX file consists of: its operators, its weights and the shapes of its inputs and outputs.

A file can be understood without onnxruntime only if it has nothing but nodes and weights. What lies elsewhere (external
data), is computed elsewhere (functions, graphs inside nodes) or is not a number (strings, sequences) is refused. The
numbers of the fields are those of onnx.proto, IR version 10.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from edgespeech.runtime.graph.wire import BITS_32, VARINT, Field, Schema, Value, WireError, read_message

_MODEL: Schema = {
    1: Field("ir_version", VARINT),
    2: Field("producer_name"),
    3: Field("producer_version"),
    4: Field("domain"),
    5: Field("model_version", VARINT),
    6: Field("doc_string"),
    7: Field("graph"),
    8: Field("opset_import", repeated=True),
    14: Field("metadata_props", repeated=True),
    20: Field("training information", None),
    25: Field("functions of its own", None),
}
_OPSET: Schema = {1: Field("domain"), 2: Field("version", VARINT)}
_GRAPH: Schema = {
    1: Field("node", repeated=True),
    2: Field("name"),
    5: Field("initializer", repeated=True),
    10: Field("doc_string"),
    11: Field("input", repeated=True),
    12: Field("output", repeated=True),
    13: Field("value_info", repeated=True),
    15: Field("sparse weights", None),
    16: Field("metadata_props", repeated=True),
}
_NODE: Schema = {
    1: Field("input", repeated=True),
    2: Field("output", repeated=True),
    3: Field("name"),
    4: Field("op_type"),
    5: Field("attribute", repeated=True),
    6: Field("doc_string"),
    7: Field("domain"),
    9: Field("metadata_props", repeated=True),
}
_ATTRIBUTE: Schema = {
    1: Field("name"),
    2: Field("f", BITS_32),
    3: Field("i", VARINT),
    4: Field("s"),
    5: Field("t"),
    6: Field("a graph inside a node", None),
    7: Field("floats", BITS_32, repeated=True),
    8: Field("ints", VARINT, repeated=True),
    9: Field("strings", repeated=True),
    10: Field("tensors", repeated=True),
    11: Field("a graph inside a node", None),
    13: Field("doc_string"),
    20: Field("type", VARINT),
    22: Field("sparse weights", None),
    23: Field("sparse weights", None),
}
_TENSOR: Schema = {
    1: Field("dims", VARINT, repeated=True),
    2: Field("data_type", VARINT),
    4: Field("float_data", BITS_32, repeated=True),
    5: Field("int32_data", VARINT, repeated=True),
    6: Field("weights that are text", None),
    7: Field("int64_data", VARINT, repeated=True),
    8: Field("name"),
    9: Field("raw_data"),
    12: Field("doc_string"),
    13: Field("external data: it reads other files", None),
    14: Field("data_location", VARINT),
}
_VALUE: Schema = {1: Field("name"), 2: Field("type"), 3: Field("doc_string"), 4: Field("metadata_props", repeated=True)}
_TYPE: Schema = {1: Field("tensor_type"), 6: Field("denotation")}
_TENSOR_TYPE: Schema = {1: Field("elem_type", VARINT), 2: Field("shape")}
_SHAPE: Schema = {1: Field("dim", repeated=True)}
_DIMENSION: Schema = {1: Field("dim_value", VARINT), 2: Field("dim_param"), 3: Field("denotation")}

FLOAT32 = 1
_FLOATS = {1: "<f4", 10: "<f2", 11: "<f8"}
_INTEGERS = {2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 12: 4, 13: 8}  # bytes of an element, by its type
_MAX_DIMS = 8


class Weights(NamedTuple):
    """The shape of a constant, and its size in bytes."""

    shape: tuple[int, ...]
    size: int


class Shape(NamedTuple):
    """Type of an element, as ONNX numbers it, and the dimensions; None where any size is possible."""

    element: int
    dims: tuple[int | None, ...]


@dataclass(frozen=True)
class OnnxGraph:
    """The content of a graph.

    Attributes:
        opsets: Version of the operators of each domain; the domain of ONNX itself is empty.
        operators: Domain and name of the operator of each node.
        weights: Constants by name.
        inputs: Inputs by name.
        outputs: Outputs by name.
    """

    opsets: Mapping[str, int]
    operators: tuple[tuple[str, str], ...]
    weights: Mapping[str, Weights]
    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]


def read_graph(data: memoryview) -> OnnxGraph:
    """Read an ONNX file.

    Raises:
        WireError: It is damaged, has more than nodes and weights, or a weight is not finite.
    """
    model = read_message(data, _MODEL, "the model")
    if "graph" not in model:
        raise WireError("has no graph")
    graph = read_message(_bytes(model["graph"][0]), _GRAPH, "the graph")
    opsets = (read_message(_bytes(one), _OPSET, "an opset") for one in model.get("opset_import", ()))
    return OnnxGraph(
        opsets={_text(opset, "domain"): _number(opset, "version") for opset in opsets},
        operators=tuple(_read_operator(_bytes(node)) for node in graph.get("node", ())),
        weights=dict(_read_weights(_bytes(tensor)) for tensor in graph.get("initializer", ())),
        inputs=dict(_read_value(_bytes(value)) for value in graph.get("input", ())),
        outputs=dict(_read_value(_bytes(value)) for value in graph.get("output", ())),
    )


def _read_operator(message: memoryview) -> tuple[str, str]:
    node = read_message(message, _NODE, "a node")
    for attribute in node.get("attribute", ()):
        content = read_message(_bytes(attribute), _ATTRIBUTE, "an attribute")
        for tensor in (*content.get("t", ()), *content.get("tensors", ())):
            _read_weights(_bytes(tensor))
    domain = _text(node, "domain")
    return "" if domain == "ai.onnx" else domain, _text(node, "op_type")


def _read_weights(message: memoryview) -> tuple[str, Weights]:
    tensor = read_message(message, _TENSOR, "weights")
    name, kind = _text(tensor, "name"), _number(tensor, "data_type")
    shape = tuple(_int(size) for size in tensor.get("dims", ()))
    if _number(tensor, "data_location"):
        raise WireError("has external data: it reads other files")
    if kind not in _FLOATS and kind not in _INTEGERS:
        raise WireError(f"has weights of the unknown type {kind}: {name}")
    if len(shape) > _MAX_DIMS or min(shape, default=0) < 0:
        raise WireError(f"has weights with invalid dimensions: {name}")
    width = np.dtype(_FLOATS[kind]).itemsize if kind in _FLOATS else _INTEGERS[kind]
    size = math.prod(shape) * width
    typed = [value for key in ("float_data", "int32_data", "int64_data") for value in tensor.get(key, ())]
    if "raw_data" in tensor and not typed:
        content = _bytes(tensor["raw_data"][0])
        if len(content) != size:
            raise WireError(f"has {len(content)} bytes of weights, wanted {size}: {name}")
        _require_finite(content, _FLOATS.get(kind), name)
    elif "raw_data" not in tensor:
        _read_typed(tensor, kind, math.prod(shape), name)
    else:
        raise WireError(f"has weights in two forms: {name}")
    return name, Weights(shape, size)


def _read_typed(tensor: Mapping[str, list[Value]], kind: int, count: int, name: str) -> None:
    """Check weights that are numbers of the message instead of raw bytes."""
    floats = b"".join(_bytes(value) for value in tensor.get("float_data", ()))
    integers = [*tensor.get("int32_data", ()), *tensor.get("int64_data", ())]
    found = len(floats) / 4 if kind == FLOAT32 else len(integers)
    if found != count or (floats and integers):
        raise WireError(f"has {found:g} weights, wanted {count}: {name}")
    _require_finite(memoryview(floats), "<f4" if floats else None, name)
    if kind in _FLOATS and kind != FLOAT32 and count:
        raise WireError(f"has floats that are not stored as raw bytes: {name}")


def _require_finite(content: memoryview, kind: str | None, name: str) -> None:
    if kind is None or not len(content):
        return
    values = np.frombuffer(content, kind)
    # A sum of squares, which takes a quarter of the time, is finite only if all of them are.
    with np.errstate(over="ignore"):
        squares = np.vdot(values, values)
    if not (math.isfinite(squares) or np.isfinite(values).all()):
        raise WireError(f"has weights that are NaN or infinite: {name}")


def _read_value(message: memoryview) -> tuple[str, Shape]:
    value = read_message(message, _VALUE, "an input or output")
    name = _text(value, "name")
    try:
        kind = read_message(_bytes(value["type"][0]), _TYPE, "a type")
        tensor = read_message(_bytes(kind["tensor_type"][0]), _TENSOR_TYPE, "a type")
        shape = read_message(_bytes(tensor["shape"][0]), _SHAPE, "a shape")
    except KeyError:
        raise WireError(f"has an input or output without a shape: {name}") from None
    dims: list[int | None] = []
    for one in shape.get("dim", ()):
        size = read_message(_bytes(one), _DIMENSION, "a dimension").get("dim_value")
        dims.append(None if size is None else _int(size[0]))
    return name, Shape(_number(tensor, "elem_type"), tuple(dims))


def _bytes(value: Value) -> memoryview:
    assert isinstance(value, memoryview)  # by the schema
    return value


def _int(value: Value) -> int:
    assert isinstance(value, int)  # by the schema
    return value


def _number(message: Mapping[str, list[Value]], name: str) -> int:
    values = message.get(name)
    return _int(values[0]) if values else 0


def _text(message: Mapping[str, list[Value]], name: str) -> str:
    values = message.get(name)
    try:
        return sys.intern(str(_bytes(values[0]), "utf-8")) if values else ""
    except UnicodeDecodeError:
        raise WireError(f"has a {name} that is not UTF-8 text") from None
