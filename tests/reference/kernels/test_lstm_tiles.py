"""The LSTM kernel for Intel AMX equals torch's LSTM up to the rounding of bfloat16."""

import pytest
import torch
from torch import Tensor, nn

from edgespeech.reference.kernels import lstm_tiles
from edgespeech.reference.model.layers import Recurrent

needs_tiles = pytest.mark.skipif(lstm_tiles.library() is None, reason="needs a CPU with Intel AMX and a C++ compiler")


def gradients(layer: nn.LSTM, x: Tensor, toward: Tensor, tiles: bool) -> list[Tensor]:
    layer.zero_grad()
    x = x.clone().requires_grad_()
    y = lstm_tiles.run(layer, x) if tiles else layer(x)[0]
    torch.autograd.backward((y.float() * toward).sum())
    found = [y.detach().float(), x.grad, *(parameter.grad for parameter in layer.parameters())]
    return [tensor.clone() for tensor in found if tensor is not None]


@needs_tiles
@pytest.mark.parametrize(
    ("batch", "time", "width", "hidden"),
    [(1, 1, 32, 32), (3, 7, 32, 64), (16, 40, 96, 64), (17, 33, 64, 32), (70, 5, 64, 64), (150, 3, 32, 32)],
)
def test_outputs_and_gradients_equal_those_of_torch(batch: int, time: int, width: int, hidden: int) -> None:
    torch.manual_seed(batch)
    layer = nn.LSTM(width, hidden, batch_first=True)
    x, toward = torch.randn(batch, time, width), torch.randn(batch, time, hidden)
    exact, found = gradients(layer, x, toward, tiles=False), gradients(layer, x, toward, tiles=True)
    assert len(exact) == len(found) == 6
    for wanted, got in zip(exact, found, strict=True):
        assert float((got - wanted).norm()) <= 0.015 * float(wanted.norm())


@needs_tiles
def test_the_kernel_is_used_in_training_only(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Tensor] = []
    run = lstm_tiles.run

    def counted(lstm: nn.LSTM, x: Tensor) -> Tensor:
        runs.append(x)
        return run(lstm, x)

    monkeypatch.setattr(lstm_tiles, "run", counted)
    layer = Recurrent("lstm", 32, 32, batch_norm=False)
    x = torch.randn(2, 5, 32)
    layer(x)
    assert not runs
    with torch.autocast("cpu", torch.bfloat16):
        mixed = layer(x)
        layer.eval()
        plain = layer(x)
    assert len(runs) == 1
    torch.testing.assert_close(mixed.float(), plain.float(), rtol=0.03, atol=0.01)
