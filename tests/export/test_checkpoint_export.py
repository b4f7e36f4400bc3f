"""Every kind of model becomes a bundle that equals it; everything unusable is refused and leaves nothing behind."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray

from edgespeech.errors import AudioError, CheckpointError, LanguageModelError, UsageError, VerificationError
from edgespeech.export.checkpoint_export import ExportedBundle, export_checkpoint, export_model, load_trained
from edgespeech.export.request import ExportRequest
from edgespeech.export.streaming_graph import build_graph
from edgespeech.reference.model.checkpoint import save_checkpoint
from edgespeech.reference.model.config import ConvolutionConfig, FeatureConfig
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import Bundle, load_bundle

Samples = NDArray[np.float32]
Noise = Callable[[int], Samples]
Form = Literal["fused", "cells"]
GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def make(tmp_path: Path, noise: Noise) -> Callable[..., ExportedBundle]:
    """Export a model to ``tmp_path / "bundle"``."""

    def run(model: Any, recordings: Any = None, **options: Any) -> ExportedBundle:
        save_checkpoint(model, tmp_path / "ckpt.pt", {"name": "tiny", "dev_wer": 0.5})
        request = ExportRequest(**{"chunk_ms": 80.0, **options})
        compared = [noise(8000)] if recordings is None else recordings
        return export_model(load_trained(tmp_path / "ckpt.pt"), tmp_path / "bundle", compared, request)

    return run


def stream(bundle: Bundle, samples: Samples) -> Samples:
    """Compute the runtime's log-probabilities, without the delay; the end is padded with zeros."""
    graph, facts = AcousticModel(bundle), bundle.manifest.audio
    frames = -(-len(samples) // facts.frame_samples) + bool(facts.end_state)
    padded = np.pad(samples, (0, (frames + facts.delay_frames) * facts.frame_samples - len(samples)))
    rows: Samples = graph.stream(padded[None], length=len(samples))[0]
    return rows[facts.delay_frames :][:frames]


def whole(model: Any, samples: Samples) -> Samples:
    with torch.no_grad():
        log_probs, frames = model(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
    return np.asarray(log_probs[0, : int(frames[0])].numpy())


def remaining(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "ckpt.pt")


@pytest.mark.parametrize("form", ["fused", "cells"])
def test_every_kind_of_model_becomes_a_bundle(
    tiny_model: Any, form: Form, make: Any, tmp_path: Path, noise: Noise, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "edgespeech"):
        bundle = make(tiny_model, form=form)
    assert remaining(tmp_path) == ["bundle"]
    assert load_bundle(tmp_path / "bundle") == Bundle(bundle.folder, bundle.manifest)
    assert bundle.parity.worst < 1e-4
    facts = bundle.manifest
    assert facts.labels == tiny_model.labels.symbols
    frame = tiny_model.config.frame_samples
    assert (facts.audio.sample_rate, facts.audio.frame_samples, facts.audio.chunk_samples) == (16000, frame, 1280)
    assert facts.audio.delay_frames == tiny_model.delay_frames
    assert facts.audio.end_state == ("" if tiny_model.edges is None else "edges_left")
    assert facts.audio.chunk_free == (form == "fused")
    assert (facts.graph.form, facts.graph.precision) == (form, "fp32")
    assert facts.name == "tiny" and facts.provenance["dev_wer"] == 0.5 and "exported" in facts.provenance
    expected = whole(tiny_model, noise(7001))
    log_probs = stream(bundle, noise(7001))
    np.testing.assert_allclose(log_probs[: len(expected)], expected, atol=5e-5)
    assert (log_probs[len(expected) :, 0] == 0.0).all()
    assert "onnxruntime against torch, chunk by chunk" in caplog.text


ODD: dict[str, dict[str, Any]] = {
    "no-lookahead": {"lookahead_frames": 0},
    "no-batch-norm": {"batch_norm": False},
    "kernel-is-stride": {
        "convolutions": (
            ConvolutionConfig(channels=6, kernel=2, stride=2, frequency_kernel=2, frequency_stride=2),
            ConvolutionConfig(channels=5, kernel=2, stride=2),
        )
    },
    "hop-is-window": {"features": FeatureConfig(window_samples=160, bins=8)},
    "linear-hamming": {"features": FeatureConfig(scale="linear", window="hamming")},
    "one-convolution-stride-1": {"convolutions": (ConvolutionConfig(channels=4, kernel=3),)},
    "long-lookahead": {"lookahead_frames": 20},
    "one-layer": {"layers": 1},
}


@pytest.mark.parametrize("form", ["fused", "cells"])
@pytest.mark.parametrize("front_end", ["1d", "2d"])
@pytest.mark.parametrize("shape", ODD.values(), ids=ODD.keys())
def test_odd_shapes_become_bundles(
    shape: dict[str, Any], front_end: str, form: Form, make: Any, tiny_model_factory: Any, noise: Noise
) -> None:
    model = tiny_model_factory(front_end=front_end, **shape)
    bundle = make(model, form=form)
    assert not any(0 in state.shape for state in bundle.manifest.graph.states)
    np.testing.assert_allclose(stream(bundle, noise(5000)), whole(model, noise(5000)), atol=1e-4)


@pytest.mark.parametrize("form", ["fused", "cells"])
@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_the_graph_clips_at_twenty(cell: str, form: Form, make: Any, tiny_model_factory: Any, noise: Noise) -> None:
    model = tiny_model_factory(cell=cell, batch_norm=False)
    with torch.no_grad():
        for layer in (model.convolutions[0].convolution, model.lookahead):
            layer.weight *= 400.0
        if cell == "rnn":
            model.recurrents[0].rnn.weight_ih_l0 *= 20.0
            model.recurrents[0].rnn.weight_hh_l0 *= 0.1
        model.output.linear.weight *= 0.05
    tops: list[float] = []
    stages = [model.convolutions[0], model.lookahead, *([model.recurrents[0]] if cell == "rnn" else [])]
    handles = [stage.register_forward_hook(lambda _, __, y: tops.append(float(y.max()))) for stage in stages]
    expected = whole(model, noise(5000))
    assert tops == [20.0] * len(stages)
    for handle in handles:
        handle.remove()
    np.testing.assert_allclose(stream(make(model, form=form), noise(5000)), expected, atol=1e-3)


def test_a_fused_graph_accepts_other_chunks(make: Any, tiny_model_factory: Any, noise: Noise) -> None:
    model = tiny_model_factory()
    graph = AcousticModel(make(model, form="fused", chunk_ms=160.0))
    samples = np.zeros((1, 640 * 16), np.float32)
    samples[0, :7000] = noise(7000)
    for frames in (1, 2, 3, 16):
        state, pieces = graph.initial_state(), []
        for start in range(0, 640 * 16, 640 * frames):
            log_probs, state = graph.step(samples[:, start : start + 640 * frames], state)
            pieces.append(log_probs[0])
        np.testing.assert_allclose(np.concatenate(pieces)[3:14], whole(model, noise(7000)), atol=2e-5)


def test_a_wrong_graph_is_refused_and_nothing_is_left(
    make: Any,
    tiny_model_factory: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def wrong_graph(model: Any, form: Form, chunk: int) -> Any:
        with torch.no_grad():
            model.output.linear.weight[3, 0] += 0.5
            graph = build_graph(model, form, chunk)
            model.output.linear.weight[3, 0] -= 0.5
        return graph

    monkeypatch.setattr("edgespeech.export.checkpoint_export.build_graph", wrong_graph)
    with (
        caplog.at_level(logging.INFO, "edgespeech"),
        pytest.raises(VerificationError, match="no bundle was written") as caught,
    ):
        make(tiny_model_factory())
    assert caught.value.exit_code == 1
    assert remaining(tmp_path) == []
    assert "chunk by chunk" in caplog.text  # the figures are logged all the same


def test_a_refused_bundle_does_not_replace_a_good_one(make: Any, tiny_model_factory: Any, tmp_path: Path) -> None:
    good = make(tiny_model_factory())
    with pytest.raises(VerificationError):
        make(tiny_model_factory(cell="lstm"), tolerance=0.0)
    assert load_bundle(tmp_path / "bundle").manifest == good.manifest
    assert remaining(tmp_path) == ["bundle"]


@pytest.mark.parametrize("speech", [[], [np.zeros(9000, np.float32)], [np.zeros(0, np.float32)]])
def test_silent_speech_is_refused(make: Any, tiny_model_factory: Any, tmp_path: Path, speech: list[Samples]) -> None:
    with pytest.raises(VerificationError, match="silent"):
        make(tiny_model_factory(), speech)
    assert remaining(tmp_path) == []


def write_manifest(folder: Path, content: Samples | bytes) -> Path:
    if isinstance(content, bytes):
        (folder / "speech.wav").write_bytes(content)
    else:
        soundfile.write(folder / "speech.wav", content, 16000)
    (folder / "speech.jsonl").write_text(json.dumps({"audio_filepath": "speech.wav"}), encoding="utf-8")
    return folder / "speech.jsonl"


def test_speech_is_read_at_the_sample_rate_of_the_model(tiny_model_factory: Any, noise: Noise, tmp_path: Path) -> None:
    model = tiny_model_factory(features=FeatureConfig(sample_rate=8000, window_samples=160, hop_samples=80))
    save_checkpoint(model, tmp_path / "ckpt.pt", {})
    speech = write_manifest(tmp_path, noise(80000))
    bundle = export_checkpoint(tmp_path / "ckpt.pt", tmp_path / "bundle", ExportRequest(speech=speech))
    assert bundle.manifest.audio.sample_rate == 8000
    assert bundle.parity.seconds == pytest.approx(5.0)


def test_weights_that_are_not_finite_are_refused(make: Any, tiny_model_factory: Any, tmp_path: Path) -> None:
    model = tiny_model_factory()
    model.output.linear.bias.data[0] = float("nan")
    with pytest.raises(CheckpointError, match="not finite"):
        make(model)
    assert remaining(tmp_path) == []


def test_weights_that_overflow_are_refused(make: Any, tiny_model_factory: Any, tmp_path: Path) -> None:
    model = tiny_model_factory(batch_norm=False)
    model.lookahead.weight.data.abs_().mul_(100.0)
    model.output.linear.weight.data.fill_(3e38)
    with pytest.raises(VerificationError):
        make(model)
    assert remaining(tmp_path) == []


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_files_that_are_not_a_bundle_are_not_replaced(
    make: Any, tiny_model_factory: Any, tmp_path: Path, kind: str
) -> None:
    target = tmp_path / "bundle"
    precious = target if kind == "file" else target / "thesis.txt"
    precious.parent.mkdir(exist_ok=True)
    precious.write_text("precious", encoding="utf-8")
    with pytest.raises(UsageError, match="is not a bundle"):
        make(tiny_model_factory())
    assert precious.read_text(encoding="utf-8") == "precious"
    assert remaining(tmp_path) == ["bundle"]


def test_a_bundle_or_an_empty_folder_is_replaced(make: Any, tiny_model_factory: Any, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    first = make(tiny_model_factory())
    second = make(tiny_model_factory(cell="lstm"), name="second", form="cells")
    assert first.manifest != second.manifest
    assert load_bundle(tmp_path / "bundle").manifest == second.manifest
    assert second.manifest.name == "second"
    assert remaining(tmp_path) == ["bundle"]


def test_a_language_model_is_copied_into_the_bundle(make: Any, tiny_model_factory: Any, tmp_path: Path) -> None:
    bundle = make(tiny_model_factory(), lm=GOLDEN / "tiny.bin")
    assert bundle.language_model_path is not None
    assert bundle.language_model_path.read_bytes() == (GOLDEN / "tiny.bin").read_bytes()


def test_a_broken_language_model_is_refused(make: Any, tiny_model_factory: Any, tmp_path: Path) -> None:
    (tmp_path / "broken.bin").write_bytes(b"no model")
    with pytest.raises(LanguageModelError):
        make(tiny_model_factory(), lm=tmp_path / "broken.bin")
    assert remaining(tmp_path) == ["broken.bin"]


@pytest.mark.parametrize("chunk_ms", [0.0, 50.0, -40.0])
def test_a_chunk_that_cuts_a_frame_is_refused(
    make: Any, tiny_model_factory: Any, tmp_path: Path, chunk_ms: float
) -> None:
    with pytest.raises(UsageError, match="multiple of one frame, 40 ms"):
        make(tiny_model_factory(), chunk_ms=chunk_ms)
    assert remaining(tmp_path) == []


def test_a_chunk_longer_than_a_bundle_may_have_is_refused(make: Any, tiny_model_factory: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give at most 60 s"):
        make(tiny_model_factory(), chunk_ms=60_040.0)
    assert remaining(tmp_path) == []


def test_a_blank_score_is_recorded(make: Any, tiny_model_factory: Any) -> None:
    assert make(tiny_model_factory(), blank_score=-1.0).manifest.provenance["blank_score"] == -1.0
    assert "blank_score" not in make(tiny_model_factory()).manifest.provenance


def test_speech_that_cannot_be_read_leaves_nothing(tiny_model_factory: Any, tmp_path: Path) -> None:
    save_checkpoint(tiny_model_factory(), tmp_path / "ckpt.pt", {})
    request = ExportRequest(speech=write_manifest(tmp_path, b"not audio"))
    with pytest.raises(AudioError):
        export_checkpoint(tmp_path / "ckpt.pt", tmp_path / "bundle", request)
    assert remaining(tmp_path) == ["speech.jsonl", "speech.wav"]
