"""Read the float32 graph of a bundle: its layers, their inputs and biases, and which of them may be quantized."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edgespeech.errors import UsageError
from edgespeech.runtime.bundle import Bundle

FEATURE_PREFIX = "features."
# Where a recording begins and ends, and the product with it.
EDGES_PREFIX, INSIDE_SUFFIX = "edges.", ".inside"
RECURRENT_SUFFIX = ".U"
# Output of a recurrent layer.
FRAMES_SUFFIX = ".frames"
# Layers that stay float32, and the reason.
FLOAT_LAYERS = {
    "lookahead.": "one weight per channel and frame: nothing to gain",
    "output.": "small, and the noisiest layer in integers",
}
LARGE_OUTPUT = 1000  # labels from which the output layer is not small
KINDS = {"MatMul": "matrix", "Conv": "convolution", "GRU": "recurrent", "LSTM": "recurrent", "RNN": "recurrent"}
REARRANGING = {"Concat", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}


@dataclass(frozen=True)
class Layer:
    """A product with a trained weight, or a recurrent operator with two."""

    name: str  # of its weight, or of the node if there are two weights
    kind: str  # "matrix" [inputs, outputs], "convolution" [outputs, inputs, kernel...] or "recurrent"
    nodes: tuple[int, ...]  # indices of the nodes that use it; unrolled cells share one weight
    sources: tuple[str, ...]  # activations that it multiplies, one for each node
    weights: tuple[str, ...]  # names of the initializers
    outputs: int  # columns of a matrix; 0 for other kinds

    @property
    def quantizable(self) -> bool:
        """Whether the layer is worth quantizing to integers."""
        is_large_output = self.name.startswith("output.") and self.outputs >= LARGE_OUTPUT
        return is_large_output or not self.name.startswith(tuple(FLOAT_LAYERS))


@dataclass(frozen=True)
class RangeGroup:
    """Tensors that hold the same values in another arrangement, such as a layer's output and its context.

    They share one range, so that values that were quantized once are quantized again without loss, in every step of an
    unrolled recurrence and in the state between chunks.
    """

    tensors: frozenset[str]
    observed: tuple[str, ...]  # those that are multiplied, or are outputs of a convolution
    bounded: bool  # outputs of a GRU or LSTM, which lie in (-1, 1)


def require_float32(bundle: Bundle) -> None:
    """Raise UsageError if a bundle has been quantized already."""
    if (precision := bundle.manifest.graph.precision) != "fp32":
        raise UsageError(f"{bundle.folder} is {precision} already; give the fp32 bundle")


class FloatGraph:
    """Indexes the nodes and weights of a graph, which it does not change."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes = list(model.graph.node)
        self.weights: dict[str, NDArray[np.float32]] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer
        }

    @classmethod
    def of(cls, bundle: Bundle) -> FloatGraph:
        """Read the graph of a float32 bundle whose recurrence can become integers: in ``cells`` form, or with LSTMs.

        Raises:
            UsageError: The bundle is quantized already, or its recurrent operator has no integer counterpart.
        """
        require_float32(bundle)
        facts = bundle.manifest.graph
        graph = cls(onnx.load(str(bundle.acoustic_path)))
        for node in graph.nodes:
            if node.op_type in {"GRU", "RNN"}:
                raise UsageError(
                    f"{bundle.folder} has form {facts.form!r}, whose {node.op_type} stays float32; "
                    "export it with --form cells"
                )
        return graph

    def layers(self) -> list[Layer]:
        """Return every product with trained weights, in the order of the graph; the feature front end has none."""
        uses: dict[tuple[str, ...], list[int]] = {}
        for index, node in enumerate(self.nodes):
            if node.op_type in KINDS and node.input[1] in self.weights and not node.input[1].startswith(FEATURE_PREFIX):
                weights = node.input[1:3] if KINDS[node.op_type] == "recurrent" else node.input[1:2]
                uses.setdefault(tuple(weights), []).append(index)
        return [
            Layer(
                weights[0] if len(weights) == 1 else self.nodes[indices[0]].name,
                KINDS[self.nodes[indices[0]].op_type],
                tuple(indices),
                tuple(self.nodes[index].input[0] for index in indices),
                weights,
                self.weights[weights[0]].shape[1] if self.nodes[indices[0]].op_type == "MatMul" else 0,
            )
            for weights, indices in uses.items()
        ]

    def consumers(self, tensor: str) -> list[onnx.NodeProto]:
        """Return the nodes that read a tensor."""
        return [node for node in self.nodes if tensor in node.input]

    def bias(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """Return the node that adds a trained bias to a product and is its only consumer, if there is one."""
        following = self.consumers(node.output[0])
        if len(following) == 1 and following[0].op_type == "Add" and following[0].input[1] in self.weights:
            return following[0]
        return None

    def channel_tensors(self, layer: Layer) -> tuple[str, ...]:
        """Return for each weight a tensor with the channels that it multiplies; none for a convolution.

        This is the layer's input, or, for a recurrent matrix, whose input is the state, the output of the recurrence.
        """
        if layer.kind == "convolution":
            return ()
        if layer.kind == "recurrent":
            return layer.sources[0], str(self.nodes[layer.nodes[0]].output[0])
        if layer.name.endswith(RECURRENT_SUFFIX):
            return (layer.name.removesuffix(RECURRENT_SUFFIX) + FRAMES_SUFFIX,)
        return (layer.sources[0],)

    def clipped(self, layer: Layer) -> str:
        """Return the output of the clipped ReLU that follows a convolution."""
        (clip,) = self.consumers(self.nodes[layer.nodes[0]].output[0])
        return str(clip.output[0])

    def range_groups(self) -> list[RangeGroup]:
        """Return every activation that needs a range, in the order of the graph."""
        group = self._arrangements()
        gated = any(node.op_type == "Tanh" for node in self.nodes)
        observed: dict[str, list[str]] = defaultdict(list)
        bounded = set()
        for layer in self.layers():
            if not layer.quantizable or layer.kind == "recurrent":
                continue
            wanted = [*layer.sources, *([self.clipped(layer)] if layer.kind == "convolution" else [])]
            for tensor in wanted:
                if tensor not in observed[group[tensor]]:
                    observed[group[tensor]].append(tensor)
            if gated and layer.name.endswith(RECURRENT_SUFFIX):
                bounded.add(group[layer.sources[0]])
        return [
            RangeGroup(frozenset(name for name, root in group.items() if root == key), tuple(tensors), key in bounded)
            for key, tensors in observed.items()
        ]

    def _arrangements(self) -> dict[str, str]:
        """Return for each tensor a name that it shares with its other arrangements."""
        parent: dict[str, str] = {}

        def root(name: str) -> str:
            while parent.setdefault(name, name) != name:
                name = parent[name]
            return name

        for node in self.nodes:
            data = list(node.input) if node.op_type == "Concat" else list(node.input[:1])
            for name in node.output:
                root(name)
                if node.op_type in REARRANGING or node.name.endswith(INSIDE_SUFFIX):
                    for source in data:
                        parent[root(source)] = root(name)
        for layer in self.layers():
            for name in layer.sources:
                parent[root(name)] = root(layer.sources[0])
        return {name: root(name) for name in list(parent)}
