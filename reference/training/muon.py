"""Muon: momentum whose matrices are orthogonalised before they are applied; for weight matrices only.

`torch.optim.Muon` always multiplies in bfloat16: on a CPU without such instructions its step took 24 times as long as
this one in float32. Here the matrices are also divided among the workers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, distributed, nn

# Coefficients of a quintic that moves every singular value into about [0.7, 1.2] in five iterations (Jordan, 2024).
QUINTIC = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
# With singular values of 1 the entries have an RMS of 1 / sqrt(longer side); AdamW's updates have one of about 0.2.
UPDATE_SIZE = 0.2


def orthogonal(matrix: Tensor, precision: torch.dtype = torch.float32) -> Tensor:
    """Return [rows, columns] with the singular vectors of `matrix` and singular values near 1, by Newton-Schulz."""
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    wide = (wide / (wide.norm() + 1e-7)).to(precision)
    linear, cubic, quintic = QUINTIC
    for _ in range(ITERATIONS):
        square = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(square, square, square, beta=cubic, alpha=quintic), wide, beta=linear)
    return (wide.T if matrix.shape[0] > matrix.shape[1] else wide).to(matrix.dtype)


def _fast_type(device: torch.device) -> torch.dtype:
    fast = torch.cpu._is_amx_tile_supported() if device.type == "cpu" else torch.cuda.is_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


class Muon(torch.optim.Optimizer):
    """Orthogonalised Nesterov momentum with decoupled weight decay (Jordan, 2024; scaled as in arXiv 2502.16982).

    The scale makes an update as large as one of AdamW, so both use the same learning rate. Kernels of convolutions
    count as matrices [channels, rest]. In a process group every worker computes a part of the matrices; gradients must
    be equal.
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float, momentum: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update the parameters that have a gradient."""
        world = distributed.get_world_size() if distributed.is_initialized() else 1
        rank = distributed.get_rank() if world > 1 else 0
        for group in self.param_groups:
            updated = [parameter for parameter in group["params"] if parameter.grad is not None]
            directions = [self._momentum(parameter, group["momentum"]) for parameter in updated]
            for turn, direction in enumerate(directions):
                if turn % world == rank:
                    precision = _fast_type(direction.device)
                    direction.copy_(orthogonal(direction.flatten(1), precision).view_as(direction))
            for turn, (parameter, direction) in enumerate(zip(updated, directions, strict=True)):
                if world > 1:
                    distributed.broadcast(direction, turn % world)
                longer = max(direction.flatten(1).shape)
                parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
                parameter.add_(direction, alpha=-group["lr"] * UPDATE_SIZE * math.sqrt(longer))

    def _momentum(self, parameter: Tensor, momentum: float) -> Tensor:
        assert parameter.grad is not None
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        average: Tensor = state["momentum"].lerp_(parameter.grad, 1.0 - momentum)
        return parameter.grad.lerp(average, momentum)
