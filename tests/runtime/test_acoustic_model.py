"""The graph in onnxruntime: equal forms, states as values, and mismatches that are refused."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.errors import BundleError, MissingDependencyError, UsageError
from edgespeech.runtime.acoustic_model import AcousticModel, import_onnxruntime
from edgespeech.runtime.bundle import Bundle

Samples = NDArray[np.float32]


def stream(model: AcousticModel, samples: Samples, chunk: int) -> Samples:
    state, pieces = model.initial_state(len(samples)), []
    for start in range(0, samples.shape[1], chunk):
        log_probs, state = model.step(samples[:, start : start + chunk], state)
        pieces.append(log_probs)
    return np.concatenate(pieces, axis=1)


def described(bundle: Bundle, part: str, **changes: Any) -> Bundle:
    """Return a bundle with the same files and a different description."""
    facts = msgspec.structs.replace(getattr(bundle.manifest, part), **changes)
    return Bundle(bundle.folder, msgspec.structs.replace(bundle.manifest, **{part: facts}))


def test_both_forms_give_the_same(tiny_bundle: Bundle, cells_bundle: Bundle, noise: Callable[[int], Samples]) -> None:
    chunk = tiny_bundle.manifest.audio.chunk_samples
    samples = noise(chunk * 12)[None]
    fused = stream(AcousticModel(tiny_bundle), samples, chunk)
    assert fused.shape == (1, 24, len(tiny_bundle.manifest.labels))
    np.testing.assert_allclose(stream(AcousticModel(cells_bundle), samples, chunk), fused, atol=1e-4)


def test_a_state_can_be_continued_twice(tiny_bundle: Bundle, noise: Callable[[int], Samples]) -> None:
    model = AcousticModel(tiny_bundle)
    chunk = noise(model.audio.chunk_samples)[None]
    _, state = model.step(chunk, model.initial_state())
    kept = {name: value.copy() for name, value in state.items()}
    first, _ = model.step(chunk, state)
    again, _ = model.step(chunk, state)
    np.testing.assert_array_equal(first, again)
    for name, value in state.items():
        np.testing.assert_array_equal(value, kept[name], err_msg=name)


def test_more_threads_give_the_same_result(tiny_bundle: Bundle, noise: Callable[[int], Samples]) -> None:
    chunk = tiny_bundle.manifest.audio.chunk_samples
    samples = noise(chunk * 4)[None]
    one, two = (stream(AcousticModel(tiny_bundle, threads=count), samples, chunk) for count in (1, 2))
    np.testing.assert_allclose(two, one, atol=1e-5)


@pytest.mark.parametrize("length", [0, 1, 639, 641, 1279, 1281])
def test_a_chunk_that_cuts_a_frame_is_refused(tiny_bundle: Bundle, length: int) -> None:
    model = AcousticModel(tiny_bundle)
    with pytest.raises(UsageError, match=f"a chunk of {length} samples came"):
        model.step(np.zeros((1, length), np.float32), model.initial_state())


@pytest.mark.parametrize("length", [640, 2560])
def test_another_length_than_a_fixed_chunk_is_refused(cells_bundle: Bundle, length: int) -> None:
    model = AcousticModel(cells_bundle)
    with pytest.raises(UsageError, match="the graph wants 1280"):
        model.step(np.zeros((1, length), np.float32), model.initial_state())


def changed_state(bundle: Bundle, index: int, **changes: Any) -> Bundle:
    states = list(bundle.manifest.graph.states)
    states[index] = msgspec.structs.replace(states[index], **changes)
    return described(bundle, "graph", states=tuple(states))


def test_a_description_that_does_not_match_the_graph_is_refused(tiny_bundle: Bundle, cells_bundle: Bundle) -> None:
    wrong = [
        described(tiny_bundle, "graph", input="sound"),
        described(tiny_bundle, "graph", output="logits"),
        described(tiny_bundle, "graph", states=tiny_bundle.manifest.graph.states[1:]),
        changed_state(tiny_bundle, 0, name="elsewhere"),
        changed_state(tiny_bundle, 0, output="elsewhere_out"),
        changed_state(tiny_bundle, 0, shape=(161,)),
        changed_state(tiny_bundle, 0, shape=(1, 160)),
        changed_state(tiny_bundle, 0, output="log_probs_again"),
        described(cells_bundle, "audio", chunk_samples=2560),
        described(cells_bundle, "audio", frame_samples=1280),
        described(cells_bundle, "audio", chunk_free=True),
        Bundle(tiny_bundle.folder, msgspec.structs.replace(tiny_bundle.manifest, labels=("", "a", "b"))),
    ]
    for bundle in wrong:
        with pytest.raises(BundleError, match=r"export (the bundle )?again$") as refused:
            AcousticModel(bundle)
        assert "\n" not in str(refused.value)


def test_a_wrong_frame_length_is_reported_by_the_first_step(tiny_bundle: Bundle) -> None:
    model = AcousticModel(described(tiny_bundle, "audio", frame_samples=320))
    with pytest.raises(BundleError, match=r"gave \[1, 2, 29\], wanted \[1, 4, 29\]"):
        model.step(np.zeros((1, 1280), np.float32), model.initial_state())


def test_a_failing_graph_is_reported_in_one_line(tiny_bundle: Bundle) -> None:
    model = AcousticModel(tiny_bundle)
    state = {**model.initial_state(), "recurrent0_hidden": np.zeros((1, 5), np.float32)}
    with pytest.raises(BundleError, match="the acoustic graph failed") as refused:
        model.step(np.zeros((1, 1280), np.float32), state)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_a_graph_is_refused(tmp_path: Path, tiny_bundle: Bundle) -> None:
    (tmp_path / "acoustic.onnx").write_bytes(b"no graph")
    with pytest.raises(BundleError, match="does not load") as refused:
        AcousticModel(Bundle(tmp_path, tiny_bundle.manifest))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("threads", [0, -1, 257, 10**12])
def test_threads_out_of_range_are_refused(tiny_bundle: Bundle, threads: int) -> None:
    with pytest.raises(UsageError, match="wanted 1 to 256"):
        AcousticModel(tiny_bundle, threads=threads)


def test_an_unknown_provider_is_refused(tiny_bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="'abacus' is unknown; wanted one of cpu, cuda"):
        AcousticModel(tiny_bundle, provider="abacus")


def test_a_provider_that_is_not_installed_is_refused(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(UsageError, match="not in the installed onnxruntime, which has: cpu; use one of these"):
        AcousticModel(tiny_bundle, provider="cuda")


def test_a_provider_is_never_silently_replaced(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    only_cpu = SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr("onnxruntime.InferenceSession", lambda *_, **__: only_cpu)
    with pytest.raises(UsageError, match="'cuda' did not load its libraries"):
        AcousticModel(tiny_bundle, provider="cuda")


def test_a_provider_that_loads_and_does_not_compute_is_refused(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnxruntime: Any = import_onnxruntime()

    def run(*_: object) -> None:
        raise RuntimeError("no kernel image is available")

    real = onnxruntime.InferenceSession(str(tiny_bundle.acoustic_path), providers=["CPUExecutionProvider"])
    session = SimpleNamespace(
        get_providers=lambda: ["CUDAExecutionProvider"],
        get_inputs=real.get_inputs,
        get_outputs=real.get_outputs,
        run=run,
    )
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr("onnxruntime.InferenceSession", lambda *_, **__: session)
    with pytest.raises(UsageError, match=r"'cuda' does not compute here \(.*no kernel image.*\); use another one"):
        AcousticModel(tiny_bundle, provider="cuda")


def test_without_onnxruntime_the_pip_command_is_printed(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgespeech\[cpu\]'"):
        AcousticModel(tiny_bundle)


@pytest.mark.parametrize("spin", [False, True])
def test_idle_threads_sleep_unless_asked_to_spin(tiny_bundle: Bundle, spin: bool) -> None:
    model = AcousticModel(tiny_bundle, threads=2, spin=spin)
    options = model._session.get_session_options()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == str(int(spin))
    model.step(np.zeros((1, model.audio.chunk_samples), np.float32), model.initial_state())
    time.sleep(0.01)
    began = time.process_time()
    time.sleep(0.3)
    idle = time.process_time() - began
    if not spin:  # how long threads spin depends on the version
        assert idle < 0.01
