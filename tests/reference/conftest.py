"""Fixtures that stream a layer, find what an output depends on, and train in two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Use one thread, so that sums are in the same order in every run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def stream() -> Callable[..., Tensor]:
    """Return a function that runs a layer on its input in pieces."""

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
    """Return a function that finds the last input position that an output depends on, by its gradient."""

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
    """Return a function that runs a script on a folder by torchrun, in two CPU processes, and returns its output."""

    def run(script: Path, folder: Path) -> str:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [*command, str(script), str(folder)], env=environment, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return run
