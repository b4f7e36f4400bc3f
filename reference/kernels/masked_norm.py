"""Masked batch norm for bfloat16 training on a CPU: two passes over the data each way, where torch takes about 20."""

from __future__ import annotations

import ctypes
from functools import partial
from typing import Any

import torch
from torch import Tensor

from edgespeech.reference.kernels.native import address, compiled


def fits(x: Tensor, mask: Tensor | None) -> bool:
    """Return whether `normalise` supports the input: bfloat16 on a CPU, three dimensions, with a mask."""
    cpu = x.device.type == "cpu" and x.dtype == torch.bfloat16
    return cpu and x.dim() == 3 and mask is not None and compiled("masked_norm") is not None


def normalise(
    x: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, epsilon: float, channels_last: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise all frames by the mean and variance of the valid frames, which it also returns (float32 [channels]).

    x is bfloat16 [batch, time, channels] if ``channels_last``, else [batch, channels, time]; ``mask`` is bool
    [batch, time], true for the first frames of each recording; ``weight`` and ``bias`` are float32 [channels]. The
    mean and the population variance have no gradient.
    """
    valid = mask.sum(1)
    normal, mean, variance = _MaskedNorm.apply(x, valid, weight, bias, epsilon, channels_last)  # type: ignore[no-untyped-call]
    return normal, mean, variance


class _MaskedNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, valid: Tensor, weight: Tensor, bias: Tensor, epsilon: float, channels_last: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        x = x.contiguous()
        sums, combine, every = _functions(x, channels_last)
        count = valid.sum().clamp(min=1)
        total, square = sums(valid, x, x)
        mean = total / count
        variance = (square / count - mean.square()).clamp(min=0.0)
        inverse = (variance + epsilon).rsqrt().float()
        mean, variance = mean.float(), variance.float()
        scale = weight * inverse
        y = combine(every, x, scale, x, torch.zeros_like(scale), bias - mean * scale)
        ctx.save_for_backward(x, valid, weight, mean, inverse)
        ctx.channels_last = channels_last
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, valid, weight, mean, inverse = ctx.saved_tensors
        gradient = gradients[0].to(torch.bfloat16).contiguous()
        sums, combine, every = _functions(x, ctx.channels_last)
        total, product = sums(every, gradient, x)
        through = (product - mean * total).float()
        count, scale = valid.sum().clamp(min=1), weight * inverse
        by_x = -through * scale * inverse.square() / count
        plus = -scale * total.float() / count - by_x * mean
        x_gradient = combine(valid, gradient, scale, x, by_x, plus)
        return x_gradient, None, through * inverse, total.float(), None, None


def _functions(x: Tensor, channels_last: bool) -> tuple[Any, Any, Tensor]:
    library = compiled("masked_norm")
    assert library is not None
    batch, time, channels = x.shape if channels_last else (x.shape[0], x.shape[2], x.shape[1])
    shape = (int(channels_last), batch, time, channels)
    every = torch.full((batch,), time)
    return partial(_sums, library, shape), partial(_combine, library, shape), every


def _sums(library: ctypes.CDLL, shape: tuple[int, ...], valid: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    results = torch.zeros(2, shape[-1], dtype=torch.float64)
    library.norm_sums(*shape, *(address(tensor) for tensor in (valid, a, b, results[0], results[1])))
    return results[0], results[1]


def _combine(
    library: ctypes.CDLL, shape: tuple[int, ...], valid: Tensor, a: Tensor, by_a: Tensor, b: Tensor, *rest: Tensor
) -> Tensor:
    y = torch.empty_like(a)
    library.norm_combine(*shape, *(address(tensor) for tensor in (valid, a, by_a, b, *rest, y)))
    return y
