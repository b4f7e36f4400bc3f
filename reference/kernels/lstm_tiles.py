"""LSTM training kernel for CPUs with Intel AMX, where torch's own LSTM takes about twice as long."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from edgespeech.reference.kernels.native import address, compiled

DEPTH = 32  # bfloat16 values in a tile row; widths must be multiples of it


@cache
def library() -> ctypes.CDLL | None:
    """Load the compiled kernel; None if it cannot be compiled or the operating system denies access to the tiles."""
    found = compiled("lstm_tiles")
    return found if found is not None and found.lstm_prepare() == 0 else None


def fits(lstm: nn.LSTM, x: Tensor) -> bool:
    """Return whether `run` can replace the layer: bfloat16 autocast on a CPU with AMX, widths multiples of 32."""
    return (
        x.device.type == "cpu"
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and lstm.input_size % DEPTH == 0
        and lstm.hidden_size % DEPTH == 0
        and library() is not None
    )


def run(lstm: nn.LSTM, x: Tensor) -> Tensor:
    """Run a layer from zero states: x [batch, time, width] to bfloat16 [batch, time, hidden].

    ``lstm`` must have one layer and one direction, batch first, with biases.
    """
    input_weight, hidden_weight, *biases = (tensor for _, tensor in lstm.named_parameters())
    outputs: Tensor = _TileLstm.apply(x, input_weight, hidden_weight, biases[0] + biases[1])  # type: ignore[no-untyped-call]
    return outputs


class _TileLstm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, input_weight: Tensor, hidden_weight: Tensor, bias: Tensor) -> Tensor:
        batch, time, width = x.shape
        hidden = hidden_weight.shape[1]
        x, input_weight, hidden_weight = (
            tensor.to(torch.bfloat16).contiguous() for tensor in (x, input_weight, hidden_weight)
        )
        y, gates = x.new_empty(batch, time, hidden), x.new_empty(batch, time, 4 * hidden)
        cells, bias = torch.empty(batch, time, hidden), bias.float()
        used = (x, input_weight, hidden_weight, bias, y, gates, cells)
        _loaded().lstm_forward(batch, time, width, hidden, *(address(tensor) for tensor in used))
        ctx.save_for_backward(x, input_weight, hidden_weight, y, gates, cells)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        x, input_weight, hidden_weight, y, gates, cells = ctx.saved_tensors
        batch, time, hidden = y.shape
        before_gates, bias = torch.empty_like(gates), torch.zeros(4 * hidden)
        given = (gradients[0].to(torch.bfloat16).contiguous(), hidden_weight, gates, cells, before_gates, bias)
        _loaded().lstm_backward(batch, time, hidden, *(address(tensor) for tensor in given))
        rows = before_gates.flatten(0, 1)
        earlier = torch.cat([y.new_zeros(batch, 1, hidden), y[:, :-1]], dim=1).flatten(0, 1)
        from_input = (rows.T @ x.flatten(0, 1)).float()
        from_hidden = (rows.T @ earlier).float()
        return (rows @ input_weight).view_as(x), from_input, from_hidden, bias


def _loaded() -> ctypes.CDLL:
    loaded = library()
    assert loaded is not None
    return loaded
