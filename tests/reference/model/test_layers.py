"""Every layer as a stream: chunked equals whole, states are values, and no output depends on later input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from edgespeech.reference.model.config import ConvolutionConfig
from edgespeech.reference.model.layers import (
    CausalConvolution,
    Connected,
    MaskedBatchNorm,
    Recurrent,
    RowConvolution,
    clipped_relu,
    dropout,
)

FRAMES = 23
STEPS = [(1, 1), (3, 1), (3, 3), (4, 2), (5, 3), (4, 4), (7, 2)]
# Kernel, stride, padding in front and behind, and the inputs too new for the last output.
PADDED = [(5, 1, 2, 2, 0), (3, 2, 0, 0, 1), (11, 2, 10, 10, 1), (11, 2, 5, 5, 0), (5, 3, 1, 4, 2), (4, 2, 3, 0, 1)]


@dataclass(frozen=True)
class Case:
    """A layer, the shape of its input without batch and time, and the dimension of time."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    time: int
    stride: int = 1
    unseen: int = 0  # newest inputs that the last output does not see

    def layer(self) -> Any:
        """Build the layer in evaluation mode, with random weights and statistics."""
        torch.manual_seed(3)
        layer = self.build()
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.copy_(torch.randn_like(parameter) * 0.4)
            for module in layer.modules():
                if isinstance(module, MaskedBatchNorm):
                    module.running_mean.normal_()
                    module.running_variance.uniform_(0.5, 2.0)
        return layer.eval()

    def input(self, batch: int = 2, seed: int = 0) -> Tensor:
        """Return random input with time in its dimension."""
        generator = torch.Generator().manual_seed(seed)
        size = [batch, *self.shape]
        size.insert(self.time, FRAMES)
        return torch.randn(size, generator=generator)


def convolution(kernel: int, stride: int, height: int | None) -> Case:
    config = ConvolutionConfig(channels=4, kernel=kernel, stride=stride, frequency_kernel=3, frequency_stride=2)
    channels, shape = (3, (3,)) if height is None else (2, (2, height))
    return Case(
        lambda: CausalConvolution(config, channels, height, batch_norm=True),
        shape,
        time=len(shape) + 1,
        stride=stride,
    )


def padded_convolution(kernel: int, stride: int, left: int, right: int, unseen: int) -> Case:
    config = ConvolutionConfig(channels=4, kernel=kernel, stride=stride, padding=(left, right), activation="relu")
    return Case(lambda: CausalConvolution(config, 3, None, batch_norm=True), (3,), 2, stride, unseen)


def recurrent(cell: Any, batch_norm: bool, layer_norm: bool = False) -> Case:
    return Case(lambda: Recurrent(cell, 5, 6, batch_norm, layer_norm), (5,), time=1)


def lookahead(tau: int) -> Case:
    return Case(lambda: RowConvolution(5, tau), (5,), time=1)


CASES = {
    **{f"convolution1d-{k}-{s}": convolution(k, s, None) for k, s in STEPS},
    **{f"convolution2d-{k}-{s}": convolution(k, s, 7) for k, s in STEPS},
    **{f"padded-{'-'.join(map(str, one))}": padded_convolution(*one) for one in PADDED},
    **{f"{cell}-norm": recurrent(cell, batch_norm=True) for cell in ("gru", "lstm", "rnn", "tanh")},
    **{f"{cell}-plain": recurrent(cell, batch_norm=False) for cell in ("gru", "lstm", "rnn", "tanh")},
    **{f"{cell}-layer": recurrent(cell, False, layer_norm=True) for cell in ("gru", "lstm")},
    **{f"lookahead-{tau}": lookahead(tau) for tau in (0, 1, 4, 30)},
    "connected": Case(lambda: Connected(5, 4), (5,), time=1),
}
every_layer = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


