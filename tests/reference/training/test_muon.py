"""Muon makes orthogonal updates, the same in one process and in two."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import nn

from edgespeech.reference.training.muon import UPDATE_SIZE, Muon, orthogonal
from edgespeech.reference.training.workers import Workers


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (8, 8)])
def test_singular_values_become_about_one_and_directions_stay(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape) * 3.0
    result = orthogonal(matrix)
    assert result.shape == matrix.shape
    values = torch.linalg.svdvals(result)
    assert 0.6 < float(values.min()) and float(values.max()) < 1.3
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    turned = left.T @ result @ right.T
    assert float((turned - torch.diag(torch.diag(turned))).abs().max()) < 1e-4


def test_an_update_is_as_large_as_one_of_adamw() -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(40, 3, 7))
    before = weight.detach().clone()
    weight.grad = torch.randn_like(weight) * 1e-3
    Muon([weight], lr=0.1, momentum=0.95, weight_decay=0.0).step()
    size = float((weight.detach() - before).square().mean().sqrt())
    assert size == pytest.approx(0.1 * UPDATE_SIZE, rel=0.25)


def test_weights_decay_and_unused_ones_stay() -> None:
    used, unused = nn.Parameter(torch.ones(4, 4)), nn.Parameter(torch.ones(4, 4))
    used.grad = torch.zeros(4, 4)
    Muon([used, unused], lr=0.1, momentum=0.95, weight_decay=0.5).step()
    torch.testing.assert_close(used.detach(), torch.full((4, 4), 0.95))
    assert torch.equal(unused.detach(), torch.ones(4, 4))


def test_a_least_squares_problem_is_solved() -> None:
    torch.manual_seed(0)
    inputs, wanted = torch.randn(200, 12), torch.randn(12, 5)
    weight = nn.Parameter(torch.zeros(12, 5))
    optimiser = Muon([weight], lr=0.1, momentum=0.9, weight_decay=0.0)
    for step in range(200):
        optimiser.param_groups[0]["lr"] = 0.1 * (1.0 - step / 200)
        weight.grad = inputs.T @ (inputs @ weight.detach() - inputs @ wanted) / 200
        optimiser.step()
    assert float((weight.detach() - wanted).abs().max()) < 0.05


def _updated() -> list[torch.Tensor]:
    torch.manual_seed(0)
    weights = [nn.Parameter(torch.randn(6, 9)) for _ in range(3)]
    optimiser = Muon(weights, lr=0.1, momentum=0.95, weight_decay=0.1)
    for _ in range(2):
        for weight in weights:
            weight.grad = torch.randn_like(weight)
        optimiser.step()
    return [weight.detach() for weight in weights]


def _threads() -> set[str]:
    """Return the names of this process's threads on Linux; an empty set elsewhere."""
    found = set()
    for file in Path("/proc/self/task").glob("*/comm"):
        with suppress(OSError):  # ended meanwhile
            found.add(file.read_text().strip())
    return found


def _worker(folder: Path) -> None:
    with Workers() as workers:
        torch.save(_updated(), folder / f"{workers.rank}.pt")
    end = time.monotonic() + 30.0
    while "pt_gloo_runloop" in _threads():  # the system shows a thread for a moment after it was joined
        assert time.monotonic() < end
        time.sleep(0.01)


def test_two_workers_divide_the_matrices_and_leave_no_thread_running(
    tmp_path: Path, in_two_workers: Callable[[Path, Path], str]
) -> None:
    in_two_workers(Path(__file__), tmp_path)
    for rank in range(2):
        for theirs, ours in zip(torch.load(tmp_path / f"{rank}.pt", weights_only=True), _updated(), strict=True):
            torch.testing.assert_close(theirs, ours)


if __name__ == "__main__":
    _worker(Path(sys.argv[1]))
