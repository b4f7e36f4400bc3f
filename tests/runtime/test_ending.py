"""Bundles of models that were trained with zeros behind the end of a recording: the stream tells them the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.errors import BundleError
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import MANIFEST, Bundle, load_bundle
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.recognizer import Recognizer
from tests.tiny_models import PADDED_SHAPES

Samples = NDArray[np.float32]
KINDS = ["gru-2d-reflect", "lstm-2d-kaldi"]


@pytest.fixture(scope="module", params=KINDS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: Any, tiny_model_factory: Any) -> tuple[Any, Bundle]:
    """A model with zeros at its edges, and its bundle with chunks of 80 ms."""
    checkpoint = pytest.importorskip("edgespeech.reference.model.checkpoint")
    export = pytest.importorskip("edgespeech.export.checkpoint_export")
    folder: Path = tmp_path_factory.mktemp("padded")
    model = tiny_model_factory(**PADDED_SHAPES[request.param])
    checkpoint.save_checkpoint(model, folder / "model.pt")
    request = export.ExportRequest(chunk_ms=80.0)
    sound = [np.random.default_rng(0).standard_normal(9000).astype(np.float32) * np.float32(0.1)]
    return model, export.export_model(export.load_trained(folder / "model.pt"), folder / "bundle", sound, request)


def whole(model: Any, samples: Samples) -> Samples:
    import torch

    with torch.no_grad():
        log_probs, frames = model(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
    found: Samples = log_probs[0, : int(frames[0])].numpy()
    return found


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Samples]:
    """The frames that any search decodes."""
    rows: list[Samples] = []
    step = BeamSearchDecoder.step

    def recorded(self: BeamSearchDecoder, log_probs: Samples, state: Any) -> Any:
        rows.append(log_probs)
        return step(self, log_probs, state)

    monkeypatch.setattr(BeamSearchDecoder, "step", recorded)
    return rows


@pytest.mark.parametrize("length", [9000, 8960, 9280, 9281])
@pytest.mark.parametrize("size", [333, 1280, 50000])
def test_finish_decodes_what_the_whole_recording_gives(
    length: int, size: int, exported: tuple[Any, Bundle], noise: Callable[[int], Samples], decoded: list[Samples]
) -> None:
    model, bundle = exported
    recognizer, samples = Recognizer(bundle, endpoint_seconds=50.0, empty_seconds=50.0), noise(length)
    stream = recognizer.stream()
    for start in range(0, length, size):
        stream.accept(samples[start : start + size])
    stream.finish()
    conditioner = recognizer.parts.conditioner
    rows = np.concatenate(decoded)
    expected = whole(model, conditioner.step(samples, conditioner.initial_state(), last=True)[0])
    assert len(expected) <= len(rows) <= len(expected) + 4
    np.testing.assert_allclose(rows[: len(expected)], expected, atol=2e-4)
    assert (rows[len(expected) :, 0] == 0.0).all(), "behind the end, the blank is certain"


def test_streams_of_a_batch_begin_and_end_by_themselves(
    exported: tuple[Any, Bundle], noise: Callable[[int], Samples]
) -> None:
    model, bundle = exported
    graph, facts = AcousticModel(bundle), bundle.manifest.audio
    size, delay = facts.chunk_samples, facts.delay_frames
    recordings, begins = [noise(6000), noise(4100), noise(5120)], [0, 3, 1]
    states = [graph.initial_state() for _ in recordings]
    rows: list[list[Samples]] = [[] for _ in recordings]
    for number in range(12):
        running = [i for i, begin in enumerate(begins) if begin <= number]
        chunks = []
        for i in running:
            start = (number - begins[i]) * size
            if 0 <= (left := len(recordings[i]) - start) < size:
                states[i] = graph.ending(states[i], left)
            piece = recordings[i][start : start + size]
            chunks.append(np.pad(piece, (0, size - len(piece)), constant_values=0.3))
        together = {name: np.concatenate([states[i][name] for i in running]) for name in states[0]}
        outputs, after = graph.step(np.stack(chunks), together)
        for place, i in enumerate(running):
            rows[i].append(outputs[place])
            states[i] = {name: value[place : place + 1] for name, value in after.items()}
    for samples, pieces in zip(recordings, rows, strict=True):
        expected = whole(model, samples)
        np.testing.assert_allclose(np.concatenate(pieces)[delay:][: len(expected)], expected, atol=2e-4)


def test_without_its_end_a_recording_ends_otherwise(
    exported: tuple[Any, Bundle], noise: Callable[[int], Samples]
) -> None:
    model, bundle = exported
    facts, samples = bundle.manifest.audio, noise(9000)
    length = model.padded_samples(len(samples)) + facts.frame_samples
    rows = AcousticModel(bundle).stream(np.pad(samples, (0, length - len(samples)))[None])[0]
    assert not (rows[-1] == [0.0] + [-100.0] * (rows.shape[1] - 1)).all()


def test_the_state_must_exist(exported: tuple[Any, Bundle], tmp_path: Path) -> None:
    _, bundle = exported
    other = tmp_path / "bundle"
    other.mkdir()
    for path in bundle.folder.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    described = msgspec.json.decode((other / MANIFEST).read_bytes())
    assert described["audio"]["end_state"] == "edges_left"
    described["audio"]["end_state"] = "elsewhere"
    (other / MANIFEST).write_bytes(msgspec.json.encode(described))
    with pytest.raises(BundleError, match="end_state 'elsewhere' is not the name of a state"):
        load_bundle(other)


def test_other_models_have_no_end(tiny_bundle: Bundle) -> None:
    model = AcousticModel(tiny_bundle)
    state = model.initial_state()
    assert model.ending(state, 17) is state
    assert b"end_state" not in (tiny_bundle.folder / MANIFEST).read_bytes()
