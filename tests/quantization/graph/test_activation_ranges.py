"""Ranges represent zero exactly, each method works on known values, and memory does not grow."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgespeech.errors import UsageError, VerificationError
from edgespeech.quantization.graph.activation_ranges import (
    BINS,
    BOUNDED_BY_ONE,
    METHODS,
    ChannelCounter,
    Histogram,
    Method,
    Range,
    observe,
)
from edgespeech.quantization.graph.float_graph import FloatGraph
from edgespeech.runtime.bundle import Bundle

Samples = NDArray[np.float32]


def histogram(*pieces: NDArray[np.floating]) -> Histogram:
    counted = Histogram()
    for piece in pieces:
        counted.add(np.asarray(piece, np.float32))
    return counted


@given(st.floats(0.0, 1e4), st.floats(0.0, 1e4))
def test_zero_is_exact_and_the_range_is_covered(below: float, above: float) -> None:
    chosen = Range(-below, above)
    zero, scale = int(chosen.zero_point), float(chosen.scale)
    assert 0 <= zero <= 255
    assert (zero - int(chosen.zero_point)) * scale == 0.0
    assert (0 - zero) * scale <= -below + scale and above - scale <= (255 - zero) * scale


def test_the_bounded_range_represents_one_and_minus_one() -> None:
    assert int(BOUNDED_BY_ONE.zero_point) == 128
    assert float(BOUNDED_BY_ONE.scale) == pytest.approx(1 / 127)


@pytest.mark.parametrize("ends", [(0.1, 1.0), (-1.0, -0.1), (1.0, -1.0), (float("nan"), 1.0)])
def test_a_range_without_zero_is_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="does not contain zero"):
        Range(*ends)


@pytest.mark.parametrize("method", METHODS)
def test_uniform_values_keep_their_whole_range(method: Method) -> None:
    chosen = histogram(np.linspace(-1.0, 2.0, 30001)).range(method)
    assert chosen.low == pytest.approx(-1.0, abs=0.05) and chosen.high == pytest.approx(2.0, abs=0.08)


def test_only_minmax_follows_a_single_outlier() -> None:
    values = histogram(np.random.default_rng(1).standard_normal(100_000), np.array([200.0]))
    found = {method: values.range(method).high for method in METHODS}
    assert found["minmax"] == 200.0
    assert 3.0 < found["percentile"] < 5.0
    assert found["error"] < 190.0


def test_the_error_method_minimises_the_squared_error() -> None:
    values = np.concatenate([np.random.default_rng(2).laplace(size=50_000), [30.0]]).astype(np.float32)
    chosen = histogram(values)

    def error(candidate: Range) -> float:
        scale, zero = float(candidate.scale), int(candidate.zero_point)
        rounded = (np.clip(np.round(values / scale) + zero, 0, 255) - zero) * scale
        return float(np.square(values - rounded).mean())

    assert error(chosen.range("error")) <= 1.02 * min(error(chosen.range(method)) for method in METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_silence_has_a_range(method: Method) -> None:
    chosen = histogram(np.zeros(100)).range(method)
    assert float(chosen.scale) > 0.0 and chosen.low == 0.0 == chosen.high


@given(st.lists(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=20), min_size=1, max_size=6))
def test_the_order_of_pieces_does_not_matter(pieces: list[list[float]]) -> None:
    arrays = [np.array(piece, np.float32) for piece in pieces]
    forward, backward, whole = histogram(*arrays), histogram(*arrays[::-1]), histogram(np.concatenate(arrays))
    np.testing.assert_array_equal(forward.counts, whole.counts)
    np.testing.assert_array_equal(backward.counts, whole.counts)
    assert forward.low == backward.low and forward.high == backward.high
    assert forward.counts.sum() == sum(map(len, pieces))


def test_a_histogram_does_not_grow() -> None:
    counted = Histogram()
    for power in range(12):
        counted.add(np.full(1000, 2.0**power, np.float32))
    assert counted.counts.shape == (BINS,) and counted.counts.sum() == 12_000


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(VerificationError, match="not finite"):
        histogram(np.array([0.0, bad]))


def test_contexts_share_the_range_of_their_source(full: Bundle) -> None:
    groups = FloatGraph.of(full).range_groups()
    assert [group.bounded for group in groups] == [False, False, False, True, True]
    assert "convolution1_context" in groups[1].tensors and "convolution1_buffer" in groups[1].tensors
    assert "recurrent0_hidden" in groups[3].tensors and "recurrent0.frames" in groups[3].tensors
    assert not any(one.tensors & other.tensors for one in groups for other in groups if one is not other)


def test_a_plain_recurrence_has_one_range_for_all_its_steps(
    bundle_of: Callable[..., Bundle], tiny_model_factory: Callable[..., object]
) -> None:
    groups = FloatGraph.of(bundle_of(tiny_model_factory(cell="rnn"), frames=3)).range_groups()
    (own,) = [group for group in groups if "recurrent0_hidden" in group.tensors]
    assert not own.bounded and {"recurrent0.clipped", "recurrent0.clipped_2", "recurrent0.frames"} <= own.tensors


def test_channels_are_observed_on_speech(full: Bundle, speech: Sequence[Samples]) -> None:
    graph = FloatGraph.of(full)
    per_channel = {tensor for layer in graph.layers() if layer.quantizable for tensor in graph.channel_tensors(layer)}
    assert per_channel == {"rows", "recurrent0.frames", "recurrent1.frames"}
    histograms, channels = observe(full, graph.model, graph.range_groups(), sorted(per_channel), speech)
    assert set(channels) == per_channel
    rows = channels["rows"]
    assert rows.mean.shape == rows.low.shape == (5,)
    assert (rows.low >= 0.0).all() and (rows.low <= rows.mean).all() and (rows.mean <= rows.high).all()
    assert len(histograms) == 5 and all(one.counts.sum() > 0 for one in histograms)


def test_channel_statistics_equal_those_of_numpy() -> None:
    values = np.random.default_rng(5).standard_normal((60, 3)).astype(np.float32) @ np.array(
        [[1.0, 0.5, 0.0], [0.0, 2.0, 1.0], [0.0, 0.0, 0.1]], np.float32
    )
    counter = ChannelCounter()
    for piece in np.split(values, [7, 7, 30]):
        counter.add(piece[None])
    found = counter.value
    np.testing.assert_allclose(found.mean, values.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found.covariance, np.cov(values.T, bias=True), atol=1e-5)
    np.testing.assert_allclose(found.deviation, values.std(axis=0), rtol=1e-4)
    np.testing.assert_array_equal([found.low, found.high], [values.min(axis=0), values.max(axis=0)])


@pytest.mark.parametrize("silence", [[], [np.zeros(0, np.float32)], [np.zeros(5000, np.float32)]])
def test_silent_speech_is_refused(full: Bundle, silence: list[Samples]) -> None:
    with pytest.raises(UsageError, match="empty or silent"):
        observe(full, FloatGraph.of(full).model, [], [], silence)
