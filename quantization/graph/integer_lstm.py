"""Emit an LSTM as one operator with int8 weights and fixed activation scales, exactly equal for any chunk length.

onnxruntime's DynamicQuantizeLSTM derives the scale of its activations from their smallest and largest value, so the
result of a stream would depend on its neighbours in a batch and on the chunking. Two additional units that always
output 1 and -1, and two additional input channels with 1 and -1, to which the input is clipped, fix the range to
[-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from edgespeech.quantization.graph.integer_weights import Balance, Integers

Floats = NDArray[np.float32]
Number = TypeVar("Number", bound=np.generic)
Constant = Callable[[str, Any], str]

# Input, output, forget, candidate: ONNX's order.
GATES = 4
# Values of the two additional units or channels.
ENDS = np.array([1.0, -1.0], np.float32)
# With this bias a gate is open, and with this value the output of a cell is 1, both exactly in float32.
SATURATED = 40.0


def integer_lstm(
    node: onnx.NodeProto, weight: Integers, recurrent: Integers, bias: Floats, balance: Balance, constant: Constant
) -> list[onnx.NodeProto]:
    """Return the nodes that replace an LSTM operator and have outputs of the same names.

    Args:
        node: The LSTM operator, with initial states.
        weight: W [inputs, 4 * hidden] for the balanced input.
        recurrent: R [hidden, 4 * hidden].
        bias: Biases of both [8 * hidden], which include the centre of the input.
        balance: Centre and reach of the input.
        constant: Stores a constant under a name and returns the name.
    """
    nodes: list[onnx.NodeProto] = []

    def add(operator: str, sources: list[str], output: str) -> str:
        nodes.append(helper.make_node(operator, sources, [output], name=output))
        return output

    def widened(source: str) -> str:
        return add("Pad", [source, constant("lstm.pads", np.array([0, 0, 0, 0, 0, len(ENDS)]))], f"{source}.wide")

    x, h, c = node.input[0], node.input[5], node.input[6]
    centre = constant(f"{x}.centre", np.append(balance.centre, -ENDS))
    inverse = constant(f"{x}.inverse_reach", np.append(1.0 / balance.reach, np.ones_like(ENDS)))
    balanced = add("Mul", [add("Sub", [widened(x), centre], f"{x}.centred"), inverse], f"{x}.balanced")
    clipped = add("Clip", [balanced, constant("lstm.least", ENDS[1]), constant("lstm.most", ENDS[0])], f"{x}.clipped")
    size = len(recurrent.values)
    units = np.append(np.zeros(size, np.float32), ENDS)
    hidden = add("Add", [widened(h), constant(f"lstm.hidden_{len(units)}", units)], f"{h}.ends")
    cell = add("Add", [widened(c), constant(f"lstm.cell_{len(units)}", SATURATED * units)], f"{c}.ends")

    own_bias, back_bias = np.split(bias, 2)
    biases = constant(node.input[3], np.append(_saturated(own_bias), _wider(back_bias[None]))[None])
    zeros = constant(f"lstm.zeros_{len(units)}", np.zeros((1, GATES * len(units)), np.int8))
    (own, own_scales), (back, back_scales) = (
        (
            constant(f"{name}.int8", _wider(integers.values, len(ENDS))[None]),
            constant(f"{name}.scales", _wider(integers.scales[None])),
        )
        for name, integers in zip(node.input[1:3], (weight, recurrent), strict=True)
    )
    inputs = [clipped, own, back, biases, node.input[4], hidden, cell, "", own_scales, zeros, back_scales, zeros]
    wide = [f"{output}.wide" for output in node.output]
    direction = {one.name: helper.get_attribute_value(one) for one in node.attribute if one.name == "direction"}
    operator = helper.make_node(
        "DynamicQuantizeLSTM", inputs, wide, name=node.name, domain="com.microsoft", hidden_size=len(units), **direction
    )
    nodes.append(operator)
    bounds = [constant(f"lstm.{name}", np.array([value])) for name, value in
              (("begin", 0), (f"end_{size}", size), ("last", -1))]  # fmt: skip
    for output in node.output:
        add("Slice", [f"{output}.wide", *bounds], output)
    return nodes


def gate_columns(wide: NDArray[Any], inputs: int) -> NDArray[Any]:
    """Drop the additional rows and columns of a matrix [inputs + 2, 4 * (hidden + 2)]."""
    gates = wide[:inputs].reshape(inputs, GATES, -1)[:, :, : -len(ENDS)]
    return gates.reshape(inputs, -1)


def _wider(matrix: NDArray[Number], rows: int = 0) -> NDArray[Number]:
    """Append two columns of zeros to each gate of [inputs, 4 * hidden], and rows of zeros."""
    gates = matrix.reshape(len(matrix), GATES, -1)
    padded = np.pad(gates, ((0, rows), (0, 0), (0, len(ENDS))))
    return padded.reshape(len(padded), -1)


def _saturated(bias: Floats) -> Floats:
    """Extend the biases with open gates and saturated candidates for the units that output the ends."""
    gates = _wider(bias[None]).reshape(GATES, -1)
    gates[:, -len(ENDS) :] = SATURATED
    gates[-1, -len(ENDS) :] *= ENDS
    return gates.reshape(-1)
