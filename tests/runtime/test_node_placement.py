"""Profiles of onnxruntime, and the nodes that fall back to the CPU."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgespeech.errors import UsageError
from edgespeech.runtime.acoustic_model import AcousticModel, available_providers
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.node_placement import describe_fallback, read_profile


def event(name: str, operator: str, provider: str) -> dict[str, Any]:
    return {"cat": "Node", "name": name, "ph": "X", "args": {"op_name": operator, "provider": provider, "output": "1"}}


EVENTS = [
    {"cat": "Session", "name": "model_run", "args": {}},
    event("a_kernel_time", "MatMul", "CUDAExecutionProvider"),
    event("b_kernel_time", "Slice", "CPUExecutionProvider"),
    event("c_kernel_time", "Slice", "CPUExecutionProvider"),
    event("d_kernel_time", "Gather", "CPUExecutionProvider"),
    event("a_kernel_time", "MatMul", "CUDAExecutionProvider"),
]


def test_nodes_are_counted_once_and_sorted_by_frequency(tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_text(json.dumps(EVENTS))
    nodes, on_cpu = read_profile(tmp_path / "profile.json")
    assert (nodes, on_cpu) == (4, {"Slice": 2, "Gather": 1})
    assert list(on_cpu or {}) == ["Slice", "Gather"]
    assert describe_fallback(nodes, on_cpu) == "3 of 4 nodes fell back to the CPU: 2 Slice, 1 Gather"


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps(EVENTS[:1])])
def test_a_profile_without_nodes_gives_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "profile.json").write_text(content)
    assert read_profile(tmp_path / "profile.json") == (None, None)
    assert read_profile(tmp_path / "absent.json") == (None, None)
    assert describe_fallback(None, None) == describe_fallback(7, {}) == ""


def test_a_real_profile_is_read(tiny_bundle: Bundle, tmp_path: Path) -> None:
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "profile")
    session = onnxruntime.InferenceSession(str(tiny_bundle.acoustic_path), options, providers=["CPUExecutionProvider"])
    states = AcousticModel(tiny_bundle).initial_state()
    session.run(None, {"samples": np.zeros((1, 1280), np.float32), **states})
    nodes, on_cpu = read_profile(Path(session.end_profiling()))
    assert nodes is not None and on_cpu is not None
    assert sum(on_cpu.values()) == nodes > 10 and on_cpu.get("GRU", 0) + on_cpu.get("LSTM", 0) == 2


def test_a_provider_reports_the_nodes_that_fall_back_to_the_cpu(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    def open_session(path: str, options: Any, providers: list[str]) -> Any:
        asked.append(providers)
        real = session(path, options, providers=["CPUExecutionProvider"])
        names = SimpleNamespace(get_providers=lambda: providers, run=real.run, end_profiling=real.end_profiling)
        names.get_inputs, names.get_outputs = real.get_inputs, real.get_outputs
        return names

    asked: list[list[str]] = []
    session = onnxruntime.InferenceSession
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr("onnxruntime.InferenceSession", open_session)
    monkeypatch.chdir(tmp_path)
    model = AcousticModel(tiny_bundle, provider="cuda")
    assert asked == [["CUDAExecutionProvider", "CPUExecutionProvider"]]
    assert model.nodes_on_cpu is not None and len(model.nodes_on_cpu) > 3
    assert sum(model.nodes_on_cpu.values()) == model.nodes
    assert list(tmp_path.iterdir()) == [], "the profile is deleted"


def test_the_cpu_is_not_profiled(tiny_bundle: Bundle) -> None:
    model = AcousticModel(tiny_bundle)
    assert (model.nodes, model.nodes_on_cpu) == (None, None)


def test_a_provider_that_refuses_the_graph_is_named(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise RuntimeError("no kernel\nfor GRU")

    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr("onnxruntime.InferenceSession", refuse)
    assert available_providers() == ["cuda"]
    with pytest.raises(
        UsageError, match=r"provider 'cuda' does not take this graph \(.*no kernel for GRU.*use another"
    ):
        AcousticModel(tiny_bundle, provider="cuda")
