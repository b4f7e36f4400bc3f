"""An LSTM operator in int8: exactly equal alone and in a batch, chunked and whole, and close to float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edgespeech.quantization.quantizer import Quantizer, quantize
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.recognizer import Recognizer
from tests.tiny_models import PADDED_SHAPES

Samples = NDArray[np.float32]


KINDS = {"1d": {"front_end": "1d"}, "2d": {"front_end": "2d"}, "padded": PADDED_SHAPES["lstm-2d-kaldi"]}


@pytest.fixture(scope="module", params=KINDS)
def small(
    request: pytest.FixtureRequest,
    bundle_of: Callable[..., Bundle],
    tiny_model_factory: Callable[..., Any],
    speech: list[Samples],
    tmp_path_factory: pytest.TempPathFactory,
) -> Bundle:
    """Bundles of two LSTMs above convolutions over time, over frequency and time, and with zeros at their edges."""
    full = bundle_of(tiny_model_factory(**{"cell": "lstm", "hidden": 20, **KINDS[request.param]}), form="fused")
    return quantize(full, tmp_path_factory.mktemp("int8") / "int8", "int8", speech, calibration="minmax")


def test_each_layer_is_one_operator(small: Bundle) -> None:
    assert (small.manifest.graph.form, small.manifest.graph.precision) == ("fused", "int8")
    operators = [node.op_type for node in onnx.load(str(small.acoustic_path)).graph.node]
    assert operators.count("DynamicQuantizeLSTM") == 2 and "LSTM" not in operators


def test_chunked_equals_whole_bit_for_bit(small: Bundle, noise: Callable[[int], Samples]) -> None:
    model, frame = AcousticModel(small), small.manifest.audio.frame_samples
    samples = noise(30 * frame)[None] * np.linspace(0.01, 30.0, 30 * frame, dtype=np.float32)
    whole = model.stream(samples, 30 * frame)
    assert np.ptp(whole, axis=1).max() > 0.1, "the output is constant"
    for frames in (1, 2, 3, 5, 10, 15):
        np.testing.assert_array_equal(model.stream(samples, frames * frame), whole)


def test_a_stream_is_independent_of_its_neighbours_in_a_batch(small: Bundle, noise: Callable[[int], Samples]) -> None:
    model = AcousticModel(small)
    size = 12 * model.audio.chunk_samples
    quiet, loud = noise(size) * 0.05, noise(size)[::-1] * 100.0
    alone = model.stream(quiet[None])[0]
    for batch in ([quiet, loud], [loud, quiet], [loud, loud, quiet, loud, loud], [quiet, *[loud] * 16]):
        beside = model.stream(np.stack(batch))
        for row, samples in enumerate(batch):
            if samples is quiet:
                np.testing.assert_array_equal(beside[row], alone)


def test_a_new_stream_can_join_a_running_one(small: Bundle, noise: Callable[[int], Samples]) -> None:
    model = AcousticModel(small)
    size = model.audio.chunk_samples
    old, new = noise(9 * size), noise(4 * size) * 5.0
    alone_old, alone_new = model.stream(old[None])[0], model.stream(new[None])[0]
    state = model.initial_state()
    for start in range(0, 5 * size, size):
        _, state = model.step(old[None, start : start + size], state)
    state = {name: np.concatenate([value, model.initial_state()[name]]) for name, value in state.items()}
    rows = []
    for start in range(0, 4 * size, size):
        both = np.stack([old[5 * size + start :][:size], new[start : start + size]])
        log_probs, state = model.step(both, state)
        rows.append(log_probs)
    joined = np.concatenate(rows, axis=1)
    np.testing.assert_array_equal(joined[0], alone_old[-joined.shape[1] :])
    np.testing.assert_array_equal(joined[1], alone_new)


def test_ragged_pushes_give_the_text_of_the_whole_recording(small: Bundle, noise: Callable[[int], Samples]) -> None:
    samples = noise(20_000) * 3.0
    recognizer = Recognizer(small, endpoint_seconds=None, min_evidence=0.0)
    whole = recognizer.transcribe((samples, 16000)).text
    stream, rest, events = recognizer.stream(), samples, []
    for length in np.random.default_rng(3).integers(1, 2000, 100):
        events += stream.accept(rest[:length])
        rest = rest[length:]
    events += stream.finish()
    assert not len(rest)
    assert " ".join(event.text for event in events if event.type == "final") == whole != ""


def test_log_probs_stay_close_to_float32(fused: Bundle, speech: list[Samples]) -> None:
    quantizer = Quantizer(fused, speech, "auto")
    found = quantizer.divergence(quantizer.rewrite(quantizer.plan("int8")))
    assert 0.0 < found.kl < 0.005 and found.sqnr_db > 25.0


def test_a_kept_layer_stays_an_lstm_operator(fused: Bundle, speech: list[Samples], tmp_path: Path) -> None:
    written = quantize(fused, tmp_path / "k", "int8", speech, calibration="minmax", keep=["recurrent0"])
    operators = {node.name: node.op_type for node in onnx.load(str(written.acoustic_path)).graph.node}
    assert (operators["recurrent0"], operators["recurrent1"]) == ("LSTM", "DynamicQuantizeLSTM")
