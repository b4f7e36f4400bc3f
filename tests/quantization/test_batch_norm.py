"""Calibrated statistics are those of torch's own batch norm, fed with the frames of one recording at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from edgespeech.errors import UsageError, VerificationError
from edgespeech.quantization.batch_norm import (
    Moments,
    calibrate_batch_norm,
    count_batch_norms,
    movement_table,
)
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.reference.model.layers import MaskedBatchNorm

Samples = NDArray[np.float32]


@pytest.fixture
def recordings(noise: Callable[[int], Samples]) -> list[Samples]:
    """Five recordings of different length and loudness, all but one with an incomplete last frame."""
    return [noise(length) * gain for length, gain in ((9000, 1), (6400, 2), (15001, 0.1), (4321, 1), (12345, 0.5))]


def norms(model: DeepSpeech2) -> dict[str, MaskedBatchNorm]:
    return {name: module for name, module in model.named_modules() if isinstance(module, MaskedBatchNorm)}


def spoil(model: DeepSpeech2) -> DeepSpeech2:
    spoiled = copy.deepcopy(model)
    for norm in norms(spoiled).values():
        norm.running_mean.add_(3.0).mul_(-2.0)
        norm.running_variance.mul_(50.0).add_(1.0)
    return spoiled


def torch_statistics(model: DeepSpeech2, recordings: list[Samples], name: str) -> nn.BatchNorm1d:
    """Measure the input of a batch norm with `nn.BatchNorm1d`, one recording at a time, so that nothing is padded."""
    norm = norms(model)[name]
    frames: list[torch.Tensor] = []

    def collect(_: nn.Module, inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
        channels_last = inputs[0].movedim(norm.channel_dim, -1)
        if model.edges is not None:  # what comes before the recording and behind it does not count
            time = 2 if name.startswith("convolutions") and channels_last.dim() == 4 else 1
            channels_last = channels_last.movedim(time, 0)[inputs[1][0]]
        frames.append(channels_last.reshape(-1, channels_last.shape[-1]).double())

    hook = norm.register_forward_pre_hook(collect)
    with torch.no_grad():
        for one in recordings:
            model(torch.from_numpy(one)[None], torch.tensor([len(one)]))
    hook.remove()
    reference = nn.BatchNorm1d(frames[0].shape[1], momentum=None).double()
    packed = torch.cat(frames)
    reference(packed)
    assert reference.running_var is not None
    reference.running_var *= (len(packed) - 1) / len(packed)  # torch keeps the unbiased estimate
    return reference


def log_probs(model: DeepSpeech2, samples: Samples) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))[0]
        return result


@pytest.fixture
def normalised(tiny_model: DeepSpeech2) -> DeepSpeech2:
    """A small model of every kind that has batch norm."""
    if not tiny_model.config.batch_norm:
        pytest.skip("no batch norm")
    return tiny_model


def test_statistics_are_those_of_torch_on_packed_frames(normalised: DeepSpeech2, recordings: list[Samples]) -> None:
    calibrated, movements = calibrate_batch_norm(normalised, recordings)
    names = list(norms(calibrated))
    assert [movement.layer for movement in movements] == [name.removesuffix(".batch_norm") for name in names]
    assert names == ["convolutions.0.batch_norm", "convolutions.1.batch_norm", "recurrents.1.batch_norm",
                     "output.batch_norm"]  # fmt: skip
    for name, norm in norms(calibrated).items():
        reference = torch_statistics(calibrated, recordings, name)
        torch.testing.assert_close(norm.running_mean.double(), reference.running_mean, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(norm.running_variance.double(), reference.running_var, rtol=1e-5, atol=1e-5)


def test_input_is_normalised_after_calibration(normalised: DeepSpeech2, recordings: list[Samples]) -> None:
    calibrated, _ = calibrate_batch_norm(normalised, recordings)
    _, again = calibrate_batch_norm(calibrated, recordings)
    assert max(movement.mean_largest for movement in again) < 1e-6
    assert max(movement.deviation_largest for movement in again) < 1e-6


def test_batch_size_and_order_do_not_matter(tiny_model: DeepSpeech2, recordings: list[Samples]) -> None:
    alone, _ = calibrate_batch_norm(tiny_model, recordings, batch_seconds=0.1)
    together, _ = calibrate_batch_norm(tiny_model, recordings[::-1], batch_seconds=1000.0)
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(together.state_dict()[name], value, rtol=2e-5, atol=2e-5)


def test_wrong_statistics_are_repaired(normalised: DeepSpeech2, recordings: list[Samples]) -> None:
    healthy, _ = calibrate_batch_norm(normalised, recordings)
    spoiled = spoil(healthy)
    repaired, movements = calibrate_batch_norm(spoiled, recordings)
    assert (log_probs(spoiled, recordings[0]) - log_probs(healthy, recordings[0])).abs().max() > 0.01
    torch.testing.assert_close(log_probs(repaired, recordings[0]), log_probs(healthy, recordings[0]))
    assert min(movement.deviation_rms for movement in movements) > 0.5


def test_movement_is_in_units_of_the_old_deviation(
    tiny_model_factory: Callable[..., DeepSpeech2], recordings: list[Samples]
) -> None:
    healthy, _ = calibrate_batch_norm(tiny_model_factory(), recordings)
    moved = copy.deepcopy(healthy)
    norm = norms(moved)["output.batch_norm"]
    deviation = (norm.running_variance + norm.epsilon).sqrt()
    norm.running_mean[3] += 0.5 * deviation[3]
    norm.running_variance[5] = (2.0 * deviation[5]).square() - norm.epsilon
    _, movements = calibrate_batch_norm(moved, recordings)
    movement = movements[-1]
    assert movement.mean_largest == pytest.approx(0.5, abs=1e-4)
    assert movement.mean_rms == pytest.approx(0.5 / 12**0.5, abs=1e-4)
    assert movement.deviation_largest == pytest.approx(np.log(2.0), abs=1e-4)
    assert movement.deviation_rms == pytest.approx(np.log(2.0) / 12**0.5, abs=1e-4)
    frames = sum(moved.output_frames(len(one)) + moved.delay_frames for one in recordings)
    assert [one.frames for one in movements] == [2 * frames, frames, frames, frames]
    assert movement_table(movements).rows[-1] == ("output", str(frames), "0.144", "0.500", "1.222", "2.000")


def test_the_given_model_is_not_changed(tiny_model: DeepSpeech2, recordings: list[Samples]) -> None:
    tiny_model.train()
    before = copy.deepcopy(tiny_model.state_dict())
    calibrated, _ = calibrate_batch_norm(tiny_model, recordings)
    assert tiny_model.training and not calibrated.training
    for name, value in tiny_model.state_dict().items():
        assert torch.equal(value, before[name])
        moved = name.endswith(("running_mean", "running_variance"))
        assert torch.equal(calibrated.state_dict()[name], value) is not moved
    assert not any(norm._forward_pre_hooks for norm in norms(calibrated).values())


def test_without_batch_norm_nothing_changes(
    tiny_model_factory: Callable[..., DeepSpeech2], recordings: list[Samples]
) -> None:
    model = tiny_model_factory(batch_norm=False)
    calibrated, movements = calibrate_batch_norm(model, recordings)
    assert (count_batch_norms(model), movements) == (0, [])
    for name, value in model.state_dict().items():
        assert torch.equal(calibrated.state_dict()[name], value)


def test_progress_counts_every_pass(tiny_model_factory: Callable[..., DeepSpeech2], recordings: list[Samples]) -> None:
    model, processed = tiny_model_factory(), list[int]()
    calibrate_batch_norm(model, recordings, processed.append)
    assert sum(processed) == count_batch_norms(model) * len(recordings) == 20


@pytest.mark.parametrize("speech", [[], [np.empty(0, np.float32)]])
def test_speech_without_samples_is_refused(
    tiny_model_factory: Callable[..., DeepSpeech2], speech: list[Samples]
) -> None:
    with pytest.raises(UsageError, match="no samples"):
        calibrate_batch_norm(tiny_model_factory(), speech)


def test_an_input_that_is_not_finite_is_refused(
    tiny_model_factory: Callable[..., DeepSpeech2], recordings: list[Samples]
) -> None:
    model = tiny_model_factory()
    with torch.no_grad():
        model.get_parameter("recurrents.0.rnn.bias_ih_l0").fill_(float("nan"))
    with pytest.raises(VerificationError, match=r"^recurrents\.1: .*not finite"):
        calibrate_batch_norm(model, recordings)


def test_moments_of_parts_are_those_of_the_whole() -> None:
    values = 1e4 + torch.randn(1000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 1e-3
    joined = Moments.of(values[:1]) + Moments.of(values[:0]) + Moments.of(values[1:300]) + Moments.of(values[300:])
    variance, mean = torch.var_mean(values, 0, correction=0)
    assert joined.count == 1000
    torch.testing.assert_close(joined.mean, mean, rtol=1e-14, atol=0.0)
    torch.testing.assert_close(joined.variance, variance, rtol=1e-8, atol=0.0)
