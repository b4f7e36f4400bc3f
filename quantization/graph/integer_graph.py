"""Rewrite products in integers: int8 with static activation scales, or int4 weights in blocks.

In int8 a matrix product becomes QuantizeLinear and MatMulIntegerToFloat, a convolution QuantizeLinear, QLinearConv and
DequantizeLinear, and an LSTM `integer_lstm`. Static scales make a stream's result independent of its neighbours in a
batch and of the chunking. In int4 a product becomes MatMulNBits, whose activations stay float32. Features, look-ahead,
output, gates and log-softmax stay float32.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgespeech.quantization.graph.activation_ranges import BOUNDED_BY_ONE, Channels, Range
from edgespeech.quantization.graph.float_graph import FloatGraph, Layer
from edgespeech.quantization.graph.integer_lstm import integer_lstm
from edgespeech.quantization.graph.integer_weights import (
    BLOCK,
    Balance,
    convolution_integers,
    matrix_blocks,
    matrix_integers,
)

MICROSOFT = "com.microsoft"


class IntegerRewriter:
    """Rewrites some layers of a float graph with ranges of its activations and channels of its matrices' inputs."""

    def __init__(self, graph: FloatGraph, ranges: Mapping[str, Range], channels: Mapping[str, Channels]) -> None:
        self.graph = graph
        self.ranges = dict(ranges)
        self.channels = channels
        self._replaced: dict[int, list[onnx.NodeProto]] = {}
        self._constants: dict[str, onnx.TensorProto] = {}
        self._integers_of: dict[str, str] = {}
        self._gone: set[str] = set()

    def rewrite(self, int8: Collection[str], int4: Collection[str] = ()) -> onnx.ModelProto:
        """Return a new graph in which the named layers have int8 weights, or matrices of int4 blocks."""
        for layer in self.graph.layers():
            if layer.name in int4 and layer.kind == "matrix":
                self._matrix_int4(layer)
            elif layer.name in int8:
                {"matrix": self._matrix_int8, "convolution": self._convolution_int8, "recurrent": self._lstm_int8}[
                    layer.kind
                ](layer)
        return self._assemble()

    def _constant(self, name: str, value: NDArray[Any] | np.generic) -> str:
        self._constants.setdefault(name, numpy_helper.from_array(np.asarray(value), name))
        return name

    def _scale(self, source: str) -> tuple[str, str]:
        chosen = self.ranges[source]
        key = f"{float(chosen.scale):.9g}_{int(chosen.zero_point)}"
        return self._constant(f"scale_{key}", chosen.scale), self._constant(f"zero_{key}", chosen.zero_point)

    def _add(self, index: int, operator: str, inputs: list[str], output: str, name: str, **attributes: Any) -> None:
        """Replace a node by another one, after those that replace it already."""
        domain = MICROSOFT if operator.startswith("MatMul") else ""
        node = helper.make_node(operator, inputs, [output], name=name, domain=domain, **attributes)
        self._replaced.setdefault(index, []).append(node)

    def _quantized(self, source: str, index: int) -> str:
        """Return the quantized activation, which is computed once, before the first node that uses it."""
        if source not in self._integers_of:
            self._integers_of[source] = f"{source}.int8"
            self._add(index, "QuantizeLinear", [source, *self._scale(source)], f"{source}.int8", f"{source}.quantize")
        return self._integers_of[source]

    def _balance(
        self, layer: Layer, kind: Callable[[Channels], Balance]
    ) -> tuple[Balance | None, NDArray[np.float64] | None]:
        """Return the balance of a matrix's input, if there is a bias to absorb its centre, and the input's moments."""
        (tensor,) = self.graph.channel_tensors(layer)
        channels = self.channels.get(tensor)
        if channels is None:
            return None, None
        if self.graph.bias(self.graph.nodes[layer.nodes[0]]) is None:
            return None, channels.moments
        balance = kind(channels)
        return balance, balance.moments(channels)

    def _balanced(self, source: str, balance: Balance, index: int) -> str:
        # QuantizeLinear could scale each channel by itself, but takes ten times as long.
        centre = self._constant(f"{source}.centre", balance.centre)
        inverse = self._constant(f"{source}.inverse_reach", 1.0 / balance.reach)
        self._add(index, "Sub", [source, centre], f"{source}.centred", f"{source}.centred")
        balanced = f"{source}.balanced"
        self._add(index, "Mul", [f"{source}.centred", inverse], balanced, balanced)
        self.ranges[balanced] = BOUNDED_BY_ONE
        return balanced

    def _correct(self, layer: Layer, balance: Balance, rounded: NDArray[np.float32]) -> None:
        """Let the bias absorb the centre of the input and the mean error of rounding."""
        adding = self.graph.bias(self.graph.nodes[layer.nodes[0]])
        assert adding is not None
        name = adding.input[1]
        more = balance.bias(self.graph.weights[layer.name], rounded)
        self._constant(name, (self.graph.weights[name] + more).astype(np.float32))
        self._gone.add(name)

    def _matrix_int8(self, layer: Layer) -> None:
        weight, (balance, moments) = self.graph.weights[layer.name], self._balance(layer, Balance.within_one)
        integers = matrix_integers(weight if balance is None else balance.weights(weight), moments)
        values = self._constant(f"{layer.name}.int8", integers.values)
        scales = self._constant(f"{layer.name}.scales", integers.scales)
        self._gone.add(layer.name)
        if balance is not None:
            self._correct(layer, balance, integers.values * integers.scales)
        for index, source in zip(layer.nodes, layer.sources, strict=True):
            node = self.graph.nodes[index]
            if balance is not None:
                source = self._balanced(source, balance, index)
            quantized, (scale, zero) = self._quantized(source, index), self._scale(source)
            output, bias = node.output[0], ""
            if (adding := self.graph.bias(node)) is not None:
                bias, output = adding.input[1], adding.output[0]
                self._replaced[self._position(adding)] = []
            inputs = [quantized, values, scale, scales, zero, "", bias]
            self._add(index, "MatMulIntegerToFloat", inputs, output, node.name)

    def _matrix_int4(self, layer: Layer) -> None:
        weight, (balance, moments) = self.graph.weights[layer.name], self._balance(layer, Balance.of_deviations)
        blocks = matrix_blocks(weight if balance is None else balance.weights(weight), moments)
        inputs, outputs = weight.shape
        values = self._constant(f"{layer.name}.int4", blocks.values)
        scales = self._constant(f"{layer.name}.scales", blocks.scales)
        self._gone.add(layer.name)
        if balance is not None:
            self._correct(layer, balance, blocks.matrix(inputs))
        facts = {"K": inputs, "N": outputs, "bits": 4, "block_size": BLOCK, "accuracy_level": 4}
        for index, source in zip(layer.nodes, layer.sources, strict=True):
            node = self.graph.nodes[index]
            if balance is not None:
                source = self._balanced(source, balance, index)
            self._add(index, "MatMulNBits", [source, values, scales], node.output[0], node.name, **facts)

    def _lstm_int8(self, layer: Layer) -> None:
        (index,) = layer.nodes
        node = self.graph.nodes[index]
        weight, recurrent, bias = (self.graph.weights[name][0].T for name in node.input[1:4])
        self._gone |= set(node.input[1:4])
        below, own = (self.channels[tensor] for tensor in self.graph.channel_tensors(layer))
        balance = Balance.within_one(below)
        integers = matrix_integers(balance.weights(weight), balance.moments(below))
        bias = bias + np.pad(balance.bias(weight, integers.values * integers.scales), (0, len(bias) // 2))
        back = matrix_integers(recurrent, own.moments)
        self._replaced[index] = integer_lstm(node, integers, back, bias, balance, self._constant)

    def _convolution_int8(self, layer: Layer) -> None:
        (index,), (source,) = layer.nodes, layer.sources
        node = self.graph.nodes[index]
        (clip,) = self.graph.consumers(node.output[0])
        integers = convolution_integers(self.graph.weights[layer.name])
        self._gone.add(layer.name)
        quantized = self._quantized(source, index)
        scale, zero = self._scale(source)
        # The output's range begins at 0 and ends at 20 or before, so saturation does the clipping of the ReLU.
        out_scale, out_zero = self._scale(clip.output[0])
        step = float(self.ranges[source].scale) * integers.scales.astype(np.float64)
        inputs = [
            quantized,
            scale,
            zero,
            self._constant(f"{layer.name}.int8", integers.values),
            self._constant(f"{layer.name}.scales", integers.scales),
            self._constant(f"{layer.name}.zeros", np.zeros(len(integers.scales), np.int8)),
            out_scale,
            out_zero,
        ]
        if len(node.input) > 2:
            bias = np.round(self.graph.weights[node.input[2]] / step).astype(np.int32)
            inputs.append(self._constant(f"{node.input[2]}.int32", bias))
            self._gone.add(node.input[2])
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        integer_output = f"{clip.output[0]}.int8"
        self._integers_of[clip.output[0]] = integer_output
        self._add(index, "QLinearConv", inputs, integer_output, node.name, **attributes)
        self._add(
            self._position(clip),
            "DequantizeLinear",
            [integer_output, out_scale, out_zero],
            clip.output[0],
            f"{clip.name}.dequantize",
        )

    def _position(self, node: onnx.NodeProto) -> int:
        return next(index for index, other in enumerate(self.graph.nodes) if other is node)

    def _assemble(self) -> onnx.ModelProto:
        result = onnx.ModelProto()
        result.CopyFrom(self.graph.model)
        del result.graph.node[:], result.graph.initializer[:]
        for index, node in enumerate(self.graph.nodes):
            result.graph.node.extend(self._replaced.get(index, [node]))
        used = {name for node in result.graph.node for name in node.input}
        kept = [tensor for tensor in self.graph.model.graph.initializer if tensor.name not in self._gone]
        result.graph.initializer.extend(tensor for tensor in [*kept, *self._constants.values()] if tensor.name in used)
        if not any(entry.domain == MICROSOFT for entry in result.opset_import):
            result.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
        onnx.checker.check_model(result)
        return result
