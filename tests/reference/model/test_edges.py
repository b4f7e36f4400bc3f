"""Models that pad every layer with zeros at both ends: a stream that is told the end equals the padded whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from edgespeech.errors import ConfigError
from edgespeech.reference.data.batches import Batch
from edgespeech.reference.model.config import FeatureConfig, ModelConfig, model_config_from
from edgespeech.reference.training.trainer import ctc_loss
from tests.tiny_models import PADDED_SHAPES

Noise = Callable[[int], NDArray[np.float32]]
every_kind = pytest.mark.parametrize("name", PADDED_SHAPES)
LENGTHS = [2000, 2079, 2080, 2159, 2560, 3333]


@pytest.fixture(scope="module")
def build(tiny_model_factory: Callable[..., Any]) -> Callable[[str], Any]:
    """Build a model with zeros at its edges; each kind is built once."""
    models: dict[str, Any] = {}
    return lambda name: models.setdefault(name, tiny_model_factory(**PADDED_SHAPES[name]))


@torch.no_grad()
def padded_whole(model: Any, samples: NDArray[np.float32]) -> Tensor:
    """Compute log-probabilities [frames, labels] without streaming: each layer sees the whole recording."""
    config, features = model.config, model.features
    left, right = config.features.padding
    padded = np.pad(samples, (left, right), mode="reflect" if config.features.reflect else "constant")
    x = features.log_spectrogram(torch.from_numpy(padded)[None])
    x = (x - features.mean[:, None]) * features.inverse_deviation[:, None]
    if features.running is not None:
        x = features.running.step(x, features.running.initial_state(1))[0]
    x = x.unsqueeze(1) if config.front_end == "2d" else x
    for convolution, layer in zip(model.convolutions, config.convolutions, strict=True):
        y = convolution.convolution(functional.pad(x, layer.padding))
        y = y if convolution.batch_norm is None else convolution.batch_norm(y)
        x = y.clamp(0, 20) if layer.activation == "clipped_relu" else y.relu()
    x = x.flatten(1, -2).transpose(1, 2)
    for recurrent in model.recurrents:
        x = recurrent(x)
    if model.lookahead is not None:
        tau, weight = config.lookahead_frames, model.lookahead.weight
        taps = functional.pad(x, (0, 0, 0, tau)).unfold(1, tau + 1, 1)
        x = torch.einsum("btwj,jw->btw", taps, weight).clamp(0, 20)
    for connected in model.connected:
        x = connected(x)
    log_probs: Tensor = model.output(x)[0]
    return log_probs


@torch.no_grad()
def stream(model: Any, samples: NDArray[np.float32], cuts: Sequence[int]) -> Tensor:
    """Push samples in pieces, tell the end with the last one, and continue with noise that must not matter."""
    frames, length = model.output_frames(len(samples)), len(samples)
    total = model.padded_samples(length) + model.config.frame_samples
    audio = torch.from_numpy(np.append(samples, np.random.default_rng(1).uniform(-1, 1, total - length)))[None].float()
    places = [0, *sorted(cut for cut in cuts if cut < length)]
    state, pieces = model.initial_state(1), []
    for start, end in zip(places, [*places[1:], total], strict=True):
        if end == total:
            state = {**state, "edges_left": torch.full((1, 1), float(length - start))}
            middle = start + (total - start) // 2
            y, state = model.step(audio[:, start:middle], state)
            pieces.append(y)
            start = middle
        y, state = model.step(audio[:, start:end], state)
        pieces.append(y)
    rows = torch.cat(pieces, dim=1)[0, model.delay_frames :]
    assert bool((rows[frames:, 0] == 0.0).all() and (rows[frames:, 1:] == -100.0).all()), "no blanks behind the end"
    return rows[:frames]


@every_kind
@pytest.mark.parametrize("length", LENGTHS)
def test_the_whole_equals_the_padded_formula(name: str, length: int, build: Any, noise: Noise) -> None:
    model, samples = build(name), noise(length)
    expected = padded_whole(model, samples)
    with torch.no_grad():
        ours, frames = model(torch.from_numpy(samples)[None], torch.tensor([length]))
    assert frames.tolist() == [len(expected)] == [model.output_frames(length)]
    torch.testing.assert_close(ours[0, : len(expected)], expected, atol=2e-4, rtol=0)


@every_kind
def test_chunked_equals_whole(name: str, build: Any, noise: Noise) -> None:
    model = build(name)
    for length in LENGTHS[1:3]:
        samples = noise(length)
        expected = padded_whole(model, samples)
        for size in (97, 160, 161, model.config.frame_samples, 3 * model.config.frame_samples, length):
            chunked = stream(model, samples, range(size, length, size))
            torch.testing.assert_close(chunked, expected, atol=2e-4, rtol=0)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(sorted(PADDED_SHAPES)),
    length=st.integers(1500, 3000),
    cuts=st.lists(st.integers(0, 3000), max_size=10),
)
def test_ragged_pushes_equal_whole(name: str, length: int, cuts: list[int], build: Any, noise: Noise) -> None:
    model, samples = build(name), noise(length)
    torch.testing.assert_close(stream(model, samples, cuts), padded_whole(model, samples), atol=2e-4, rtol=0)


@every_kind
def test_a_longer_recording_of_the_batch_does_not_change_the_outputs(name: str, build: Any, noise: Noise) -> None:
    model = build(name)
    batch = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(noise(n)) for n in LENGTHS], batch_first=True)
    with torch.no_grad():
        together, frames = model(batch, torch.tensor(LENGTHS))
    for row, length, count in zip(together, LENGTHS, frames.tolist(), strict=True):
        torch.testing.assert_close(row[:count], padded_whole(model, noise(length)), atol=2e-4, rtol=0)


@every_kind
def test_padding_does_not_change_the_training_loss_or_the_gradients(name: str, build: Any, noise: Noise) -> None:
    lengths, model = (16000, 20000), build(name)
    short = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(noise(n)) for n in lengths], batch_first=True)
    batch = Batch(short, torch.tensor(lengths), torch.tensor([3, 4, 4, 5, 6]), torch.tensor([3, 2]), ("", ""))
    kept, results = {name: value.clone() for name, value in model.state_dict().items()}, []
    for extra in (0, 3000):
        model.train()
        log_probs, frames = model(functional.pad(short, (0, extra)), batch.lengths)
        loss = ctc_loss(log_probs, frames, batch)
        results.append([loss.detach(), *torch.autograd.grad(loss, list(model.parameters()))])
        model.load_state_dict(kept)
        model.eval()
    assert float(results[0][0]) > 0
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)


@every_kind
def test_an_empty_recording_gives_no_frame(name: str, build: Any) -> None:
    log_probs, frames = build(name)(torch.zeros(2, 0), torch.tensor([0, 0]))
    assert frames.tolist() == [0, 0] and log_probs.shape[1] == 0


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("padding", [(4, 5), (6, 5), (5, 3), (5, 7)])
def test_a_wrong_padding_changes_the_outputs(layer: int, padding: tuple[int, int], build: Any, noise: Noise) -> None:
    model = build("gru-2d-reflect")
    samples, layers = noise(8000), list(model.config.convolutions)
    layers[layer] = msgspec.structs.replace(layers[layer], padding=padding)
    wrong = type(model)(msgspec.structs.replace(model.config, convolutions=tuple(layers)), model.labels)
    wrong.load_state_dict(model.state_dict())
    with torch.no_grad():
        ours = wrong.eval()(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))[0][0]
    expected = padded_whole(model, samples)
    count = min(len(ours), len(expected))
    assert float((ours[:count] - expected[:count]).abs().max()) > 1e-2


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        ('reflect needs edges = "zeros"', {"features": {"padding": [160, 160], "reflect": True}}),
        ("padding .* to reflect is not shorter", {
            "features": {"hop_samples": 80, "padding": [160, 160], "reflect": True}, "edges": "zeros",
            "convolutions": [{"channels": 4, "kernel": 3}]}),
        ("padding .* is not shorter than kernel 3", {"convolutions": [
            {"channels": 4, "kernel": 3, "padding": [3, 0]}]}),
        ("padding .* is not shorter than window_samples", {"features": {"padding": [0, 320]}}),
        ("longer than its padded input", {
            "front_end": "2d", "convolutions": [
                {"channels": 4, "kernel": 3, "frequency_kernel": 99, "frequency_padding": 0}]}),
        ("transform_samples .* is shorter", {"features": {"transform_samples": 256}}),
        ("lowest_hz .* is not below half", {"features": {"lowest_hz": 8000}}),
        ("prior_frames .* are more than", {"features": {"prior_frames": 4000}}),
    ],
)  # fmt: skip
def test_a_configuration_that_clashes_is_refused(reason: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=reason):
        model_config_from(fields)


def test_defaults_have_not_changed() -> None:
    assert model_config_from({}) == ModelConfig()
    assert (ModelConfig().edges, FeatureConfig().padding, FeatureConfig().gain) == ("silence", None, 1.0)
