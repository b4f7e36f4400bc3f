"""`verify` refuses a graph whose outputs are wrong, and a language model that does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgespeech.demo.bundles.inspect import verify_bundle
from edgespeech.errors import BundleError, LanguageModelError, VerificationError
from edgespeech.runtime.bundle import ACOUSTIC, LANGUAGE_MODEL, Bundle, FileEntry, Manifest, write_bundle

ARPA = Path(__file__).parents[2] / "golden" / "tiny.arpa"


def rebuilt(bundle: Bundle, folder: Path, graph: onnx.ModelProto | None = None, **changes: Any) -> Bundle:
    """Write the bundle again with another graph or another manifest."""

    def describe(files: dict[str, FileEntry]) -> Manifest:
        manifest: Manifest = msgspec.structs.replace(bundle.manifest, files=files, **changes)
        return manifest

    content = bundle.acoustic_path if graph is None else graph.SerializeToString()
    return write_bundle(folder, {ACOUSTIC: content}, describe)


def with_language_model(bundle: Bundle, folder: Path, language_model: bytes, **changes: Any) -> Bundle:
    def describe(files: dict[str, FileEntry]) -> Manifest:
        manifest: Manifest = msgspec.structs.replace(bundle.manifest, files=files, **changes)
        return manifest

    return write_bundle(folder, {ACOUSTIC: bundle.acoustic_path, LANGUAGE_MODEL: language_model}, describe)


def with_last_step(bundle: Bundle, operator: str, *constants: float) -> onnx.ModelProto:
    """Return the graph with one more operator on its log-probabilities."""
    graph = onnx.load(str(bundle.acoustic_path))
    for node in graph.graph.node:
        node.output[:] = ["before" if name == "log_probs" else name for name in node.output]
    names = []
    for index, constant in enumerate(constants):
        names.append(f"constant{index}")
        graph.graph.initializer.append(numpy_helper.from_array(np.array(constant, np.float32), names[-1]))
    graph.graph.node.append(helper.make_node(operator, ["before", *names], ["log_probs"]))
    return graph


def test_a_correct_bundle_is_verified(tiny_bundle: Bundle, cells_bundle: Bundle, tmp_path: Path) -> None:
    lines = list(verify_bundle(tiny_bundle))
    assert [line.split(":")[0] for line in lines[-2:]] == [
        "a stream is independent of its neighbour in a batch",
        "chunked equals whole",
    ]
    assert not any("chunked equals whole" in line for line in verify_bundle(cells_bundle))
    spoken = with_language_model(tiny_bundle, tmp_path / "bundle", ARPA.read_bytes())
    assert list(verify_bundle(spoken))[-1] == "the language model loads and fits the labels: 2-gram"


@pytest.mark.parametrize(("operator", "constants"), [("Mul", (0.5,)), ("Exp", ()), ("Log", ()), ("Sqrt", ())])
def test_outputs_that_are_not_log_probabilities_are_refused(
    tiny_bundle: Bundle, tmp_path: Path, operator: str, constants: tuple[float, ...]
) -> None:
    bundle = rebuilt(tiny_bundle, tmp_path / "bundle", with_last_step(tiny_bundle, operator, *constants))
    with pytest.raises(VerificationError, match="not log-probabilities"):
        list(verify_bundle(bundle))


@pytest.mark.parametrize(("axis", "words"), [(0, "beside another stream in a batch"), (1, "in one piece")])
def test_a_graph_that_mixes_streams_or_frames_is_refused(
    tiny_bundle: Bundle, tmp_path: Path, axis: int, words: str
) -> None:
    graph = with_last_step(tiny_bundle, "Identity")
    graph.graph.node[-1].CopyFrom(helper.make_node("ReduceMean", ["before"], ["shared"], axes=[axis], keepdims=1))
    graph.graph.node.append(helper.make_node("Add", ["before", "shared"], ["mixed"]))
    graph.graph.node.append(helper.make_node("LogSoftmax", ["mixed"], ["log_probs"], axis=-1))
    bundle = rebuilt(tiny_bundle, tmp_path / "bundle", graph)
    with pytest.raises(VerificationError, match=words):
        list(verify_bundle(bundle))


def test_a_graph_of_another_element_type_is_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    graph = with_last_step(tiny_bundle, "Identity")
    (output,) = [value for value in graph.graph.output if value.name == "log_probs"]
    output.type.tensor_type.elem_type = TensorProto.DOUBLE
    graph.graph.node[-1].CopyFrom(helper.make_node("Cast", ["before"], ["log_probs"], to=TensorProto.DOUBLE))
    bundle = rebuilt(tiny_bundle, tmp_path / "bundle", graph)
    with pytest.raises(BundleError, match=r"log_probs is tensor\(double\)"):
        list(verify_bundle(bundle))


def test_a_language_model_that_does_not_load_or_fit_is_refused(tiny_bundle: Bundle, tmp_path: Path) -> None:
    broken = with_language_model(tiny_bundle, tmp_path / "broken", b"\\data\\\nngram 1=9\n")
    with pytest.raises(LanguageModelError):
        list(verify_bundle(broken))
    spaceless = tuple(label.replace(" ", "_") for label in tiny_bundle.manifest.labels)
    unfit = with_language_model(tiny_bundle, tmp_path / "unfit", ARPA.read_bytes(), labels=spaceless)
    with pytest.raises(LanguageModelError, match="space"):
        list(verify_bundle(unfit))
