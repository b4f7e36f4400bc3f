"""What the graph of a bundle may do: compute with the operators that exports write, and keep the sizes of its states.

An untrusted graph is refused before onnxruntime sees it.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from edgespeech.errors import BundleError
from edgespeech.runtime.graph.onnx_graph import FLOAT32, OnnxGraph, Shape, read_graph
from edgespeech.runtime.graph.wire import WireError

# All that `edgespeech export` and `quantize` write. None of them reads a file, has random results, or repeats a part of
# the graph.
OPERATORS: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset(
        "Abs Add And Cast Clip Concat Conv CumSum DequantizeLinear Div Exp Flatten Floor GRU Gather GatherElements "
        "Gemm Greater Identity LSTM LayerNormalization Less Log LogSoftmax MatMul Max Min Mul Pad QLinearConv "
        "QuantizeLinear RNN Range ReduceMean Relu Reshape Shape Sigmoid Slice Split Sqrt Squeeze Sub Tanh Transpose "
        "Unsqueeze Where".split()
    ),
    "com.microsoft": frozenset({"DynamicQuantizeLSTM", "MatMulIntegerToFloat", "MatMulNBits"}),
}
MAX_NODES: Final = 200_000  # an unrolled chunk of 60 s has about 100,000
MAX_BYTES: Final = 2**31 - 1  # a protocol buffer cannot be longer

States = Mapping[str, tuple[int, ...]]
"""Shape of one stream's state, without the batch, by the name of its input or output."""


def check_graph(path: Path, states_in: States, states_out: States) -> OnnxGraph:
    """Read a graph and require that it keeps to the limits.

    Raises:
        BundleError: It does not.
        OSError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        if len(data) > MAX_BYTES:
            raise WireError(f"has {len(data)} bytes, at most {MAX_BYTES} are possible")
        graph = read_graph(data)
        _require_known(graph)
        _require_constant(graph.inputs, states_in)
        _require_constant(graph.outputs, states_out)
    except (WireError, ValueError) as error:  # an empty file cannot be mapped
        raise BundleError(f"{path} does not load: it {_reason(error)}; export the bundle again") from None
    return graph


def _reason(error: ValueError) -> str:
    return str(error)[:300] if isinstance(error, WireError) else "is empty"


def _require_known(graph: OnnxGraph) -> None:
    if not graph.operators or len(graph.operators) > MAX_NODES:
        raise WireError(f"has {len(graph.operators)} nodes, wanted 1 to {MAX_NODES}")
    for domain, operator in sorted(set(graph.operators)):
        if operator not in OPERATORS.get(domain, ()):
            name = f"{domain}.{operator}" if domain else operator
            raise WireError(f"has the operator {name!r}, which no export of edgespeech writes")


def _require_constant(values: Mapping[str, Shape], states: States) -> None:
    """Require that the states have the same size at each step, as the description says."""
    for name, shape in states.items():
        found = values.get(name)
        if found is None:
            raise WireError(f"lacks the state {name!r}")
        if found.element != FLOAT32 or found.dims[1:] != shape:
            sizes = ", ".join("any" if size is None else str(size) for size in found.dims[1:])
            raise WireError(f"has the state {name!r} of [{sizes}], wanted float32 {list(shape)} at every step")
