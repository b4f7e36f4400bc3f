"""Make a graph compute in float16, for GPUs: all layers between the features and log-softmax, which stay float32.

Inputs, outputs and states stay float32 and are cast, so the bundle is used like any other. Nothing comes near the
largest float16, 65504: activations are clipped at 20, and the cells of an LSTM, which add up over time, stay small.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgespeech.quantization.graph.float_graph import EDGES_PREFIX, FEATURE_PREFIX

FLOAT32_OPERATORS = {"Log", "LogSoftmax", "Softmax"}
RECURRENT = {"GRU", "LSTM", "RNN"}
LENGTHS = 4  # input of a recurrent operator that is an integer


def compute_in_float16(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Copy a float32 graph, in either form, and make its layers compute in float16."""
    result = onnx.ModelProto()
    result.CopyFrom(graph)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    full = _float32_tensors(graph, set(weights))
    nodes: list[onnx.NodeProto] = []
    casts: set[str] = set()
    halved: dict[str, onnx.TensorProto] = {}

    def cast(source: str, output: str, to: int) -> str:
        if output not in casts:
            nodes.append(helper.make_node("Cast", [source], [output], name=f"{output}.cast", to=to))
            casts.add(output)
        return output

    for node in graph.graph.node:
        is_full = node.output[0] in full
        inputs = []
        for position, name in enumerate(node.input):
            if position == LENGTHS and node.op_type in RECURRENT:
                inputs.append(name)
            elif name in weights and weights[name].dtype == np.float32 and not is_full:
                halved[name] = numpy_helper.from_array(weights[name].astype(np.float16), f"{name}.half")
                inputs.append(f"{name}.half")
            elif not name or name in weights or (name in full) == is_full:
                inputs.append(name)
            else:
                inputs.append(cast(name, f"{name}.float" if is_full else f"{name}.half",
                                   TensorProto.FLOAT if is_full else TensorProto.FLOAT16))  # fmt: skip
        changed = onnx.NodeProto()
        changed.CopyFrom(node)
        changed.input[:] = inputs
        nodes.append(changed)
    for output in graph.graph.output:
        if output.name not in full:
            (producer,) = [node for node in nodes if output.name in node.output]
            producer.output[list(producer.output).index(output.name)] = f"{output.name}.half"
            cast(f"{output.name}.half", output.name, TensorProto.FLOAT)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.graph.initializer if tensor.name in used]
    del result.graph.node[:], result.graph.initializer[:]
    result.graph.node.extend(nodes)
    result.graph.initializer.extend([*kept, *halved.values()])
    onnx.checker.check_model(result, full_check=True)
    return result


def _float32_tensors(graph: onnx.ModelProto, constants: set[str]) -> set[str]:
    """Return tensors that stay as they are: inputs, features and edges and all before them, all from log-softmax on."""
    producers = {output: node for node in graph.graph.node for output in node.output}
    inputs = {value.name for value in graph.graph.input}
    features = [node for node in graph.graph.node if node.name.startswith(FEATURE_PREFIX)]
    border = set(features[-1].output)
    full: set[str] = set()
    edges = [node for node in graph.graph.node if node.name.startswith(EDGES_PREFIX)]
    wanted = [*border, *(output for node in edges for output in node.output)]
    while wanted:
        name = wanted.pop()
        if name not in full | constants | inputs:
            full.add(name)
            wanted += producers[name].input
    for node in graph.graph.node:
        data = {name for name in node.input if name and name not in constants}
        behind = bool(data & full) and data <= (full - border) | inputs
        behind_softmax = bool(data) and all(
            name in full and name not in border and producers.get(name) is not None for name in data
        )
        if node.op_type in FLOAT32_OPERATORS or behind or behind_softmax:
            full |= set(node.output)
    return full | inputs
