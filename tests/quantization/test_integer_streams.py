"""Integer graphs of every kind of model carry states, keep streams independent, and stay close to float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.quantization.quantizer import IntegerPrecision, Quantizer
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.recognizer import Recognizer

Samples = NDArray[np.float32]
FRAMES = 2


@pytest.fixture
def quantized(
    tiny_model: Any,
    bundle_of: Callable[..., Bundle],
    speech: list[Samples],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Bundle:
    """Bundles of every kind of tiny model, in int8 unless the test asks for another precision."""
    precision: IntegerPrecision = getattr(request, "param", "int8")
    quantizer = Quantizer(bundle_of(tiny_model, FRAMES), speech, "minmax")
    plan = quantizer.plan(precision)
    return quantizer.write(tmp_path / precision, precision, quantizer.rewrite(plan), {})


def stream(model: AcousticModel, samples: Samples) -> Samples:
    """Compute log-probabilities of [batch, samples], chunk by chunk."""
    state, size, pieces = model.initial_state(len(samples)), model.audio.chunk_samples, []
    for start in range(0, samples.shape[1] - size + 1, size):
        log_probs, state = model.step(samples[:, start : start + size], state)
        pieces.append(log_probs)
    return np.concatenate(pieces, axis=1)


@pytest.mark.parametrize("quantized", ["int8", "int4"], indirect=True)
def test_a_stream_is_independent_of_its_neighbours_in_a_batch(
    quantized: Bundle, noise: Callable[[int], Samples]
) -> None:
    model = AcousticModel(quantized)
    size = 12 * model.audio.chunk_samples
    quiet, loud = noise(size) * 0.05, noise(size)[::-1] * 10.0
    alone = stream(model, quiet[None])
    # MatMulNBits adds up in one order for a single row and in another for several: on x86 without VNNI, and on Arm
    # without dot product, where the default model differs by 3e-5.
    tolerance = 1e-4 if quantized.manifest.graph.precision == "int4" else 0.0
    for batch in ([quiet, loud], [loud, quiet], [loud, loud, quiet, loud, loud]):
        beside = stream(model, np.stack(batch))
        for row, samples in enumerate(batch):
            if samples is quiet:
                np.testing.assert_allclose(beside[row], alone[0], rtol=0.0, atol=tolerance)


def test_a_stream_can_be_paused_and_resumed(quantized: Bundle, noise: Callable[[int], Samples]) -> None:
    model = AcousticModel(quantized)
    size = model.audio.chunk_samples
    samples = noise(6 * size)[None]
    whole = stream(model, samples)
    state, pieces = model.initial_state(), []
    for start in range(0, samples.shape[1], size):
        log_probs, new = model.step(samples[:, start : start + size], state)
        again, _ = model.step(samples[:, start : start + size], {key: value.copy() for key, value in state.items()})
        np.testing.assert_array_equal(log_probs, again)
        stream(AcousticModel(quantized), noise(3 * size)[None])
        state = new
        pieces.append(log_probs)
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole)
    without_state = np.concatenate([model.step(samples[:, i : i + size], model.initial_state())[0]
                                for i in range(0, samples.shape[1], size)], axis=1)  # fmt: skip
    assert np.abs(without_state - whole).max() > 1e-3, "no state is carried"


def test_ragged_pushes_give_the_text_of_the_whole_recording(quantized: Bundle, noise: Callable[[int], Samples]) -> None:
    samples = noise(20_000) * 3.0
    recognizer = Recognizer(quantized, endpoint_seconds=None, min_evidence=0.0)
    whole = recognizer.transcribe((samples, 16000)).text
    live = recognizer.stream()
    rest, events = samples, []
    for length in np.random.default_rng(3).integers(1, 2000, 100):
        events += live.accept(rest[:length])
        rest = rest[length:]
    events += live.finish()
    assert not len(rest)
    assert " ".join(event.text for event in events if event.type == "final") == whole != ""


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_log_probs_stay_close_to_float32(
    tiny_model: Any, bundle_of: Callable[..., Bundle], speech: list[Samples], precision: IntegerPrecision
) -> None:
    quantizer = Quantizer(bundle_of(tiny_model, FRAMES), speech, "auto")
    found = quantizer.divergence(quantizer.rewrite(quantizer.plan(precision)))
    assert 0.0 < found.kl < {"int8": 0.01, "int4": 0.5}[precision]
    assert found.sqnr_db > {"int8": 20.0, "int4": 5.0}[precision]
