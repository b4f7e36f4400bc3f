"""Untrusted graphs: each that is out of bounds is refused in one line, before onnxruntime sees it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgespeech.errors import BundleError
from edgespeech.runtime.bundle import ACOUSTIC, MANIFEST, Bundle, describe_file, load_bundle
from edgespeech.runtime.graph.limits import OPERATORS
from edgespeech.runtime.graph.onnx_graph import read_graph

onnx = pytest.importorskip("onnx", reason="hostile graphs are made with onnx")


def with_graph(bundle: Bundle, folder: Path, data: bytes) -> Path:
    """Copy a bundle with another graph, whose hash fits."""
    shutil.copytree(bundle.folder, folder)
    (folder / ACOUSTIC).write_bytes(data)
    files = {**bundle.manifest.files, ACOUSTIC: describe_file(folder / ACOUSTIC)}
    (folder / MANIFEST).write_bytes(msgspec.json.encode(msgspec.structs.replace(bundle.manifest, files=files)))
    return folder


def external(model: Any) -> None:
    weight = model.graph.initializer[0]
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../../etc/hostname")
    weight.ClearField("raw_data")


def external_by_its_location_alone(model: Any) -> None:
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL


def in_an_attribute(model: Any) -> None:
    tensor = onnx.numpy_helper.from_array(np.zeros(3, np.float32), "w")
    external_tensor = onnx.TensorProto()
    external_tensor.CopyFrom(tensor)
    external_tensor.external_data.add(key="location", value="secret.bin")
    model.graph.node.append(onnx.helper.make_node("Identity", ["samples"], ["w"], value=external_tensor))


def custom_operator(model: Any) -> None:
    model.graph.node.append(onnx.helper.make_node("Run", ["samples"], ["x"], domain="other.example"))


def loop(model: Any) -> None:
    body = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["a"], ["b"])], "body", [], [])
    model.graph.node.append(onnx.helper.make_node("Loop", ["", ""], ["x"], body=body))


def random_numbers(model: Any) -> None:
    model.graph.node.append(onnx.helper.make_node("RandomNormalLike", ["samples"], ["x"]))


def function(model: Any) -> None:
    node = onnx.helper.make_node("Identity", ["a"], ["b"])
    model.functions.append(onnx.helper.make_function("own", "Run", ["a"], ["b"], [node], []))


def not_a_number(model: Any) -> None:
    _change(model, lambda array: array * np.float32(np.nan))


def infinite(model: Any) -> None:
    _change(model, lambda array: array + np.float32(np.inf))


def in_typed_form(model: Any) -> None:
    weight = _weight(model)
    count = int(np.prod(weight.dims))
    weight.ClearField("raw_data")
    weight.float_data.extend([float("nan")] * count)


def too_few_bytes(model: Any) -> None:
    weight = _weight(model)
    weight.raw_data = weight.raw_data[:-4]


def huge_dimension(model: Any) -> None:
    _weight(model).dims[0] = 10**15


def text(model: Any) -> None:
    model.graph.initializer.append(onnx.helper.make_tensor("t", onnx.TensorProto.STRING, [1], [b"a"]))


def growing_state(model: Any) -> None:
    dims = model.graph.output[1].type.tensor_type.shape.dim
    dims[len(dims) - 1].dim_param = "any"


def larger_state(model: Any) -> None:
    dims = model.graph.output[1].type.tensor_type.shape.dim
    dims[len(dims) - 1].dim_value += 1


def without_a_state(model: Any) -> None:
    del model.graph.input[1]


def _weight(model: Any) -> Any:
    return next(one for one in model.graph.initializer if one.data_type == onnx.TensorProto.FLOAT and len(one.dims) > 1)


def _change(model: Any, change: Callable[[Any], Any]) -> None:
    weight = _weight(model)
    weight.CopyFrom(onnx.numpy_helper.from_array(change(onnx.numpy_helper.to_array(weight)), weight.name))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (external, "external data"),
        (external_by_its_location_alone, "external data"),
        (in_an_attribute, "external data"),
        (custom_operator, "operator 'other.example.Run'"),
        (loop, "a graph inside a node"),
        (random_numbers, "operator 'RandomNormalLike'"),
        (function, "functions of its own"),
        (not_a_number, "NaN or infinite"),
        (infinite, "NaN or infinite"),
        (in_typed_form, "NaN or infinite"),
        (too_few_bytes, "bytes of weights, wanted"),
        (huge_dimension, "bytes of weights, wanted"),
        (text, "weights that are text"),
        (growing_state, "the state .* of .*any"),
        (larger_state, "wanted float32 .* at every step"),
        (without_a_state, "lacks the state"),
    ],
)
def test_a_graph_out_of_bounds_is_refused_before_it_is_loaded(
    tiny_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Any], None],
    words: str,
) -> None:
    model = onnx.load(str(tiny_bundle.acoustic_path))
    change(model)
    folder = with_graph(tiny_bundle, tmp_path / "bundle", model.SerializeToString())
    monkeypatch.setattr("edgespeech.runtime.acoustic_model._open", lambda *_: pytest.fail("onnxruntime saw it"))
    with pytest.raises(BundleError, match=words) as caught:
        load_bundle(folder)
    assert len(str(caught.value).splitlines()) == 1 and str(folder) in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"no graph", b"\x08\x08"])
def test_what_is_no_graph_is_refused(tiny_bundle: Bundle, tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BundleError, match="does not load"):
        load_bundle(with_graph(tiny_bundle, tmp_path / "bundle", data))


def test_a_graph_twice_in_a_file_is_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    data = tiny_bundle.acoustic_path.read_bytes()
    with pytest.raises(BundleError, match="field ir_version twice"):
        load_bundle(with_graph(tiny_bundle, tmp_path / "bundle", data + data))


def test_our_reader_finds_what_onnx_finds(tiny_bundle: Bundle, cells_bundle: Bundle) -> None:
    for bundle in (load_bundle(), tiny_bundle, cells_bundle):
        model = onnx.load(str(bundle.acoustic_path))
        found = read_graph(memoryview(bundle.acoustic_path.read_bytes()))
        assert list(found.operators) == [(node.domain, node.op_type) for node in model.graph.node]
        assert found.opsets == {one.domain: one.version for one in model.opset_import}
        weights = {
            one.name: (tuple(one.dims), onnx.numpy_helper.to_array(one).nbytes) for one in model.graph.initializer
        }
        assert found.weights == weights
        shapes = {
            one.name: tuple(dim.dim_value or None for dim in one.type.tensor_type.shape.dim)
            for one in model.graph.input
        }
        assert {name: shape.dims for name, shape in found.inputs.items()} == shapes
        assert set(found.operators) <= {(domain, name) for domain, names in OPERATORS.items() for name in names}


def test_no_operator_may_have_effects_of_its_own() -> None:
    control = {
        "If",
        "Loop",
        "Scan",
        "Optional",
        "SequenceMap",
        "RandomNormal",
        "RandomUniform",
        "Multinomial",
        "Dropout",
    }
    assert not OPERATORS[""] & control
