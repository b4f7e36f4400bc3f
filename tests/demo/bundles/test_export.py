"""`export` calibrates batch norm on speech, and selects the form that a precision needs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray

from edgespeech.demo.bundles.export import BundleRequest
from edgespeech.errors import UsageError
from edgespeech.export.fold import fold_batch_norm
from edgespeech.export.request import ExportRequest
from edgespeech.quantization.batch_norm import calibrate_batch_norm
from edgespeech.reference.model.checkpoint import save_checkpoint
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.reference.model.layers import MaskedBatchNorm
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import DecoderDefaults, load_bundle

Samples = NDArray[np.float32]
Command = Callable[..., Any]


@pytest.fixture(scope="module")
def recordings(noise: Callable[[int], Samples]) -> list[Samples]:
    """Four recordings, from short to long."""
    return [noise(length) for length in (9000, 10000, 12345, 15001)]


@pytest.fixture(scope="module")
def speech(recordings: list[Samples], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of the recordings."""
    folder = Path(tmp_path_factory.mktemp("speech"))
    for number, samples in enumerate(recordings):
        soundfile.write(folder / f"{number}.wav", samples, 16000, subtype="FLOAT")
    lines = [json.dumps({"audio_filepath": f"{number}.wav", "text": ""}) for number in range(len(recordings))]
    (folder / "speech.jsonl").write_text("\n".join(lines))
    return folder / "speech.jsonl"


@pytest.fixture(scope="module")
def healthy(tiny_model_factory: Callable[..., DeepSpeech2], recordings: list[Samples]) -> DeepSpeech2:
    """A model whose statistics are those of the recordings."""
    return calibrate_batch_norm(tiny_model_factory(), recordings)[0]


@pytest.fixture
def checkpoint(healthy: DeepSpeech2, tmp_path: Path) -> Path:
    """A checkpoint of the same model with wrong statistics."""
    spoiled = calibrate_batch_norm(healthy, [np.zeros(9000, np.float32)])[0]
    for module in spoiled.modules():
        if isinstance(module, MaskedBatchNorm):
            module.running_variance.add_(3.0)
    save_checkpoint(spoiled, tmp_path / "spoiled.pt", {"name": "tiny"})
    return tmp_path / "spoiled.pt"


def distance(bundle: Path, model: DeepSpeech2, samples: Samples) -> float:
    """Return the largest difference between log-probabilities of a bundle and of a model."""
    ours = AcousticModel(load_bundle(bundle)).stream(samples[None])[0][model.delay_frames :]
    with torch.no_grad():
        theirs = model(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))[0][0].numpy()
    length = min(len(ours), len(theirs)) - model.delay_frames
    return float(np.abs(ours[:length] - theirs[:length]).max())


def test_wrong_statistics_are_repaired(
    edgespeech: Command, checkpoint: Path, speech: Path, healthy: DeepSpeech2, recordings: list[Samples], tmp_path: Path
) -> None:
    outcome = edgespeech("export", checkpoint, "-o", tmp_path / "b", "--chunk-ms", 80, "--speech", speech)
    assert outcome.code == 0, outcome.err
    assert "calibrating 4 batch norms on 4 clips" in outcome.err and "recurrents.1" in outcome.err
    assert "already matched this speech" not in outcome.err
    assert distance(tmp_path / "b", healthy, recordings[3]) < 1e-3
    assert load_bundle(tmp_path / "b").manifest.provenance["calibrated"]["clips"] == 4


def test_statistics_stay_as_they_are_on_request(
    edgespeech: Command, checkpoint: Path, speech: Path, healthy: DeepSpeech2, recordings: list[Samples], tmp_path: Path
) -> None:
    for name, options in (("a", ["--speech", speech, "--no-calibrate"]), ("b", [])):
        outcome = edgespeech("export", checkpoint, "-o", tmp_path / name, "--chunk-ms", 80, *options)
        assert outcome.code == 0 and "calibrating" not in outcome.err
        assert distance(tmp_path / name, healthy, recordings[3]) > 0.01
    graphs = [(tmp_path / name / "acoustic.onnx").read_bytes() for name in "ab"]
    assert graphs[0] == graphs[1]


