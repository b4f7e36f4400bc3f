"""Integer weights represent the float ones, and no processor's arithmetic overflows on them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgespeech.quantization.graph.activation_ranges import ChannelCounter, Channels
from edgespeech.quantization.graph.integer_weights import (
    BLOCK,
    DAMPING,
    Balance,
    Integers,
    Moments,
    convolution_integers,
    matrix_blocks,
    matrix_integers,
)

Rounded = Callable[[NDArray[np.float32], Moments | None], NDArray[np.float32]]


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


def require_pairs_within_sixteen_bits(found: Integers) -> None:
    values = found.values.astype(int)
    pairs = np.pad(values, ((0, len(values) % 2), (0, 0))).reshape(-1, 2, values.shape[1])
    for sign in (1, -1):
        assert (np.maximum(sign * pairs, 0).sum(axis=1) * 255 < 2**15).all()
    assert np.abs(values).max() <= 127


@given(st.integers(0, 1000), st.integers(1, 9), st.integers(1, 5))
def test_pairs_of_a_matrix_stay_within_sixteen_bits(seed: int, inputs: int, outputs: int) -> None:
    weight = weights(seed, inputs, outputs)
    found = matrix_integers(weight)
    require_close(weight, found, -1)
    require_pairs_within_sixteen_bits(found)


@given(st.integers(0, 1000), st.integers(1, 70), st.integers(1, 5))
def test_pairs_stay_within_sixteen_bits_when_weights_compensate_others(seed: int, inputs: int, outputs: int) -> None:
    mixed = np.random.default_rng(seed).standard_normal((3, inputs))
    require_pairs_within_sixteen_bits(matrix_integers(weights(seed, inputs, outputs), mixed.T @ mixed))


@given(st.integers(0, 1000), st.integers(1, 5))
def test_any_pair_of_a_kernel_stays_within_sixteen_bits(seed: int, outputs: int) -> None:
    weight = weights(seed, outputs, 3, 2, 2)
    found = convolution_integers(weight)
    require_close(weight, found, 0)
    assert 2 * 255 * int(np.abs(found.values.astype(int)).max()) < 2**15


def test_a_single_weight_uses_all_levels() -> None:
    assert matrix_integers(np.array([[0.5], [0.0]], np.float32)).values.tolist() == [[127], [0]]
    assert matrix_integers(np.array([[0.5], [0.5]], np.float32)).values.max() == 64
    assert matrix_integers(np.array([[0.5], [-0.5]], np.float32)).values.tolist() == [[127], [-127]]


@pytest.mark.parametrize("integers", [matrix_integers, convolution_integers])
def test_zero_weights_have_finite_scales(integers: object) -> None:
    assert callable(integers)
    found = integers(np.zeros((4, 4), np.float32))
    assert not found.values.any() and np.isfinite(found.scales).all()


@given(st.integers(0, 1000), st.integers(1, 70), st.integers(1, 5))
def test_blocks_are_within_half_a_step(seed: int, inputs: int, outputs: int) -> None:
    weight = weights(seed, inputs, outputs)
    blocks = matrix_blocks(weight)
    assert blocks.values.shape == (outputs, -(-inputs // BLOCK), BLOCK // 2)
    steps = np.abs(np.repeat(blocks.scales, BLOCK, axis=1)[:, :inputs].T)
    # A value as large as the largest one but of the other sign has one level less.
    assert (np.abs(blocks.matrix(inputs) - weight) <= 1.0001 * steps).all()
    middle = np.abs(weight) <= 7.0 * steps
    assert (np.abs(blocks.matrix(inputs) - weight) <= 0.5001 * steps)[middle].all()


def channels_of(rows: NDArray[np.float32]) -> Channels:
    counter = ChannelCounter()
    counter.add(rows)
    return counter.value


@pytest.fixture
def rows() -> NDArray[np.float32]:
    """Correlated inputs with means and with very different ranges."""
    generator = np.random.default_rng(4)
    mixed = generator.standard_normal((2000, 12)) @ generator.standard_normal((12, 40))
    return np.asarray(mixed * np.geomspace(0.01, 1.0, 40) + generator.standard_normal(40), np.float32)


def int8(weight: NDArray[np.float32], moments: Moments | None) -> NDArray[np.float32]:
    found = matrix_integers(weight, moments)
    return np.asarray(found.values * found.scales)


def int4(weight: NDArray[np.float32], moments: Moments | None) -> NDArray[np.float32]:
    return matrix_blocks(weight, moments).matrix(len(weight))


@pytest.mark.parametrize("rounded", [int8, int4])
def test_later_weights_compensate_earlier_ones(rows: NDArray[np.float32], rounded: Rounded) -> None:
    weight = weights(3, 40, 6)
    plain, aware = (
        np.square(rows @ (rounded(weight, known) - weight)).mean() for known in (None, channels_of(rows).moments)
    )
    assert aware < 0.5 * plain


@pytest.mark.parametrize("rounded", [int8, int4])
def test_rounding_in_blocks_equals_rounding_one_by_one(rows: NDArray[np.float32], rounded: Rounded) -> None:
    """Compare with the textbook: after each rounding, solve for the best values of the later weights."""
    moments = channels_of(rows).moments
    damped = moments + DAMPING * np.trace(moments) / 40 * np.eye(40)
    weight = weights(3, 40, 6)
    left, found = weight.astype(np.float64), rounded(weight, moments)
    for i in range(20):
        error = left[i] - found[i]
        later = np.linalg.solve(damped[i + 1 :, i + 1 :], damped[i + 1 :, i])
        left[i + 1 :] += np.outer(later, error)
        left[i] = found[i]
    step = matrix_integers(weight).scales if rounded is int8 else np.abs(matrix_blocks(weight).scales).max(axis=1)
    assert (np.abs(left[20] - found[20]) <= 0.6 * step).all()


@pytest.mark.parametrize("kind", [Balance.within_one, Balance.of_deviations])
def test_a_balanced_product_is_the_same_product(rows: NDArray[np.float32], kind: Callable[..., Balance]) -> None:
    weight = weights(6, 40, 6)
    balance = kind(channels_of(rows))
    balanced = (rows - balance.centre) / balance.reach
    scaled = balance.weights(weight)
    np.testing.assert_allclose(balanced @ scaled + balance.bias(weight, scaled), rows @ weight, atol=2e-4)
    np.testing.assert_allclose(balance.moments(channels_of(rows)), balanced.T @ balanced / len(rows), atol=2e-4)
    if kind == Balance.within_one:
        assert 0.8 < np.abs(balanced).max() < 1.0
    rounded = scaled + np.float32(0.01)
    assert abs((balanced @ rounded + balance.bias(weight, rounded) - rows @ weight).mean()) < 1e-4
