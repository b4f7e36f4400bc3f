"""The whole model from samples to log-probabilities, whole and as a stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from edgespeech.reference.data.batches import Batch
from edgespeech.reference.model.config import ConvolutionConfig, FeatureConfig
from edgespeech.reference.training.trainer import ctc_loss

Noise = Callable[[int], NDArray[np.float32]]
SHORT = FeatureConfig(window_samples=16, hop_samples=8, bins=8)  # a frame is 32 samples: short tests
LENGTH = 261
SHAPES: dict[str, dict[str, Any]] = {
    **{
        f"{cell}-{front}": {"cell": cell, "front_end": front}
        for cell in ("gru", "lstm", "rnn")
        for front in ("1d", "2d")
    },
    "no-lookahead": {"lookahead_frames": 0},
    "no-batch-norm": {"batch_norm": False},
    "kernel-is-stride": {
        "convolutions": (
            ConvolutionConfig(channels=6, kernel=2, stride=2),
            ConvolutionConfig(channels=5, kernel=2, stride=2),
        )
    },
    "hop-is-window": {"features": FeatureConfig(window_samples=8, hop_samples=8, bins=4)},
    "one-layer-linear": {
        "layers": 1,
        "features": FeatureConfig(window_samples=16, hop_samples=8, scale="linear", window="hamming"),
    },
}
every_kind = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())


@pytest.fixture(scope="module")
def build(tiny_model_factory: Callable[..., Any]) -> Callable[[dict[str, Any]], Any]:
    """Build a model with short frames; each kind is built once."""
    models: dict[str, Any] = {}
    return lambda shape: models.setdefault(str(shape), tiny_model_factory(**{"features": SHORT, **shape}))


@torch.no_grad()
def whole(model: Any, samples: Tensor) -> Tensor:
    log_probs: Tensor = model(samples, torch.full((len(samples),), samples.shape[1]))[0]
    return log_probs


def padded(model: Any, samples: Tensor) -> Tensor:
    return torch.nn.functional.pad(samples, (0, model.padded_samples(samples.shape[1]) - samples.shape[1]))


@every_kind
def test_chunked_equals_whole(shape: Any, build: Any, stream: Callable[..., Tensor], noise: Noise) -> None:
    model = build(shape)
    length = 131
    samples = torch.from_numpy(np.stack([noise(length), noise(length + 1)[1:]]))
    expected = whole(model, samples)
    assert expected.shape == (2, 5, len(model.labels))
    extended = padded(model, samples)
    sizes = range(1, extended.shape[1] + 1) if shape == SHAPES["gru-1d"] else [1, 7, 31, 32, 33, 64, length]
    for size in sizes:
        chunked = stream(model, extended, range(size, extended.shape[1], size), 1)
        torch.testing.assert_close(chunked[:, model.delay_frames :], expected, atol=2e-4, rtol=0)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=st.sampled_from(sorted(SHAPES)), cuts=st.lists(st.integers(0, 400), max_size=10))
def test_ragged_pushes_equal_whole(
    name: str, cuts: list[int], build: Any, stream: Callable[..., Tensor], noise: Noise
) -> None:
    model = build(SHAPES[name])
    samples = torch.from_numpy(noise(LENGTH))[None]
    chunked = stream(model, padded(model, samples), cuts, 1)
    torch.testing.assert_close(chunked[:, model.delay_frames :], whole(model, samples), atol=2e-4, rtol=0)


@every_kind
def test_interleaved_streams_do_not_disturb_each_other(shape: Any, build: Any, noise: Noise) -> None:
    model = build(shape)
    inputs = [padded(model, torch.from_numpy(noise(LENGTH + i))[None]) for i in (0, 1)]
    states, outputs = [model.initial_state(1), model.initial_state(1)], [[], []]  # type: ignore[var-annotated]
    with torch.no_grad():
        for start in range(0, inputs[1].shape[1], 100):
            for i in (0, 1):
                log_probs, states[i] = model.step(inputs[i][:, start : start + 100], states[i])
                outputs[i].append(log_probs)
    for i in (0, 1):
        expected = whole(model, torch.from_numpy(noise(LENGTH + i))[None])
        torch.testing.assert_close(torch.cat(outputs[i], 1)[:, model.delay_frames :], expected, atol=2e-4, rtol=0)


@every_kind
def test_the_delay_is_exactly_the_look_ahead(shape: Any, build: Any, noise: Noise) -> None:
    model = build(shape)
    samples = torch.from_numpy(noise(LENGTH * 2))[None]
    frame, before = model.config.frame_samples, whole(model, samples)
    for t in (0, 1, 5, 9):
        end = (t + model.delay_frames + 1) * frame
        later, within = samples.clone(), samples.clone()
        later[:, end:] = 0.9
        within[:, end - frame // 2 : end] = 0.9
        torch.testing.assert_close(whole(model, later)[:, : t + 1], before[:, : t + 1], atol=1e-6, rtol=0)
        if t + model.delay_frames < before.shape[1]:
            changed = (whole(model, within) - before).abs().amax(dim=(0, 2)) > 1e-4
            assert bool(changed.any())
            assert int(changed.nonzero()[0]) == t


@every_kind
def test_batch_padding_does_not_change_valid_outputs(shape: Any, build: Any, noise: Noise) -> None:
    model = build(shape)
    lengths = (LENGTH, 100, 33, 32, 1)
    alone = [whole(model, torch.from_numpy(noise(n))[None])[0] for n in lengths]
    batch = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(noise(n)) for n in lengths], batch_first=True)
    with torch.no_grad():
        together, frames = model(batch, torch.tensor(lengths))
    assert frames.tolist() == [len(one) for one in alone] == [model.output_frames(n) for n in lengths]
    for i, one in enumerate(alone):
        torch.testing.assert_close(together[i, : len(one)], one, atol=2e-4, rtol=0)


@every_kind
def test_padding_does_not_change_the_training_loss_or_the_gradients(shape: Any, build: Any, noise: Noise) -> None:
    lengths = (LENGTH, 160)
    short = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(noise(n)) for n in lengths], batch_first=True)
    batch = Batch(short, torch.tensor(lengths), torch.tensor([3, 4, 4, 5, 6]), torch.tensor([3, 2]), ("", ""))
    results = []
    for extra in (0, 1000):
        model = build(shape)
        model.load_state_dict(kept := {name: value.clone() for name, value in model.state_dict().items()})
        model.train()
        log_probs, frames = model(torch.nn.functional.pad(short, (0, extra)), batch.lengths)
        loss = ctc_loss(log_probs, frames, batch)
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        statistics = [value.clone() for name, value in model.named_buffers() if "running" in name]
        results.append([loss.detach(), *gradients, *statistics])
        model.load_state_dict(kept)
        model.eval()
    assert float(results[0][0]) > 0
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)


@every_kind
def test_an_empty_recording_gives_no_frame(shape: Any, build: Any) -> None:
    log_probs, frames = build(shape)(torch.zeros(2, 0), torch.tensor([0, 0]))
    assert frames.tolist() == [0, 0]
    assert log_probs.shape[1] == 0


@every_kind
def test_rows_are_probabilities(shape: Any, build: Any, noise: Noise) -> None:
    log_probs = whole(build(shape), torch.from_numpy(noise(LENGTH))[None])
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(1, log_probs.shape[1]), atol=1e-5, rtol=0)


def test_states_are_named_after_their_stages(tiny_model_factory: Callable[..., Any]) -> None:
    model = tiny_model_factory(cell="lstm", layers=2)
    assert {name: tuple(value.shape[1:]) for name, value in model.initial_state(3).items()} == {
        "features_context": (160,),
        "convolution0_context": (16, 3),
        "convolution1_context": (6, 1),
        "recurrent0_hidden": (12,),
        "recurrent0_cell": (12,),
        "recurrent1_hidden": (12,),
        "recurrent1_cell": (12,),
        "lookahead_context": (3, 12),
    }


def test_states_of_many_layers_do_not_mix(
    tiny_model_factory: Callable[..., Any], stream: Callable[..., Tensor], noise: Noise
) -> None:
    model = tiny_model_factory(features=SHORT, layers=12, hidden=3)
    samples = torch.from_numpy(noise(150))[None]
    chunked = stream(model, padded(model, samples), range(25, 450, 25), 1)
    torch.testing.assert_close(chunked[:, model.delay_frames :], whole(model, samples), atol=2e-4, rtol=0)
