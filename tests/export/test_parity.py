"""The comparison finds every difference, NaN included, and refuses silent speech."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgespeech.errors import VerificationError
from edgespeech.export.checkpoint_export import TrainedModel, export_model
from edgespeech.export.fold import fold_batch_norm
from edgespeech.export.parity import Parity, measure_parity, require_parity
from edgespeech.export.request import ExportRequest
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import AudioFacts

Samples = NDArray[np.float32]
Noise = Callable[[int], Samples]


@pytest.fixture
def build(tmp_path: Path, noise: Noise) -> Callable[[Any], AcousticModel]:
    """Export a model and load its graph, in chunks of two frames."""

    def make(model: Any) -> AcousticModel:
        trained = TrainedModel(tmp_path / "ckpt.pt", model, {})
        return AcousticModel(export_model(trained, tmp_path / "bundle", [noise(8000)], ExportRequest(chunk_ms=80.0)))

    return make


@pytest.fixture
def model(tiny_model_factory: Callable[..., Any]) -> Any:
    return tiny_model_factory()


def test_equal_models_agree(model: Any, build: Callable[[Any], AcousticModel], noise: Noise) -> None:
    parity = measure_parity(model, fold_batch_norm(model), build(model), [noise(9000), noise(1), noise(20000)])
    assert parity.worst < 1e-4 and parity.states < 1e-4
    # 1280 samples per chunk, and three frames of look-ahead after each recording
    assert parity.chunks == -(-(15 + 3) // 2) + -(-(1 + 3) // 2) + -(-(32 + 3) // 2)
    assert parity.seconds == pytest.approx(29001 / 16000)
    require_parity(parity, 1e-4)


def test_short_speech_is_repeated_to_ten_chunks(
    model: Any, build: Callable[[Any], AcousticModel], noise: Noise
) -> None:
    parity = measure_parity(model, fold_batch_norm(model), build(model), [noise(1), np.zeros(0, np.float32)])
    assert parity.chunks >= 10


@pytest.mark.parametrize("speech", [[], [np.zeros(0, np.float32)], [np.zeros(9000, np.float32)]])
def test_silence_is_refused(model: Any, build: Callable[[Any], AcousticModel], speech: list[Samples]) -> None:
    with pytest.raises(VerificationError, match="empty or silent"):
        measure_parity(model, fold_batch_norm(model), build(model), speech)


def test_each_figure_shows_its_own_difference(model: Any, build: Callable[[Any], AcousticModel], noise: Noise) -> None:
    graph, folded = build(model), fold_batch_norm(model)
    other = fold_batch_norm(model)
    with torch.no_grad():
        next(other.recurrents[1].parameters())[:] += 0.1
    parity = measure_parity(model, other, graph, [noise(9000)])
    assert parity.fold > 1e-3 and parity.chunked > 1e-3 and parity.states > 1e-3 and parity.whole < 1e-4
    with torch.no_grad():
        model.output.linear.bias[1] += 0.5
    parity = measure_parity(model, folded, graph, [noise(9000)])
    assert parity.fold > 1e-3 and parity.chunked < 1e-4 and parity.whole > 1e-3
    with pytest.raises(VerificationError, match="differs from the model by .* no bundle was written") as caught:
        require_parity(parity, 1e-3)
    assert "\n" not in str(caught.value)


def test_nan_in_torch_is_a_difference(model: Any, build: Callable[[Any], AcousticModel], noise: Noise) -> None:
    graph, folded = build(model), fold_batch_norm(model)
    folded.output.linear.bias.data[1] = float("nan")
    parity = measure_parity(model, folded, graph, [noise(9000)])
    assert np.isnan(parity.chunked) and np.isnan(parity.fold) and np.isnan(parity.worst)
    with pytest.raises(VerificationError):
        require_parity(parity, 1e-3)


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_nan_in_the_graph_is_refused(model: Any, noise: Noise, value: float) -> None:
    class Broken:
        """A graph whose outputs all have one value."""

        audio = AudioFacts(sample_rate=16000, frame_samples=640, chunk_samples=1280, chunk_free=True, delay_frames=3)

        def initial_state(self) -> dict[str, Samples]:
            return {}

        def step(self, samples: Samples, state: dict[str, Samples]) -> tuple[Samples, dict[str, Samples]]:
            return np.full((1, 2, len(model.labels)), value, np.float32), state

    with pytest.raises(VerificationError, match="NaN or infinite"):
        measure_parity(model, fold_batch_norm(model), cast(AcousticModel, Broken()), [noise(9000)])


@pytest.mark.parametrize("place", ["fold", "chunked", "whole"])
def test_every_figure_counts(place: str) -> None:
    figures = {"fold": 1e-6, "chunked": 1e-6, "states": 1e-6, "whole": 1e-6}
    require_parity(Parity(10, 1.0, **figures), 1e-3)
    for bad in (2e-3, float("nan"), float("inf")):
        with pytest.raises(VerificationError):
            require_parity(Parity(10, 1.0, **{**figures, place: bad}), 1e-3)


def test_the_report_has_all_figures() -> None:
    lines = "\n".join(Parity(12, 3.5, 1e-6, 2e-6, 3e-6, 4e-6).lines(1e-3))
    for figure in ("3.5 s", "12 chunks", "1.00e-06", "2.00e-06", "3.00e-06", "4.00e-06", "1e-03"):
        assert figure in lines