@every_layer
def test_chunked_equals_whole(case: Case, stream: Callable[..., Tensor]) -> None:
    layer, x = case.layer(), case.input()
    with torch.no_grad():
        whole = layer(x)
    assert whole.shape[case.time] == FRAMES // case.stride
    for size in range(1, FRAMES + 1):
        chunked = stream(layer, x, range(size, FRAMES, size), case.time)
        torch.testing.assert_close(chunked, whole, atol=1e-5, rtol=1e-5)


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(CASES)), cuts=st.lists(st.integers(0, FRAMES), max_size=8))
def test_ragged_chunks_equal_whole(name: str, cuts: list[int], stream: Callable[..., Tensor]) -> None:
    case = CASES[name]
    layer, x = case.layer(), case.input()
    with torch.no_grad():
        whole = layer(x)
    torch.testing.assert_close(stream(layer, x, cuts, case.time), whole, atol=1e-5, rtol=1e-5)


@every_layer
def test_interleaved_streams_do_not_disturb_each_other(case: Case) -> None:
    layer, inputs = case.layer(), [case.input(1, seed) for seed in (1, 2)]
    states = [layer.initial_state(1), layer.initial_state(1)]
    outputs: list[list[Tensor]] = [[], []]
    with torch.no_grad():
        for start in range(0, FRAMES, 4):
            for i in (0, 1):
                piece = inputs[i].narrow(case.time, start, min(4, FRAMES - start))
                y, states[i] = layer.step(piece, states[i])
                outputs[i].append(y)
        for i in (0, 1):
            torch.testing.assert_close(torch.cat(outputs[i], case.time), layer(inputs[i]), atol=1e-5, rtol=1e-5)


