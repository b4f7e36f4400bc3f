"""Speed, gain, shares and masks do what their numbers say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray

from edgespeech.reference.acoustics import audio_files
from edgespeech.reference.augment import SpecAugment, WaveAugmenter, change_speed, limit_band
from edgespeech.reference.config import AugmentationConfig

RATE = 16000
Samples = NDArray[np.float32]
OFF: dict[str, Any] = {"speed_share": 0.0, "noise_share": 0.0, "room_share": 0.0, "gain_db": (0.0, 0.0)}


def white(samples: int, seed: int = 0) -> Samples:
    return (np.random.default_rng(seed).standard_normal(samples) * 0.1).astype(np.float32)


def tone(hertz: float, samples: int = RATE) -> Samples:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(samples) / RATE)).astype(np.float32)


def loudest(samples: Samples) -> float:
    """Hertz of the strongest bin."""
    return float(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples))))) * RATE / len(samples))


@pytest.mark.parametrize("factor", [0.8, 0.93, 1.0, 1.1, 1.25])
def test_speed_changes_length_and_pitch(factor: float) -> None:
    faster = change_speed(tone(500.0), factor, RATE)
    assert faster.dtype == np.float32
    assert abs(len(faster) - RATE / factor) <= 1
    assert abs(loudest(faster) - 500.0 * factor) < 2.0


def test_speed_of_nothing_is_nothing() -> None:
    assert len(change_speed(np.zeros(0, np.float32), 1.1, RATE)) == 0


def test_everything_off_changes_nothing() -> None:
    augmenter = WaveAugmenter(AugmentationConfig(**OFF), RATE, [], [])
    assert np.array_equal(augmenter(tone(300.0), np.random.default_rng(0)), tone(300.0))


def test_gain_is_in_decibels_and_stays_within_range() -> None:
    augmenter = WaveAugmenter(AugmentationConfig(**{**OFF, "gain_db": (-6.0, -6.0)}), RATE, [], [])
    np.testing.assert_allclose(augmenter(tone(300.0), np.random.default_rng(0)), tone(300.0) * 0.5012, atol=1e-4)
    loud = WaveAugmenter(AugmentationConfig(**{**OFF, "gain_db": (40.0, 40.0)}), RATE, [], [])
    changed = loud(tone(300.0), np.random.default_rng(0))
    assert float(np.abs(changed).max()) == 1.0 and changed.dtype == np.float32


def test_a_limited_band_keeps_what_is_below_and_loses_what_is_above() -> None:
    for hertz, kept in ((500.0, 1.0), (2500.0, 1.0), (5000.0, 0.0), (7000.0, 0.0)):
        limited = limit_band(tone(hertz), 3500.0, RATE)
        assert limited.dtype == np.float32 and abs(len(limited) - RATE) <= 2
        middle = limited[4000:12000]
        assert np.sqrt(np.mean(np.square(middle))) == pytest.approx(kept * 0.3536, abs=0.01)


def test_shares_say_how_often(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "noise.wav", white(8000), RATE)
    augmenter = WaveAugmenter(AugmentationConfig(**{**OFF, "noise_share": 0.4}), RATE, audio_files([tmp_path]), [])
    speech = tone(300.0, 400)
    changed = sum(not np.array_equal(augmenter(speech, np.random.default_rng(i)), speech) for i in range(400))
    assert 120 < changed < 200


def test_spec_augment_masks_bands_and_stretches() -> None:
    torch.manual_seed(0)
    config = AugmentationConfig(frequency_masks=1, frequency_mask_bins=6, time_masks=1, time_mask_share=0.2)
    features = torch.rand(64, 20, 50) + 1.0
    masked = SpecAugment(config)(features)
    kept = masked != 0
    assert torch.equal(masked[kept], features[kept])
    rows, columns = ~kept.any(2), ~kept.any(1)
    # What is masked is whole rows and whole columns, each in one piece.
    assert torch.equal(~kept, rows[:, :, None] | columns[:, None, :])
    for masks, most in ((rows, 6), (columns, 10)):
        widths = masks.sum(1)
        assert int(widths.max()) == most and int(widths.min()) == 0
        assert all(int((one[1:] & ~one[:-1]).sum() + one[0]) <= 1 for one in masks.int().bool())
    assert len({tuple(one.tolist()) for one in rows}) > 10


def test_spec_augment_of_short_and_narrow_features() -> None:
    config = AugmentationConfig(frequency_mask_bins=12)
    assert SpecAugment(config)(torch.ones(2, 3, 1)).shape == (2, 3, 1)
    assert SpecAugment(AugmentationConfig(frequency_masks=0, time_masks=0))(torch.ones(2, 3, 9)).sum() == 54
