"""A graph that computes in float16: which tensors are float16, and how far its log-probabilities move."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, shape_inference

from edgespeech.errors import VerificationError
from edgespeech.quantization.divergence import divergence, runtime_log_probs
from edgespeech.quantization.float16 import to_float16
from edgespeech.quantization.graph.float16_graph import compute_in_float16
from edgespeech.runtime.bundle import Bundle

Samples = NDArray[np.float32]
PRODUCTS = {"Conv", "GRU", "LSTM", "MatMul", "RNN"}


@pytest.fixture(params=["fused", "cells"])
def full(request: pytest.FixtureRequest, bundle_of: Callable[..., Bundle], tiny_model: Any) -> Bundle:
    """Bundles of every kind of tiny model in both forms."""
    form: Literal["fused", "cells"] = request.param
    return bundle_of(tiny_model, form=form)


def test_layers_compute_in_float16_and_features_and_softmax_in_float32(full: Bundle) -> None:
    graph = onnx.load(str(full.acoustic_path))
    half = compute_in_float16(graph)
    inferred = shape_inference.infer_shapes(half, strict_mode=True, data_prop=True).graph
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.value_info}
    types |= {value.name: value.data_type for value in half.graph.initializer}
    names = {node.name for node in graph.graph.node}
    products = [node for node in half.graph.node if node.op_type in PRODUCTS]
    for node in products:
        wanted = TensorProto.FLOAT if node.name.startswith("features.") else TensorProto.FLOAT16
        found = {types[name] for name in [*node.input, *node.output] if name in types}
        assert found - {TensorProto.INT32} == {wanted}, node.name  # integers are the lengths of sequences
    assert len(products) > 5
    for node in half.graph.node:
        if node.op_type in {"Log", "LogSoftmax"}:
            assert {types[name] for name in [*node.input, *node.output]} == {TensorProto.FLOAT}
        assert node.name in names or node.op_type == "Cast"
    assert list(half.graph.input) == list(graph.graph.input)
    assert list(half.graph.output) == list(graph.graph.output)


def test_log_probs_are_almost_the_same(
    full: Bundle, noise: Callable[[int], Samples], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "edgespeech"):
        half = to_float16(full, tmp_path / "half", [noise(9000)], compute=True)
    assert half.manifest.graph.precision == "fp16" and half.manifest.measured["computes_in"].startswith("fp16")
    found = divergence(*(runtime_log_probs(one, [noise(12345)]) for one in (full, half)))
    assert found.kl < 1e-4 and 40.0 < found.sqnr_db < 110.0
    assert "not on a GPU" in caplog.messages[-1]


def test_a_bundle_that_differs_too_much_is_not_written(
    fused: Bundle, noise: Callable[[int], Samples], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgespeech.quantization.float16.MAX_DIVERGENCE", -1.0)
    with pytest.raises(VerificationError, match="fp16 weights and compute move log-probs"):
        to_float16(fused, tmp_path / "half", [noise(9000)], compute=True)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("full", ["cells"], indirect=True)
def test_the_given_graph_is_not_changed(full: Bundle) -> None:
    graph = onnx.load(str(full.acoustic_path))
    before = graph.SerializeToString()
    compute_in_float16(graph)
    assert graph.SerializeToString() == before
