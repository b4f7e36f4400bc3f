"""Masked batch norm equals torch's batch norm on the valid frames."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edgespeech.reference.model.layers import MaskedBatchNorm

LENGTHS = (9, 4, 1)
MASK = torch.arange(9)[None, :] < torch.tensor(LENGTHS)[:, None]
SHAPES = {
    "convolution1d": ((3, 5, 9), 1),
    "convolution2d": ((3, 5, 4, 9), 1),
    "recurrent": ((3, 9, 5), 2),
}
layouts = pytest.mark.parametrize(("shape", "channels"), SHAPES.values(), ids=SHAPES.keys())


def packed(x: Tensor, channels: int) -> Tensor:
    """Return the values of the valid frames as [values, channels], frame by frame."""
    time_first = x if channels == 2 else x.movedim(-1, 1)
    return time_first.movedim(time_first.dim() - 1 if channels == 2 else 2, -1)[MASK].reshape(-1, 5)


@layouts
def test_masked_batch_norm_equals_torch_on_valid_frames(shape: tuple[int, ...], channels: int) -> None:
    torch.manual_seed(0)
    ours, theirs = MaskedBatchNorm(5, channels), nn.BatchNorm1d(5, momentum=0.05)
    for layer in (ours, theirs):
        layer.weight.data = torch.linspace(0.5, 2.0, 5)
        layer.bias.data = torch.linspace(-1.0, 1.0, 5)
    for _ in range(3):
        x = torch.randn(shape) * 3 + 2
        expected = theirs(packed(x, channels))
        torch.testing.assert_close(packed(ours(x, MASK), channels), expected)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_variance, theirs.running_var)
    ours.eval(), theirs.eval()
    torch.testing.assert_close(packed(ours(x, MASK), channels), theirs(packed(x, channels)))


@layouts
def test_padding_does_not_affect_results_or_gradients(shape: tuple[int, ...], channels: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape)
    padded = x.clone()
    time_first = padded.movedim(1 if channels == 2 else -1, 1)
    time_first[~MASK] = 1e4
    results = []
    for value in (x, padded):
        layer = MaskedBatchNorm(5, channels)
        value.requires_grad_()
        output = packed(layer(value, MASK), channels)
        (gradient,) = torch.autograd.grad(output.square().sum() + output.pow(3).sum(), value)
        results.append((output, layer.running_mean, layer.running_variance, packed(gradient, channels)))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@layouts
def test_without_a_mask_all_frames_count(shape: tuple[int, ...], channels: int) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    all_valid, no_mask = MaskedBatchNorm(5, channels), MaskedBatchNorm(5, channels)
    torch.testing.assert_close(all_valid(x, torch.ones(3, 9, dtype=torch.bool)), no_mask(x))
    torch.testing.assert_close(all_valid.running_variance, no_mask.running_variance)


def test_a_batch_without_a_valid_frame_leaves_finite_statistics() -> None:
    layer = MaskedBatchNorm(5, 2)
    layer(torch.randn(2, 3, 5), torch.zeros(2, 3, dtype=torch.bool))
    assert bool(layer.running_mean.isfinite().all()) and bool(layer.running_variance.isfinite().all())


def test_evaluation_is_the_affine_map_of_scale_and_shift() -> None:
    layer = MaskedBatchNorm(5, 2).eval()
    layer.running_mean.normal_()
    layer.running_variance.uniform_(0.5, 2.0)
    x = torch.randn(2, 3, 5)
    scale, shift = layer.scale_and_shift()
    torch.testing.assert_close(layer(x), x * scale + shift)