@every_layer
def test_output_t_does_not_depend_on_later_input(case: Case, last_seen: Callable[..., int]) -> None:
    layer, x = case.layer(), case.input(1).abs()
    for parameter in layer.parameters():
        parameter.data = parameter.data.abs() * 0.3  # keeps every clipped ReLU in its linear range
    for module in layer.modules():
        if isinstance(module, MaskedBatchNorm):
            module.running_mean.zero_()
    outputs = range(FRAMES // case.stride)
    positions = [last_seen(layer, x, case.time, t) for t in outputs]
    assert positions == [(t + 1) * case.stride - 1 - case.unseen for t in outputs]


@pytest.mark.parametrize(("kernel", "stride", "left", "right", "unseen"), PADDED)
@pytest.mark.parametrize("late", [0, 1, 3])
def test_a_padded_convolution_comes_late_by_its_delay(
    kernel: int, stride: int, left: int, right: int, unseen: int, late: int
) -> None:
    torch.manual_seed(1)
    config = ConvolutionConfig(channels=4, kernel=kernel, stride=stride, padding=(left, right))
    layer = CausalConvolution(config, 3, None, batch_norm=False, delay_in=late)
    x = torch.randn(2, 3, FRAMES)
    with torch.no_grad():
        expected = clipped_relu(layer.convolution(nn.functional.pad(x, (left, right))))
        behind = (layer.alignment.delay + expected.shape[2]) * stride - late - FRAMES
        streamed = layer(nn.functional.pad(x, (late, behind)))
    torch.testing.assert_close(streamed[:, :, layer.alignment.delay :], expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("tau", [1, 2, 5])
def test_row_convolution_equals_its_formula(tau: int) -> None:
    layer = lookahead(tau).layer()
    h = torch.randn(2, FRAMES, 5)
    with torch.no_grad():
        delayed = layer(torch.cat([h, torch.zeros(2, tau, 5)], dim=1))
    for t in range(FRAMES):
        r = torch.zeros(2, 5)
        for j in range(tau + 1):
            if t + j < FRAMES:
                r += layer.weight.detach()[j] * h[:, t + j]
        torch.testing.assert_close(delayed[:, t + tau], clipped_relu(r), atol=1e-5, rtol=1e-5)


def test_plain_recurrence_equals_its_formula_and_clips() -> None:
    layer = recurrent("rnn", batch_norm=False).layer()
    x = torch.randn(1, FRAMES, 5) * 30
    named = {name: value.detach() for name, value in layer.rnn.named_parameters()}
    h, expected = torch.zeros(6), []
    for t in range(FRAMES):
        term = named["weight_ih_l0"] @ x[0, t] + named["bias_ih_l0"] + named["bias_hh_l0"]
        h = (term + named["weight_hh_l0"] @ h).clamp(0, 20)
        expected.append(h)
    with torch.no_grad():
        torch.testing.assert_close(layer(x)[0], torch.stack(expected), atol=1e-4, rtol=1e-4)
    assert float(torch.stack(expected).max()) == 20.0


def test_tanh_recurrence_equals_its_formula() -> None:
    layer, x = recurrent("tanh", batch_norm=False).layer(), torch.randn(1, FRAMES, 5)
    named = {name: value.detach() for name, value in layer.rnn.named_parameters()}
    h, expected = torch.zeros(6), []
    for t in range(FRAMES):
        bias = named["bias_ih_l0"] + named["bias_hh_l0"]
        h = torch.tanh(named["weight_ih_l0"] @ x[0, t] + named["weight_hh_l0"] @ h + bias)
        expected.append(h)
    with torch.no_grad():
        torch.testing.assert_close(layer(x)[0], torch.stack(expected), atol=1e-5, rtol=1e-5)


def test_layer_norm_normalises_the_output_but_not_the_state() -> None:
    layer, x = recurrent("gru", False, layer_norm=True).layer(), torch.randn(2, FRAMES, 5)
    with torch.no_grad():
        y, state = layer.step(x, layer.initial_state(2))
        plain, last = layer.rnn(x)
    spread = plain.var(2, correction=0, keepdim=True) + 1e-5
    expected = (plain - plain.mean(2, keepdim=True)) / spread.sqrt() * layer.layer_norm.weight + layer.layer_norm.bias
    torch.testing.assert_close(y, expected.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(state["hidden"], last[0])


def test_convolution_clips_at_twenty_or_not_at_all() -> None:
    case = convolution(3, 1, None)
    with torch.no_grad():
        y = case.layer()(case.input() * 100)
        free = padded_convolution(3, 1, 2, 0, 0).layer()(case.input() * 100)
    assert (float(y.min()), float(y.max())) == (0.0, 20.0)
    assert float(free.min()) == 0.0 and float(free.max()) > 20.0


def test_a_connected_layer_equals_its_formula() -> None:
    layer, x = Connected(5, 4), torch.randn(2, FRAMES, 5)
    expected = torch.einsum("btw,ow->bto", x, layer.weight) + layer.bias
    torch.testing.assert_close(layer(x), expected.clamp(min=0.0))


@pytest.mark.parametrize("probability", [0.1, 0.25, 0.9])
def test_dropout_keeps_the_mean_and_drops_with_its_probability(probability: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(7, 101, 29, requires_grad=True)
    y = dropout(x, probability, training=True)
    assert float((y == 0).float().mean()) == pytest.approx(probability, abs=0.01)
    assert float(y.detach().mean()) == pytest.approx(1.0, abs=0.05)
    torch.autograd.backward(y.sum())
    assert x.grad is not None and torch.equal(x.grad, y.detach()), "a value that was dropped has no gradient"
    # Neighbouring values are dropped independently.
    dropped = (y.detach() == 0).flatten()
    both = float((dropped[1:] & dropped[:-1]).float().mean())
    assert both == pytest.approx(probability**2, abs=0.015)
    assert not torch.equal(dropout(x, probability, training=True), y), "a second call drops other values"


def test_dropout_changes_nothing_outside_training() -> None:
    x = torch.rand(2, 3, 4)
    assert torch.equal(dropout(x, 0.5, training=False), x) and torch.equal(dropout(x, 0.0, training=True), x)
    assert not dropout(x, 1.0, training=True).any()
