"""The default bundle's integer products are exact on this processor, even for the worst input.

Only x86 without VNNI can fail here: it adds two products in 16 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgespeech.runtime.bundle import load_bundle

ZERO = 128
OUTPUTS = 96


def products(inputs: NDArray[np.uint8], weights: NDArray[np.int8]) -> NDArray[np.int32]:
    """Compute ``(inputs - ZERO) @ weights`` with onnxruntime."""
    constants = [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.array(ZERO, np.uint8), "zero")]
    node = helper.make_node("MatMulInteger", ["inputs", "weights", "zero"], ["products"])
    ends = [helper.make_tensor_value_info("inputs", TensorProto.UINT8, [None, len(weights)])]
    results = [helper.make_tensor_value_info("products", TensorProto.INT32, [None, weights.shape[1]])]
    graph = helper.make_graph([node], "products", ends, results, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    session: Any = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"inputs": inputs})[0])


def matrices() -> dict[str, NDArray[np.int8]]:
    """Return the int8 matrices [inputs, outputs] of the default bundle; kernels are flattened in memory order."""
    graph = onnx.load(str(load_bundle().acoustic_path)).graph
    found = {}
    for node in graph.node:
        for name in node.input:
            if name.endswith(".int8") and (tensor := [one for one in graph.initializer if one.name == name]):
                value = numpy_helper.to_array(tensor[0])
                found[name] = value.reshape(len(value), -1).T if node.op_type == "QLinearConv" else value[0]
    return found


@pytest.fixture(scope="module")
def weights() -> dict[str, NDArray[np.int8]]:
    return matrices()


def test_products_of_the_default_bundle_are_exact(weights: dict[str, NDArray[np.int8]]) -> None:
    assert len(weights) >= 8
    for name, value in weights.items():
        some = value[:, :OUTPUTS]
        worst = np.concatenate([np.where(some.T > 0, 255, 0), np.where(some.T < 0, 255, 0)]).astype(np.uint8)
        # float64 holds these sums exactly, and numpy multiplies it fast.
        exact = (worst.astype(np.float64) - ZERO) @ some.astype(np.float64)
        np.testing.assert_array_equal(products(worst, np.ascontiguousarray(some)), exact, err_msg=name)
