"""The spectrogram equals numpy's, and chunked equals whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from edgespeech.reference.model.config import FeatureConfig, kaldi_features
from edgespeech.reference.model.edges import Span
from edgespeech.reference.model.features import Features
from edgespeech.reference.model.filters import mel_filters
from edgespeech.reference.model.normalisation import RunningStatistics

Floats = NDArray[np.float64]
Scale = Literal["mel", "linear"]
Window = Literal["hann", "hamming"]
KINDS = [(scale, window, hop) for scale in ("mel", "linear") for window in ("hann", "hamming") for hop in (10, 32)]


def small(scale: Scale, window: Window, hop: int) -> Features:
    config = FeatureConfig(window_samples=32, hop_samples=hop, bins=8, scale=scale, window=window)
    features = Features(config)
    features.mean.copy_(torch.linspace(-9.0, -5.0, config.width))
    features.inverse_deviation.copy_(torch.linspace(0.2, 0.6, config.width))
    return features


def mel(frequency: float) -> float:
    return float(2595.0 * np.log10(1.0 + frequency / 700.0))


def hertz(value: float) -> float:
    return float(700.0 * (10.0 ** (value / 2595.0) - 1.0))


def by_numpy(samples: NDArray[np.float32], config: FeatureConfig) -> Floats:
    """Compute unnormalised features [width, frames] with np.fft and explicit triangles."""
    length, hop = config.window_samples, config.hop_samples
    cosine = np.cos(2.0 * np.pi * np.arange(length) / length)
    window = 0.5 - 0.5 * cosine if config.window == "hann" else 0.54 - 0.46 * cosine
    padded = np.concatenate([np.zeros(length - hop), samples.astype(np.float64)])
    frames = [padded[start : start + length] for start in range(0, len(samples) // hop * hop, hop)]
    power = np.abs(np.fft.rfft(np.array(frames) * window)) ** 2
    if config.scale == "mel":
        spacing = config.sample_rate / length
        points = [hertz(mel(config.sample_rate / 2) * i / (config.bins + 1)) for i in range(config.bins + 2)]
        filters = np.zeros((config.bins, power.shape[1]))
        for b in range(config.bins):
            left = max(points[b + 1] - points[b], spacing)
            right = max(points[b + 2] - points[b + 1], spacing)
            for k in range(power.shape[1]):
                distance = k * spacing - points[b + 1]
                filters[b, k] = max(0.0, 1.0 + distance / left if distance < 0 else 1.0 - distance / right)
        power = power @ filters.T
    return np.asarray(np.log(power + config.floor).T)


@pytest.mark.parametrize("scale", ["mel", "linear"])
@pytest.mark.parametrize("window", ["hann", "hamming"])
def test_features_equal_those_of_numpy(
    scale: Scale, window: Window, noise: Callable[[int], NDArray[np.float32]]
) -> None:
    config = FeatureConfig(scale=scale, window=window, bins=64)
    samples = noise(4000)
    ours = Features(config)(torch.from_numpy(samples)[None])[0].numpy()
    assert ours.shape == (64 if scale == "mel" else 161, 25)
    np.testing.assert_allclose(ours, by_numpy(samples, config), atol=2e-3)


def test_normalisation_is_applied_per_bin(noise: Callable[[int], NDArray[np.float32]]) -> None:
    features = small("mel", "hann", 10)
    samples = noise(320)
    plain = by_numpy(samples, features.config)
    expected = (plain - features.mean.numpy()[:, None]) * features.inverse_deviation.numpy()[:, None]
    np.testing.assert_allclose(features(torch.from_numpy(samples)[None])[0].numpy(), expected, atol=1e-3)


@pytest.mark.parametrize(("length", "bins"), [(320, 64), (320, 161), (320, 400), (512, 80), (64, 40)])
def test_no_mel_filter_is_empty(length: int, bins: int) -> None:
    filters = mel_filters(16000, length, bins)
    assert filters.shape == (bins, length // 2 + 1)
    assert float(filters.sum(1).min()) > 0.4
    assert float(filters.max()) <= 1.0


def test_features_of_silence_are_finite() -> None:
    features = Features(FeatureConfig(floor=1e-6))(torch.zeros(1, 1600))
    np.testing.assert_allclose(features.numpy(), np.log(1e-6), rtol=1e-6)


def test_an_impulse_is_at_the_exact_sample_of_the_window() -> None:
    config = FeatureConfig(window_samples=32, hop_samples=10, scale="linear", window="hamming", floor=1e-9)
    features = Features(config)
    window = 0.54 - 0.46 * np.cos(2.0 * np.pi * np.arange(32) / 32)
    for position in range(60):
        samples = torch.zeros(1, 100)
        samples[0, position] = 1.0
        spectrum = features(samples)[0].numpy()
        for frame in range(10):
            place = position - ((frame + 1) * 10 - 32)
            level = window[place] ** 2 if 0 <= place < 32 else 0.0
            np.testing.assert_allclose(spectrum[:, frame], np.log(level + 1e-9), atol=1e-3)


@pytest.mark.parametrize(("scale", "window", "hop"), KINDS)
def test_chunked_equals_whole(scale: Scale, window: Window, hop: int, stream: Callable[..., Tensor]) -> None:
    features = small(scale, window, hop)
    # A ramp: a slip of one sample shows.
    samples = torch.stack([torch.linspace(-1, 1, 75), torch.linspace(0.1, -0.4, 75)])
    whole = features(samples)
    assert whole.shape == (2, features.config.width, 75 // hop)
    for size in range(1, 132):
        chunked = stream(features, samples, range(size, 75, size), 1, 2)
        torch.testing.assert_close(chunked, whole, atol=5e-4, rtol=0)


@settings(max_examples=30, deadline=None)
@given(kind=st.sampled_from(KINDS), cuts=st.lists(st.integers(0, 75), max_size=12))
def test_ragged_pushes_equal_whole(kind: Any, cuts: list[int], stream: Callable[..., Tensor]) -> None:
    features = small(*kind)
    samples = torch.sin(torch.arange(75.0) ** 1.5 / 20)[None]
    torch.testing.assert_close(stream(features, samples, cuts, 1, 2), features(samples), atol=5e-4, rtol=0)


@pytest.mark.parametrize("hop", [10, 32])
def test_frame_t_ends_with_its_last_sample(hop: int, last_seen: Callable[..., int]) -> None:
    features = small("linear", "hamming", hop)
    samples = torch.sin(torch.arange(200.0) ** 1.5 / 20)[None]
    for frame in range(200 // hop):
        assert last_seen(features, samples, 1, frame, 2) == (frame + 1) * hop - 1


def framed(samples: NDArray[np.float32], window: int, hop: int) -> Floats:
    """Return the whole windows of samples, float64 [frames, window]."""
    starts = range(0, len(samples) - window + 1, hop)
    return np.stack([samples[start : start + window].astype(np.float64) for start in starts])


@pytest.mark.parametrize("mode", ["reflect", "constant"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_centred_magnitudes_equal_those_of_numpy(
    mode: Any, symmetric: bool, noise: Callable[[int], NDArray[np.float32]]
) -> None:
    config = FeatureConfig(
        window="hamming",
        symmetric_window=symmetric,
        gain=32768.0,
        spectrum="magnitude",
        scale="linear",
        logarithm="log1p",
        padding=(160, 160),
        reflect=mode == "reflect",
    )
    for length in (1600, 1601, 1759):
        samples = noise(length)
        window = 0.54 - 0.46 * np.cos(2.0 * np.pi * np.arange(320) / (319 if symmetric else 320))
        frames = framed(np.pad(samples, 160, mode=mode) * np.float32(32768.0), 320, 160)
        expected = np.log1p(np.abs(np.fft.rfft(frames * window))).T
        # What follows the end must not matter.
        behind = torch.from_numpy(np.append(samples, noise(400)))[None]
        ours = Features(config)(behind, Span(0, torch.tensor([length])))[0, :, : expected.shape[1]].numpy()
        assert expected.shape == (161, 1 + length // 160)
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_kaldi_filter_bank_equals_its_formula(noise: Callable[[int], NDArray[np.float32]]) -> None:
    config = kaldi_features(40)
    samples = noise(4000) + np.float32(0.2)
    frames = framed(samples * np.float32(32768.0), 400, 160)
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    window = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(400) / 399)) ** 0.85
    power = np.abs(np.fft.rfft((frames - 0.97 * before) * window, 512)) ** 2
    edges = np.linspace(1127.0 * np.log(1 + 20 / 700), 1127.0 * np.log(1 + 8000 / 700), 42)
    filters = np.zeros((40, 257))
    for b in range(40):
        for k in range(256):
            mel_k = 1127.0 * np.log(1 + k * 31.25 / 700)
            rising, falling = mel_k - edges[b], edges[b + 2] - mel_k
            filters[b, k] = max(0.0, min(rising, falling) / (edges[1] - edges[0]))
    expected = np.log(np.maximum(power @ filters.T, 1e-7)).T
    features = Features(config)
    delay = features.alignment.delay
    assert (delay, expected.shape) == (2, (40, 23))
    ours = features(torch.from_numpy(np.pad(samples, (0, 200)))[None])[0, :, delay:].numpy()
    np.testing.assert_allclose(ours[:, :23], expected, rtol=1e-4, atol=1e-3)


def test_running_statistics_equal_their_recurrence() -> None:
    torch.manual_seed(2)
    x, counted = torch.randn(1, 6, 500) * 3 + 4, torch.ones(1, 500, dtype=torch.bool)
    counted[:, :2] = False
    mean, power, seen, expected = 0.0, 1.0, 0, []
    for t in range(500):
        if t >= 2:
            seen += 1
            rate = 1.0 / min(50 + seen, 200)
            mean += rate * (float(x[0, :, t].mean()) - mean)
            power += rate * (float(x[0, :, t].square().mean()) - power)
        expected.append((x[0, :, t] - mean) / (power - mean**2) ** 0.5)
    statistics = RunningStatistics(50, 200)
    whole, state = statistics.step(x, statistics.initial_state(1), counted)
    torch.testing.assert_close(whole[0], torch.stack(expected, dim=1), atol=1e-3, rtol=1e-3)
    assert float(state["frames"]) == 200.0
    state, pieces = statistics.initial_state(1), []
    for start in range(0, 500, 7):
        y, state = statistics.step(x[:, :, start : start + 7], state, counted[:, start : start + 7])
        pieces.append(y)
    torch.testing.assert_close(torch.cat(pieces, dim=2), whole, atol=1e-3, rtol=1e-3)
    assert abs(float(whole[0, :, 300:].mean())) < 0.1 and float(whole[0, :, 300:].std()) == pytest.approx(1.0, abs=0.1)