def test_matching_statistics_are_logged(
    edgespeech: Command, healthy: DeepSpeech2, speech: Path, tmp_path: Path, recordings: list[Samples]
) -> None:
    save_checkpoint(healthy, tmp_path / "healthy.pt", {})
    save_checkpoint(fold_batch_norm(healthy), tmp_path / "plain.pt", {})
    for name, line in (
        ("healthy", "the statistics already matched this speech"),
        ("plain", "this model has no batch norm"),
    ):
        arguments = ["-o", tmp_path / name, "--chunk-ms", 80, "--speech", speech]
        outcome = edgespeech("export", tmp_path / f"{name}.pt", *arguments)
        assert outcome.code == 0 and line in outcome.err
        assert distance(tmp_path / name, healthy, recordings[3]) < 1e-3


@pytest.mark.parametrize(
    ("cell", "options", "form", "operator"),
    [
        ("lstm", ["--precision", "int8"], "fused", "DynamicQuantizeLSTM"),
        ("lstm", ["--precision", "int8", "--form", "cells"], "cells", "MatMulIntegerToFloat"),
        ("gru", ["--precision", "int8"], "cells", "MatMulIntegerToFloat"),
        ("rnn", ["--precision", "int8"], "cells", "MatMulIntegerToFloat"),
        ("lstm", ["--precision", "int4"], "cells", "MatMulNBits"),
        ("gru", ["--precision", "fp16"], "fused", "GRU"),
        ("lstm", ["--precision", "fp16", "--fp16-compute"], "fused", "LSTM"),
    ],
)
def test_a_precision_selects_its_form(
    edgespeech: Command, tiny_model_factory: Callable[..., DeepSpeech2], speech: Path, tmp_path: Path,
    cell: str, options: list[str], form: str, operator: str,
) -> None:  # fmt: skip
    save_checkpoint(tiny_model_factory(cell=cell), tmp_path / "model.pt", {"name": "tiny"})
    arguments = ["--chunk-ms", 80, "--speech", speech, "--no-calibrate", *options]
    outcome = edgespeech("export", tmp_path / "model.pt", "-o", tmp_path / "b", *arguments)
    assert outcome.code == 0, outcome.err
    bundle = load_bundle(tmp_path / "b")
    assert (bundle.manifest.graph.form, bundle.manifest.audio.chunk_free) == (form, form == "fused")
    assert bundle.manifest.graph.precision == options[1]
    assert operator in {node.op_type for node in onnx.load(str(bundle.acoustic_path)).graph.node}
    assert ("form cells" in outcome.err) == (form == "cells" and "--form" not in options)
    assert edgespeech("verify", tmp_path / "b").code == 0


def test_fp16_compute_needs_fp16_weights(edgespeech: Command, checkpoint: Path, tmp_path: Path) -> None:
    outcome = edgespeech("export", checkpoint, "-o", tmp_path / "b", "--precision", "int8", "--fp16-compute")
    assert (outcome.code, outcome.out, len(outcome.err.splitlines())) == (2, "", 1)
    assert "--fp16-compute is for --precision fp16, not int8" in outcome.err
    assert os.listdir(tmp_path) == ["spoiled.pt"]


def test_a_request_is_made_from_the_options_of_the_command() -> None:
    options = {
        "form": "cells", "chunk_ms": 80.0, "speech": None, "blank_score": -1.0, "prior_power": 0.25, "lm": None,
        "name": "tiny",
        "precision": "int4", "fp16_compute": False, "no_calibrate": True,
        "alpha": 0.7, "beta": 1.0, "unknown_score": -20.0, "beam_width": 8, "min_confidence": 0.1,
    }  # fmt: skip
    decoder = DecoderDefaults(alpha=0.7, beta=1.0, unknown_score=-20.0, beam_width=8, min_confidence=0.1)
    export = ExportRequest(
        form="cells", chunk_ms=80.0, blank_score=-1.0, prior_power=0.25, decoder=decoder, name="tiny"
    )
    assert BundleRequest.from_options(options) == BundleRequest(export, "int4", calibrate=False)
    with pytest.raises(UsageError, match=r"a default of the beam search is out of range: .*beam_width"):
        BundleRequest.from_options({**options, "beam_width": 0})
