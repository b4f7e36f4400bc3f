"""Products in integers: int8 with static activation scales, or int4 weights in blocks.

int8: a matrix product becomes QuantizeLinear and MatMulIntegerToFloat, a convolution QuantizeLinear, QLinearConv and
DequantizeLinear; weights are symmetric with one scale per output. Static scales keep a stream's result free of its
neighbours in a batch and of the chunking. Features, look-ahead, output, gates and log-softmax stay float32.

Rounded weights shift the mean of a product, for its inputs have means; the shift is known and goes into the bias
(Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, 2019, section 4.2).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgespeech.quantization.activation_ranges import Channels, Range
from edgespeech.quantization.float_graph import FloatGraph, Layer

MICROSOFT = "com.microsoft"
BLOCK = 32
SMALLEST_WEIGHT = 1e-8
# 255 * 128 is less than 2^15.
MOST_PAIR = 128
# What leaves a recurrent layer for the next one.
FRAMES = ".frames"
ZERO = 128
# Room beyond what calibration saw, and the least that a channel is taken to move.
CHANNEL_MARGIN = 1.1
SMALLEST_REACH = 1e-3


@dataclass(frozen=True)
class Integers:
    """Symmetric int8 weights [.., outputs] or [outputs, ..] and one float32 scale per output."""

    values: NDArray[np.int8]
    scales: NDArray[np.float32]


def matrix_integers(weight: NDArray[np.float32]) -> Integers:
    """Round a matrix [inputs, outputs] to at most 127, one scale for each output.

    x86 processors without VNNI multiply unsigned by signed bytes in pairs of neighbouring inputs, and saturate the sum
    at 16 bits. Scales are such that a pair's weights of one sign add up to `MOST_PAIR` at most, which cannot.
    """
    pairs = np.pad(weight, ((0, len(weight) % 2), (0, 0))).reshape(-1, 2, weight.shape[1])
    largest = np.maximum(np.maximum(pairs, 0.0).sum(axis=1), np.maximum(-pairs, 0.0).sum(axis=1)).max(axis=0)
    # Each of the two may be rounded up by a half.
    scales = np.maximum(largest, SMALLEST_WEIGHT) / (MOST_PAIR - 1)
    return Integers(np.round(weight / scales).astype(np.int8), scales.astype(np.float32))


def convolution_integers(weight: NDArray[np.float32]) -> Integers:
    """Round kernels [outputs, inputs, kernel...] to half of `MOST_PAIR`, for any two may meet in a pair."""
    flat = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    scales = np.maximum(flat, SMALLEST_WEIGHT) / (MOST_PAIR // 2)
    column = scales.reshape(-1, *(1 for _ in weight.shape[1:]))
    return Integers(np.round(weight / column).astype(np.int8), scales.astype(np.float32))


class IntegerRewriter:
    """Rewrites some layers of a float graph; the others stay as they are."""

    def __init__(self, graph: FloatGraph, ranges: Mapping[str, Range], channels: Mapping[str, Channels]) -> None:
        """Take the graph, ranges of what is multiplied or leaves a convolution, and channels of what meets a bias."""
        self.graph = graph
        self.ranges = ranges
        self.channels = channels
        self._replaced: dict[int, list[onnx.NodeProto]] = {}
        self._constants: dict[str, onnx.TensorProto] = {}
        self._integers_of: dict[str, str] = {}
        self._gone: set[str] = set()

    def rewrite(self, int8: Collection[str], int4: Collection[str] = ()) -> onnx.ModelProto:
        """A new graph in which the named weights are integers.

        Args:
            int8: Names of weights that become int8.
            int4: Names of matrices that become blocks of 4 bits.
        """
        for layer in self.graph.layers():
            if layer.weight in int4 and layer.kind == "matrix":
                self._matrix_int4(layer)
            elif layer.weight in int8 and layer.kind == "matrix":
                self._matrix_int8(layer)
            elif layer.weight in int8:
                self._convolution_int8(layer)
        return self._assemble()

    def _constant(self, name: str, value: NDArray[Any] | np.generic) -> str:
        self._constants.setdefault(name, numpy_helper.from_array(np.asarray(value), name))
        return name

    def _scale(self, source: str) -> tuple[str, str]:
        chosen = self.ranges[source]
        key = f"{float(chosen.scale):.9g}_{int(chosen.zero_point)}"
        return self._constant(f"scale_{key}", chosen.scale), self._constant(f"zero_{key}", chosen.zero_point)

    def _quantized(self, source: str, index: int) -> str:
        """The integers of an activation; made once, before the first node that wants them."""
        if source not in self._integers_of:
            self._integers_of[source] = f"{source}.int8"
            node = helper.make_node(
                "QuantizeLinear", [source, *self._scale(source)], [f"{source}.int8"], name=f"{source}.quantize"
            )
            self._replaced.setdefault(index, []).append(node)
        return self._integers_of[source]

    def _frames_int8(self, layer: Layer, channels: Channels) -> None:
        """A matrix behind a recurrent layer: its input gets a centre and a scale of its own in every channel.

        Folding batch norm left the channels' scales in the weights: channels that hardly move have large ones, and one
        step of a common scale would be much of all they ever say. Centred and scaled, each has the same steps.
        """
        (index,), (source,) = layer.nodes, layer.sources
        node, adding = self.graph.nodes[index], self.graph.bias(self.graph.nodes[index])
        assert adding is not None
        weight = self.graph.weights[layer.weight]
        centre = (channels.low + channels.high) / 2
        reach = np.maximum((channels.high - channels.low) / 2 * CHANNEL_MARGIN, SMALLEST_REACH)
        steps = (reach / (ZERO - 1)).astype(np.float32)
        scaled = weight * steps[:, None]
        integers = matrix_integers(scaled)
        lost = ((channels.mean - centre) / steps) @ (scaled - integers.values * integers.scales)
        bias = (self.graph.weights[adding.input[1]] + centre @ weight + lost).astype(np.float32)
        self._gone |= {layer.weight, adding.input[1]}
        one, zero = self._constant("one", np.float32(1.0)), self._constant("centre_zero", np.uint8(ZERO))
        name = f"{source}.int8"
        self._replaced[index] = [
            helper.make_node(
                "Sub",
                [source, self._constant(f"{source}.centre", centre.astype(np.float32))],
                [f"{source}.centred"],
                name=f"{source}.centred",
            ),
            # QuantizeLinear knows steps by channel, but takes ten times as long for them.
            helper.make_node(
                "Mul",
                [f"{source}.centred", self._constant(f"{source}.inverse_steps", 1.0 / steps)],
                [f"{source}.scaled"],
                name=f"{source}.scaled",
            ),
            helper.make_node("QuantizeLinear", [f"{source}.scaled", one, zero], [name], name=f"{source}.quantize"),
            helper.make_node(
                "MatMulIntegerToFloat",
                [
                    name,
                    self._constant(f"{layer.weight}.int8", integers.values),
                    one,
                    self._constant(f"{layer.weight}.scales", integers.scales),
                    zero,
                    "",
                    self._constant(adding.input[1], bias),
                ],
                [adding.output[0]],
                name=node.name,
                domain=MICROSOFT,
            ),
        ]
        self._replaced[self._position(adding)] = []

    def _matrix_int8(self, layer: Layer) -> None:
        channels = self.channels.get(layer.sources[0])
        if channels is not None and layer.sources[0].endswith(FRAMES):
            return self._frames_int8(layer, channels)
        integers = matrix_integers(self.graph.weights[layer.weight])
        weight = self._constant(f"{layer.weight}.int8", integers.values)
        scales = self._constant(f"{layer.weight}.scales", integers.scales)
        self._gone.add(layer.weight)
        self._correct_bias(layer, integers.values * integers.scales)
        for index, source in zip(layer.nodes, layer.sources, strict=True):
            node = self.graph.nodes[index]
            quantized = self._quantized(source, index)
            scale, zero = self._scale(source)
            output, bias = node.output[0], ""
            if (adding := self.graph.bias(node)) is not None:
                bias, output = adding.input[1], adding.output[0]
                self._replaced[self._position(adding)] = []
            self._replaced.setdefault(index, []).append(
                helper.make_node(
                    "MatMulIntegerToFloat",
                    [quantized, weight, scale, scales, zero, "", bias],
                    [output],
                    name=node.name,
                    domain=MICROSOFT,
                )
            )

    def _matrix_int4(self, layer: Layer) -> None:
        weight = self.graph.weights[layer.weight]
        inputs, outputs = weight.shape
        padded = np.pad(weight.T, ((0, 0), (0, -inputs % BLOCK))).reshape(outputs, -1, BLOCK)
        extreme = np.take_along_axis(padded, np.abs(padded).argmax(-1)[..., None], -1)[..., 0]
        scales = np.where(extreme == 0.0, 1.0, extreme / -8.0)
        levels = np.clip(np.round(padded / scales[..., None]) + 8, 0, 15).astype(np.uint8)
        packed = self._constant(f"{layer.weight}.int4", levels[..., 0::2] | (levels[..., 1::2] << 4))
        scale = self._constant(f"{layer.weight}.scales", scales.astype(np.float32))
        self._gone.add(layer.weight)
        rounded = ((levels.astype(np.float32) - 8.0) * scales[..., None]).reshape(outputs, -1)[:, :inputs].T
        self._correct_bias(layer, rounded)
        facts = {"K": inputs, "N": outputs, "bits": 4, "block_size": BLOCK, "accuracy_level": 4}
        for index, source in zip(layer.nodes, layer.sources, strict=True):
            node = self.graph.nodes[index]
            self._replaced[index] = [
                helper.make_node(
                    "MatMulNBits", [source, packed, scale], list(node.output), name=node.name, domain=MICROSOFT, **facts
                )
            ]

    def _correct_bias(self, layer: Layer, rounded: NDArray[np.float32]) -> None:
        """Add what the mean input loses by the rounding of the weights [inputs, outputs]."""
        adding = self.graph.bias(self.graph.nodes[layer.nodes[0]])
        channels = self.channels.get(layer.sources[0])
        if adding is None or channels is None:
            return
        name = adding.input[1]
        lost = channels.mean @ (self.graph.weights[layer.weight] - rounded)
        self._constant(name, (self.graph.weights[name] + lost).astype(np.float32))
        self._gone.add(name)

    def _convolution_int8(self, layer: Layer) -> None:
        (index,), (source,) = layer.nodes, layer.sources
        node = self.graph.nodes[index]
        (clip,) = self.graph.consumers(node.output[0])
        integers = convolution_integers(self.graph.weights[layer.weight])
        self._gone.add(layer.weight)
        quantized = self._quantized(source, index)
        scale, zero = self._scale(source)
        # The output's range begins at 0 and ends at 20 or before: saturation is the clipped ReLU.
        out_scale, out_zero = self._scale(clip.output[0])
        step = float(self.ranges[source].scale) * integers.scales.astype(np.float64)
        inputs = [
            quantized,
            scale,
            zero,
            self._constant(f"{layer.weight}.int8", integers.values),
            self._constant(f"{layer.weight}.scales", integers.scales),
            self._constant(f"{layer.weight}.zeros", np.zeros(len(integers.scales), np.int8)),
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
        self._replaced.setdefault(index, []).append(
            helper.make_node("QLinearConv", inputs, [integer_output], name=node.name, **attributes)
        )
        self._replaced[self._position(clip)] = [
            helper.make_node(
                "DequantizeLinear",
                [integer_output, out_scale, out_zero],
                list(clip.output),
                name=f"{clip.name}.dequantize",
            )
        ]

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
