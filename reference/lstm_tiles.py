"""An LSTM for training on CPUs with matrix tiles (Intel AMX): torch's own takes two to three times as long there.

The C++ beside this file is compiled when it is first wanted. Without tiles or compiler, training uses torch's LSTM.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

SOURCE = Path(__file__).with_name("lstm_tiles.cpp")
FLAGS = (
    "-O3",
    "-march=native",
    "-mprefer-vector-width=512",
    "-ffast-math",
    "-mrecip",
    "-std=c++17",
    "-shared",
    "-fPIC",
)
DEPTH = 32  # a width must be a multiple of what a row of a tile holds


@cache
def library() -> ctypes.CDLL | None:
    """The compiled file, kept in the user's cache folder; None where it cannot be made or used."""
    if not torch.cpu._is_amx_tile_supported():
        return None
    content = hashlib.sha256(SOURCE.read_bytes() + " ".join(FLAGS).encode()).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgespeech"
    compiled = folder / f"lstm_tiles-{content}.so"
    try:
        if not compiled.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            unfinished = compiled.with_suffix(f".{os.getpid()}")
            command = (os.environ.get("CXX", "c++"), *FLAGS, "-o", str(unfinished), str(SOURCE))
            subprocess.run(command, check=True, capture_output=True)
            unfinished.replace(compiled)
        loaded = ctypes.CDLL(str(compiled))
    except (OSError, subprocess.CalledProcessError):
        return None
    return loaded if loaded.lstm_prepare() == 0 else None


def fits(lstm: nn.LSTM, x: Tensor) -> bool:
    """Whether `run` can stand for the layer: bfloat16 training on a CPU with tiles, and widths that fill them."""
    return (
        x.device.type == "cpu"
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and lstm.input_size % DEPTH == 0
        and lstm.hidden_size % DEPTH == 0
        and library() is not None
    )


def run(lstm: nn.LSTM, x: Tensor) -> Tensor:
    """The outputs of a layer that begins with zeros.

    Args:
        lstm: One layer, one direction, batch first, with biases.
        x: [batch, time, width].

    Returns:
        bfloat16 [batch, time, hidden].
    """
    bias = lstm.bias_ih_l0 + lstm.bias_hh_l0
    outputs: Tensor = _TileLstm.apply(x, lstm.weight_ih_l0, lstm.weight_hh_l0, bias)
    return outputs


def _address(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


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
        _loaded().lstm_forward(batch, time, width, hidden, *(_address(tensor) for tensor in used))
        ctx.save_for_backward(x, input_weight, hidden_weight, y, gates, cells)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        x, input_weight, hidden_weight, y, gates, cells = ctx.saved_tensors
        batch, time, hidden = y.shape
        before_gates, bias = torch.empty_like(gates), torch.zeros(4 * hidden)
        given = (gradients[0].to(torch.bfloat16).contiguous(), hidden_weight, gates, cells, before_gates, bias)
        _loaded().lstm_backward(batch, time, hidden, *(_address(tensor) for tensor in given))
        rows = before_gates.flatten(0, 1)
        earlier = torch.cat([y.new_zeros(batch, 1, hidden), y[:, :-1]], dim=1).flatten(0, 1)
        from_input = (rows.T @ x.flatten(0, 1)).float()
        from_hidden = (rows.T @ earlier).float()
        return (rows @ input_weight).view_as(x), from_input, from_hidden, bias


def _loaded() -> ctypes.CDLL:
    loaded = library()
    assert loaded is not None
    return loaded
