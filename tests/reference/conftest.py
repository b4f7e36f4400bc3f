"""Ways to look at a streaming layer from outside, and to train in two processes, which tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor


@pytest.fixture(scope="session")
def stream() -> Callable[..., Tensor]:
    """The output of a layer that gets its input in pieces."""

    def run(layer: Any, x: Tensor, cuts: Sequence[int], time: int, time_out: int | None = None) -> Tensor:
        edges = [0, *sorted(cut for cut in cuts if cut <= x.shape[time]), x.shape[time]]
        state, pieces = layer.initial_state(len(x)), []
        with torch.no_grad():
            for start, end in zip(edges, edges[1:], strict=False):
                before = {name: value.clone() for name, value in state.items()}
                y, new = layer.step(x.narrow(time, start, end - start), state)
                assert all(torch.equal(before[name], value) for name, value in state.items()), "a state was changed"
                state = new
                pieces.append(y)
        return torch.cat(pieces, dim=time if time_out is None else time_out)

    return run


@pytest.fixture(scope="session")
def last_seen() -> Callable[..., int]:
    """The last position of the input that an output depends on, from the gradient."""

    def find(layer: Callable[[Tensor], Tensor], x: Tensor, time: int, output: int, time_out: int | None = None) -> int:
        x = x.clone().requires_grad_()
        y = layer(x).select(time if time_out is None else time_out, output)
        weights = torch.linspace(0.5, 1.5, y.numel()).reshape(y.shape)
        (gradient,) = torch.autograd.grad((y * weights).sum(), x)
        others = [dim for dim in range(x.dim()) if dim != time]
        return int(gradient.abs().sum(others).nonzero().max())

    return find


@pytest.fixture(scope="session")
def in_two_workers() -> Callable[[Path, Path], str]:
    """Run a script on a folder by torchrun, in two processes on CPUs; what it printed."""

    def run(script: Path, folder: Path) -> str:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [*command, str(script), str(folder)], env=environment, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return run
