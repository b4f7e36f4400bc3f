"""The audit reads the final graph only: it proves integers and finds tensors that were left, swapped or lost."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from edgespeech.quantization.float16 import store_as_float16
from edgespeech.quantization.graph.float16_graph import compute_in_float16
from edgespeech.quantization.graph_audit import GraphAudit, TensorEntry, precision_fractions
from edgespeech.quantization.quantizer import Quantizer
from edgespeech.quantization.report.layer_noise import measure_layer_noise
from edgespeech.runtime.bundle import Bundle

Samples = NDArray[np.float32]
LAYERS = {"convolution0.weight", "convolution1.weight", "recurrent0.W", "recurrent0.U", "recurrent1.W", "recurrent1.U"}


@pytest.fixture(scope="module")
def quantizer(full: Bundle, speech: list[Samples]) -> Iterator[Quantizer]:
    yield Quantizer(full, speech, "minmax")


def audit(quantizer: Quantizer, final: onnx.ModelProto) -> dict[str, TensorEntry]:
    return {entry.name: entry for entry in GraphAudit(quantizer.graph.model, final).entries()}


def test_integers_are_found_and_float_tensors_have_a_reason(quantizer: Quantizer) -> None:
    final = quantizer.rewrite(quantizer.plan("int8"))
    found = audit(quantizer, final)
    assert {name for name, entry in found.items() if entry.precision == "int8"} == LAYERS
    assert {name for name, entry in found.items() if entry.precision == "int32"} == {
        "convolution0.bias", "convolution1.bias"
    }  # fmt: skip
    for name, entry in found.items():
        if entry.precision == "int8":
            assert entry.reason == "" and entry.bytes_after < 0.5 * entry.bytes_before
            assert entry.weight_sqnr_db is not None and entry.weight_sqnr_db > 35.0
        elif entry.precision == "fp32":
            assert entry.reason and entry.bytes_after == entry.bytes_before and entry.weight_sqnr_db is None, name
    assert sum(precision_fractions(list(found.values())).values()) == pytest.approx(1.0)
    trained = sum(numpy_helper.to_array(w).nbytes for w in quantizer.graph.model.graph.initializer if w.name in found)
    assert sum(entry.bytes_before for entry in found.values()) == trained


def test_an_integer_lstm_is_found(fused: Bundle, speech: list[Samples]) -> None:
    quantizer = Quantizer(fused, speech, "minmax")
    final = quantizer.rewrite(quantizer.plan("int8"))
    found = audit(quantizer, final)
    matrices = {f"recurrent{layer}.{key}" for layer in range(2) for key in "WR"}
    assert {name for name, entry in found.items() if entry.precision == "int8"} == matrices | {
        "convolution0.weight", "convolution1.weight"
    }  # fmt: skip
    assert all((found[name].weight_sqnr_db or 0.0) > 35.0 for name in matrices)
    assert found["recurrent0.B"].precision == "fp32"
    noise = measure_layer_noise(fused, quantizer.graph, final, speech[:1])
    assert matrices <= set(noise) and all(15.0 < noise[name] < 80.0 for name in matrices)
    by_name = {weight.name: weight for weight in final.graph.initializer}
    by_name["recurrent0.R.int8"].raw_data = by_name["recurrent1.R.int8"].raw_data
    assert (audit(quantizer, final)["recurrent0.R"].weight_sqnr_db or 0.0) < 5.0
    kept = audit(quantizer, quantizer.rewrite(quantizer.plan("int8", ["recurrent1"])))
    assert {kept[f"recurrent1.{key}"].precision for key in "WRB"} == {"fp32"}


def test_blocks_of_four_bits_are_found(quantizer: Quantizer) -> None:
    found = audit(quantizer, quantizer.rewrite(quantizer.plan("int4")))
    assert {name for name, entry in found.items() if entry.precision == "int4"} == {
        name for name in LAYERS if name.startswith("recurrent")
    }
    assert all(15.0 < (found[f"recurrent{i}.{key}"].weight_sqnr_db or 0.0) < 30.0 for i in range(2) for key in "WU")


def test_blocks_of_other_bits_are_named_by_their_bits(quantizer: Quantizer) -> None:
    final = quantizer.rewrite(quantizer.plan("int4"))
    for node in final.graph.node:
        for attribute in node.attribute:
            attribute.i = 2 if attribute.name == "bits" else attribute.i
    entry = audit(quantizer, final)["recurrent0.U"]
    assert (entry.precision, entry.weight_sqnr_db) == ("int2", None)


def test_float16_weights_are_found(quantizer: Quantizer) -> None:
    for final in (store_as_float16(quantizer.graph.model), compute_in_float16(quantizer.graph.model)):
        entry = audit(quantizer, final)["recurrent0.U"]
        assert entry.precision == "fp16" and 2 * entry.bytes_after == entry.bytes_before
        assert entry.weight_sqnr_db is not None and 60.0 < entry.weight_sqnr_db < 100.0


@pytest.mark.parametrize("left", sorted(LAYERS))
def test_a_matrix_left_in_float32_is_found(quantizer: Quantizer, left: str) -> None:
    entry = audit(quantizer, quantizer.rewrite(quantizer.plan("int8", [left])))[left]
    assert (entry.precision, entry.reason) == ("fp32", "the graph multiplies it in float32")
    (explained,) = [
        one for one in GraphAudit(quantizer.graph.model, quantizer.rewrite(quantizer.plan("int8", [left]))).entries(
            {left: "on purpose"}
        ) if one.name == left
    ]  # fmt: skip
    assert explained.reason == "on purpose"


def test_a_single_step_in_float32_is_found(quantizer: Quantizer) -> None:
    final = quantizer.rewrite(quantizer.plan("int8"))
    original = quantizer.graph.model
    (step,) = [node for node in original.graph.node if node.name == "recurrent0.recurrent_product_1"]
    (place,) = [index for index, node in enumerate(final.graph.node) if node.name == step.name]
    final.graph.node[place].CopyFrom(step)
    final.graph.initializer.extend(w for w in original.graph.initializer if w.name == "recurrent0.U")
    assert audit(quantizer, final)["recurrent0.U"].precision == "fp32"


def test_float_values_of_an_integer_operator_are_reported_as_float(quantizer: Quantizer) -> None:
    final = quantizer.rewrite(quantizer.plan("int8"))
    for weight in final.graph.initializer:
        if weight.name == "recurrent0.U.int8":
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float32), weight.name))
            assert weight.data_type == TensorProto.FLOAT
    assert audit(quantizer, final)["recurrent0.U"].precision == "float32"


def test_weights_of_another_matrix_have_a_low_sqnr(quantizer: Quantizer) -> None:
    final = quantizer.rewrite(quantizer.plan("int8"))
    by_name = {weight.name: weight for weight in final.graph.initializer}
    by_name["recurrent0.U.int8"].raw_data = by_name["recurrent1.U.int8"].raw_data
    swapped = audit(quantizer, final)["recurrent0.U"].weight_sqnr_db
    assert swapped is not None and swapped < 5.0


def test_a_lost_tensor_is_reported_as_missing(quantizer: Quantizer) -> None:
    final = quantizer.rewrite(quantizer.plan("int8"))
    for node in final.graph.node:
        if node.name.startswith("recurrent0.recurrent_product"):
            node.name = f"other.{node.name}"
    entry = audit(quantizer, final)["recurrent0.U"]
    assert (entry.precision, entry.reason) == ("missing", "not found in the final graph")


def test_layer_noise_includes_the_layers_below(full: Bundle, quantizer: Quantizer, speech: list[Samples]) -> None:
    final = quantizer.rewrite(quantizer.plan("int8"))
    noise = measure_layer_noise(full, quantizer.graph, final, speech[:2])
    assert set(noise) == LAYERS | {"lookahead.weight", "output.weight"}
    assert all(15.0 < value < 80.0 for value in noise.values())
    exact = measure_layer_noise(full, quantizer.graph, quantizer.graph.model, speech[:1])
    assert set(exact.values()) == {200.0}
    only_top = quantizer.rewrite({"recurrent1.W": "int8"})
    partly = measure_layer_noise(full, quantizer.graph, only_top, speech[:1])
    assert partly["recurrent0.W"] == 200.0 > 80.0 > partly["recurrent1.W"]
