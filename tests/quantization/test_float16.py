"""Weights stored as float16: smaller, almost the same log-probabilities, and refused if they differ too much."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from edgespeech.errors import UsageError, VerificationError
from edgespeech.export.fold import fold_batch_norm
from edgespeech.export.request import Form
from edgespeech.export.streaming_graph import build_graph
from edgespeech.quantization.divergence import divergence, runtime_log_probs
from edgespeech.quantization.float16 import MIN_WEIGHT_SIZE, store_as_float16, to_float16
from edgespeech.quantization.graph.activation_ranges import observe
from edgespeech.quantization.graph.float_graph import FloatGraph
from edgespeech.runtime.bundle import ACOUSTIC, Bundle, FileEntry, Manifest, StateEntry, load_bundle, write_bundle

Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def speech(noise: Callable[[int], Samples]) -> list[Samples]:
    """Two recordings whose lengths are not multiples of a chunk."""
    return [noise(9000), noise(5001)]


@pytest.fixture(scope="module", params=["fused", "cells"])
def full(
    request: pytest.FixtureRequest,
    tiny_bundle: Bundle,
    tiny_model_factory: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Bundle:
    """A float32 bundle whose weights are large enough to become float16."""
    model = tiny_model_factory(hidden=40)
    graph, states = build_graph(fold_batch_norm(model), request.param, tiny_bundle.manifest.audio.chunk_samples)
    entries = tuple(StateEntry(name=s.name, output=s.output, shape=s.shape, initial=s.initial) for s in states)

    def describe(files: dict[str, FileEntry]) -> Manifest:
        replace = msgspec.structs.replace
        facts = replace(tiny_bundle.manifest.graph, form=request.param, states=entries)
        audio = replace(tiny_bundle.manifest.audio, chunk_free=request.param == "fused")
        manifest: Manifest = replace(tiny_bundle.manifest, graph=facts, audio=audio, files=files)
        return manifest

    files: dict[str, Path | bytes] = {ACOUSTIC: graph.SerializeToString(), "notes.txt": b"kept"}
    return write_bundle(tmp_path_factory.mktemp("full") / "full", files, describe)


def test_large_weights_become_float16_and_biases_do_not(full: Bundle) -> None:
    graph = onnx.load(str(full.acoustic_path))
    before = {weight.name: numpy_helper.to_array(weight) for weight in graph.graph.initializer}
    stored = store_as_float16(graph)
    after = {weight.name: numpy_helper.to_array(weight) for weight in stored.graph.initializer}
    large = {
        name
        for name, value in before.items()
        if value.dtype == np.float32 and value.size >= MIN_WEIGHT_SIZE and not name.startswith("features.")
    } - {"recurrent0.B", "recurrent1.B", "recurrent0.b", "recurrent1.b"}
    assert large
    assert set(after) == set(before) - large | {f"{name}.half" for name in large}
    for name, value in before.items():
        if name in large:
            assert after[f"{name}.half"].dtype == np.float16
            np.testing.assert_allclose(after[f"{name}.half"].astype(np.float32), value, rtol=1e-3, atol=1e-7)
        else:
            np.testing.assert_array_equal(after[name], value)
    assert {weight.name for weight in graph.graph.initializer} == set(before), "the graph given was changed"


def test_a_bundle_becomes_smaller_with_almost_the_same_log_probs(
    full: Bundle, speech: list[Samples], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "edgespeech"):
        half = to_float16(full, tmp_path / "half", speech)
    assert load_bundle(tmp_path / "half") == half
    assert half.manifest.graph == msgspec.structs.replace(full.manifest.graph, precision="fp16")
    assert half.acoustic_path.stat().st_size < full.acoustic_path.stat().st_size
    assert (half.folder / "notes.txt").read_bytes() == b"kept"
    found = divergence(runtime_log_probs(full, speech), runtime_log_probs(half, speech))
    assert found.kl < 1e-6 and 60.0 < found.sqnr_db < 110.0
    assert len(caplog.messages) == 2 and str(found) in caplog.messages[1]


def test_a_bundle_that_differs_too_much_is_not_written(
    full: Bundle, speech: list[Samples], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgespeech.quantization.float16.MAX_DIVERGENCE", -1.0)
    with pytest.raises(VerificationError, match="no bundle was written"):
        to_float16(full, tmp_path / "half", speech)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
@pytest.mark.parametrize("form", ["fused", "cells"])
def test_biases_absorb_the_mean_error_of_rounding(
    bundle_of: Callable[..., Bundle],
    tiny_model_factory: Callable[..., Any],
    speech: list[Samples],
    cell: str,
    form: Form,
) -> None:
    full = bundle_of(tiny_model_factory(cell=cell, hidden=40), form=form)
    graph = FloatGraph(onnx.load(str(full.acoustic_path)))
    separated = [tensor for layer in graph.layers() for tensor in graph.channel_tensors(layer)]
    channels = observe(full, graph.model, [], separated, speech)[1]
    (layer,) = [layer for layer in graph.layers() if layer.name in {"recurrent1", "recurrent1.W"}]
    means = [channels[tensor].mean for tensor in graph.channel_tensors(layer)]
    plain, corrected = (FloatGraph(store_as_float16(graph.model, known)).weights for known in ({}, channels))

    def terms(weights: Mapping[str, NDArray[Any]]) -> Samples:
        """Return the mean input of the gates: from the layer's input, and in the operator also from the state."""
        found = [np.asarray(weights.get(f"{name}.half", weights.get(name)), np.float32) for name in layer.weights]
        products = [mean @ (one[0].T if one.ndim == 3 else one) for mean, one in zip(means, found, strict=True)]
        bias = weights["recurrent1.B" if form == "fused" else "recurrent1.b"]
        return np.asarray(np.concatenate(products) + bias.reshape(-1), np.float32)

    exact = terms(graph.weights)
    before, after = (np.abs(terms(weights) - exact).max() for weights in (plain, corrected))
    assert after < 0.05 * before


@pytest.mark.parametrize("silence", [[], [np.zeros(0, np.float32)], [np.zeros(16000, np.float32)]])
def test_silent_speech_is_refused(full: Bundle, silence: list[Samples], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="empty or silent"):
        to_float16(full, tmp_path / "half", silence)
    assert os.listdir(tmp_path) == []


def test_a_quantized_bundle_is_refused(full: Bundle, speech: list[Samples], tmp_path: Path) -> None:
    half = to_float16(full, tmp_path / "half", speech)
    with pytest.raises(UsageError, match="is fp16 already; give the fp32 bundle"):
        to_float16(half, tmp_path / "quarter", speech)
    assert os.listdir(tmp_path) == ["half"]


def test_weights_beyond_the_range_of_float16_are_refused(full: Bundle, speech: list[Samples], tmp_path: Path) -> None:
    graph = onnx.load(str(full.acoustic_path))
    for weight in graph.graph.initializer:
        if weight.name in {"recurrent1.W", "recurrent1.R"}:
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1e6), weight.name))
    files: dict[str, Path | bytes] = {ACOUSTIC: graph.SerializeToString()}
    large = write_bundle(
        tmp_path / "large", files, lambda written: msgspec.structs.replace(full.manifest, files=written)
    )
    with pytest.raises(VerificationError, match="no bundle was written"), np.errstate(over="ignore"):
        to_float16(large, tmp_path / "half", speech)
    assert os.listdir(tmp_path) == ["large"]
