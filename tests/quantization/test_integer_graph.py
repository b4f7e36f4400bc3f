"""Weights as integers: what they stand for, and that no processor's arithmetic overflows on them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgespeech.quantization.integer_graph import Integers, convolution_integers, matrix_integers


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
