"""Weights as integers: what they stand for, and that no processor's arithmetic overflows on them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgespeech.quantization.activation_ranges import ChannelCounter, Channels
from edgespeech.quantization.integer_weights import (
    BLOCK,
    Balance,
    Integers,
    convolution_integers,
    matrix_blocks,
    matrix_integers,
)


def weights(seed: int, *shape: int) -> NDArray[np.float32]:
    generator = np.random.default_rng(seed)
    kinds = [generator.standard_normal(shape), generator.standard_cauchy(shape), generator.integers(-1, 2, shape)]
    return np.asarray(kinds[seed % 3], np.float32)


def require_close(weight: NDArray[np.float32], found: Integers, axis: int) -> None:
    shape = [1] * weight.ndim
    shape[axis] = -1
    scales = found.scales.reshape(shape)
    assert found.values.dtype == np.int8 and found.scales.shape == (weight.shape[axis],)
    assert (np.abs(found.values * scales - weight) <= 0.5001 * scales).all()


@given(st.integers(0, 1000), st.integers(1, 9), st.integers(1, 5))
def test_pairs_of_a_matrix_stay_within_sixteen_bits(seed: int, inputs: int, outputs: int) -> None:
    weight = weights(seed, inputs, outputs)
    found = matrix_integers(weight)
    require_close(weight, found, -1)
    values = np.pad(found.values.astype(int), ((0, inputs % 2), (0, 0))).reshape(-1, 2, outputs)
    for sign in (1, -1):
        assert (np.maximum(sign * values, 0).sum(axis=1) * 255 < 2**15).all()


@given(st.integers(0, 1000), st.integers(1, 5))
def test_any_pair_of_a_kernel_stays_within_sixteen_bits(seed: int, outputs: int) -> None:
    weight = weights(seed, outputs, 3, 2, 2)
    found = convolution_integers(weight)
    require_close(weight, found, 0)
    assert 2 * 255 * int(np.abs(found.values.astype(int)).max()) < 2**15


def test_a_lone_weight_uses_all_levels() -> None:
    assert matrix_integers(np.array([[0.5], [0.0]], np.float32)).values.tolist() == [[127], [0]]
    assert matrix_integers(np.array([[0.5], [0.5]], np.float32)).values.max() == 64
    assert matrix_integers(np.array([[0.5], [-0.5]], np.float32)).values.tolist() == [[127], [-127]]


@pytest.mark.parametrize("integers", [matrix_integers, convolution_integers])
def test_nothing_is_zero(integers: object) -> None:
    assert callable(integers)
    found = integers(np.zeros((4, 4), np.float32))
    assert not found.values.any() and np.isfinite(found.scales).all()


@given(st.integers(0, 1000), st.integers(1, 70), st.integers(1, 5))
def test_blocks_are_within_half_a_step(seed: int, inputs: int, outputs: int) -> None:
    weight = weights(seed, inputs, outputs)
    blocks = matrix_blocks(weight)
    assert blocks.values.shape == (outputs, -(-inputs // BLOCK), BLOCK // 2)
    steps = np.abs(np.repeat(blocks.scales, BLOCK, axis=1)[:, :inputs].T)
    # What is as large as the largest but of the other sign has one level less.
    assert (np.abs(blocks.matrix(inputs) - weight) <= 1.0001 * steps).all()
    middle = np.abs(weight) <= 7.0 * steps
    assert (np.abs(blocks.matrix(inputs) - weight) <= 0.5001 * steps)[middle].all()


def seen(rows: NDArray[np.float32]) -> Channels:
    counter = ChannelCounter()
    counter.add(rows)
    return counter.value


@pytest.fixture
def rows() -> NDArray[np.float32]:
    """Inputs that go together, of very different reach, with means."""
    generator = np.random.default_rng(4)
    mixed = generator.standard_normal((2000, 12)) @ generator.standard_normal((12, 40))
    return np.asarray(mixed * np.geomspace(0.01, 1.0, 40) + generator.standard_normal(40), np.float32)


def test_later_weights_make_up_for_earlier_ones(rows: NDArray[np.float32]) -> None:
    weight = weights(3, 40, 6)
    moments = seen(rows).covariance + np.outer(rows.mean(axis=0), rows.mean(axis=0))
    plain, aware = (np.square(rows @ (matrix_blocks(weight, known).matrix(40) - weight)).mean()
                    for known in (None, moments))  # fmt: skip
    assert aware < 0.5 * plain


@pytest.mark.parametrize("kind", [Balance.within_one, Balance.of_deviations])
def test_a_balanced_product_is_the_same_product(rows: NDArray[np.float32], kind: Callable[..., Balance]) -> None:
    weight = weights(6, 40, 6)
    balance = kind(seen(rows))
    balanced = (rows - balance.centre) / balance.reach
    scaled = balance.weights(weight)
    np.testing.assert_allclose(balanced @ scaled + balance.bias(weight, scaled), rows @ weight, atol=2e-4)
    np.testing.assert_allclose(balance.moments(seen(rows)), balanced.T @ balanced / len(rows), atol=2e-4)
    if kind == Balance.within_one:
        assert 0.8 < np.abs(balanced).max() < 1.0
    rounded = scaled + np.float32(0.01)
    assert abs((balanced @ rounded + balance.bias(weight, rounded) - rows @ weight).mean()) < 1e-4
