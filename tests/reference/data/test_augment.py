"""Speed, gain, noise, rooms and masks have the effects and probabilities that are configured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray

from edgespeech.errors import AudioError
from edgespeech.reference.data import acoustics
from edgespeech.reference.data.acoustics import audio_files
from edgespeech.reference.data.augment import (
    SpecAugment,
    WaveAugmenter,
    add_noise,
    change_speed,
    limit_band,
    reverberate,
)
from edgespeech.reference.data.config import AugmentationConfig

RATE = 16000
Samples = NDArray[np.float32]
OFF: dict[str, Any] = {"speed_prob": 0.0, "noise_prob": 0.0, "room_prob": 0.0, "gain_db": (0.0, 0.0)}


def white(samples: int, seed: int = 0) -> Samples:
    return (np.random.default_rng(seed).standard_normal(samples) * 0.1).astype(np.float32)


def tone(hertz: float, samples: int = RATE) -> Samples:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(samples) / RATE)).astype(np.float32)


def batch(*rows: Samples) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True)


def loudest(samples: Samples) -> float:
    """Return the frequency of the strongest bin in hertz."""
    return float(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples))))) * RATE / len(samples))


def augmented(
    config: dict[str, Any], *rows: Samples, seed: int = 0, noise: Any = (), rooms: Any = (), epoch: int = 0
) -> list[Samples]:
    augmenter = WaveAugmenter(AugmentationConfig(**{**OFF, **config}), RATE, noise, rooms)
    chance = np.random.default_rng(seed)
    samples, lengths = augmenter(batch(*rows), np.array([len(row) for row in rows]), chance, epoch)
    assert samples.dtype == torch.float32 and lengths.dtype == np.int64
    assert float(samples.abs().max()) <= 1.0
    for row, length in zip(samples, lengths, strict=True):
        assert not row[length:].any(), "padding must stay zero"
    return [row[:length].numpy() for row, length in zip(samples, lengths, strict=True)]


@pytest.mark.parametrize("wanted", [0.8, 0.93, 1.0, 1.1, 1.25])
def test_speed_changes_length_and_pitch(wanted: float) -> None:
    (faster,), factor = change_speed(batch(tone(500.0)), wanted)
    assert factor == pytest.approx(wanted, rel=0.02)
    assert abs(len(faster) - RATE / factor) <= 1
    assert abs(loudest(faster.numpy()) - 500.0 * factor) < 2.0


def test_speed_keeps_the_level_and_does_not_mix_rows() -> None:
    changed, factor = change_speed(batch(tone(500.0), tone(1500.0)), 1.13)
    for row, hertz in zip(changed.numpy(), (500.0, 1500.0), strict=True):
        middle = row[2000:-2000]
        assert np.sqrt(np.mean(np.square(middle))) == pytest.approx(0.3536, abs=0.003)
        assert abs(loudest(row) - hertz * factor) < 2.0


def test_probabilities_of_zero_change_nothing() -> None:
    rows = [tone(300.0), tone(400.0, 9000)]
    for row, same in zip(rows, augmented({}, *rows), strict=True):
        assert np.array_equal(row, same)


def test_speeds_are_within_their_range_and_some_rows_are_unchanged() -> None:
    rows = [tone(300.0, 8000) for _ in range(60)]
    lengths = {len(row) for row in augmented({"speed_prob": 0.5, "speed_range": (0.9, 1.2)}, *rows)}
    assert 8000 in lengths and 3 <= len(lengths) <= 5, "a few factors for each batch"
    assert min(lengths) > 8000 / 1.23 and max(lengths) < 8000 / 0.88


def test_gain_is_in_decibels_and_stays_within_range() -> None:
    (quieter,) = augmented({"gain_db": (-6.0, -6.0)}, tone(300.0))
    np.testing.assert_allclose(quieter, tone(300.0) * 0.5012, atol=1e-4)
    (loud,) = augmented({"gain_db": (40.0, 40.0)}, tone(300.0))
    assert float(np.abs(loud).max()) == 1.0


def test_a_band_limit_keeps_lower_and_removes_higher_frequencies() -> None:
    rows = [tone(hertz) for hertz in (500.0, 2500.0, 5000.0, 7000.0)]
    limited = limit_band(batch(*rows), np.full(4, 3500.0), RATE)
    for row, kept in zip(limited.numpy(), (1.0, 1.0, 0.0, 0.0), strict=True):
        assert np.sqrt(np.mean(np.square(row[4000:12000]))) == pytest.approx(kept * 0.3536, abs=0.01)
    each = limit_band(batch(rows[1], rows[1]), np.array([2000.0, 3000.0]), RATE)
    assert float(each[0, 4000:12000].abs().max()) < 0.01 < 0.4 < float(each[1, 4000:12000].abs().max())


def test_batched_rooms_and_noise_equal_those_of_single_recordings() -> None:
    """Compare the batched arithmetic with that of `acoustics`, which evaluation uses."""
    speech, noise = [white(5000, 1), white(7000, 2)], [white(7000, 3), white(7000, 4)]
    samples = batch(*speech)
    inside = torch.arange(7000) < torch.tensor([[5000], [7000]])
    response = np.zeros(900, np.float32)
    response[[40, 300, 800]] = [0.9, 0.4, -0.2]
    wet = reverberate(samples, batch(response, response), inside)
    noisy = add_noise(samples, batch(*noise), np.array([3.0, 12.0]), inside)
    for place, one in enumerate(speech):
        plain = acoustics.reverberate(one, response)
        np.testing.assert_allclose(wet[place, : len(one)].numpy(), plain, atol=1e-4)
        added = noisy[place, : len(one)].numpy() - one
        ratio = 10.0 * np.log10(np.mean(np.square(one)) / np.mean(np.square(added)))
        assert ratio == pytest.approx([3.0, 12.0][place], abs=0.01)
    assert torch.equal(reverberate(samples, torch.zeros(2, 30), inside), samples), "no response, no change"
    assert torch.equal(add_noise(samples, torch.zeros(2, 7000), np.zeros(2), inside), samples)


def test_probabilities_determine_how_often(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "noise.wav", white(8000), RATE)
    soundfile.write(tmp_path / "room.wav", np.eye(1, 100)[0] + white(100), RATE)
    files = audio_files([tmp_path])
    rows = [tone(300.0, 400 + i) for i in range(400)]
    for name in ("noise_prob", "room_prob", "band_limit_prob"):
        noise, rooms = (files[:1], []) if name == "noise_prob" else ([], files[1:])
        changed = augmented({name: 0.4, "band_limit_hz": (200.0, 250.0)}, *rows, noise=noise, rooms=rooms)
        count = sum(not np.allclose(row, other, atol=1e-5) for row, other in zip(rows, changed, strict=True))
        assert 120 < count < 200, name


@pytest.mark.parametrize(("epoch", "strength"), [(0, 0.25), (1, 0.5), (3, 1.0), (30, 1.0)])
def test_augmentation_grows_over_the_epochs(epoch: int, strength: float) -> None:
    config = AugmentationConfig(growing_passes=3, frequency_mask_bins=12, time_mask_fraction=0.1, noise_prob=0.4)
    assert config.strength(epoch) == strength
    now = config.in_pass(epoch)
    assert now.frequency_mask_bins == 12 * strength and now.time_mask_fraction == pytest.approx(0.1 * strength)
    assert now.noise_prob == pytest.approx(0.4 * strength) and now.noise_snr_db == config.noise_snr_db
    rows = [tone(300.0, 400) for _ in range(400)]
    limits = {"band_limit_prob": 0.8, "band_limit_hz": (200.0, 250.0), "growing_passes": 3}
    changed = augmented(limits, *rows, epoch=epoch)
    count = sum(not np.allclose(row, rows[0], atol=1e-5) for row in changed)
    assert count == pytest.approx(320 * strength, abs=30)


def test_without_growth_augmentation_is_complete_from_the_first_epoch() -> None:
    assert AugmentationConfig().in_pass(0) == AugmentationConfig()


def test_noise_longer_and_shorter_than_speech_and_empty_files(tmp_path: Path) -> None:
    for name, samples in (("a", 100), ("b", 90000), ("c", 0)):
        soundfile.write(tmp_path / f"{name}.wav", white(samples), RATE)
    rows = [tone(300.0, 5000), tone(500.0, 3000)]
    for seed in range(8):
        noisy = augmented({"noise_prob": 1.0}, *rows, seed=seed, noise=audio_files([tmp_path]))
        assert all(float(np.std(one - row)) > 0.001 for one, row in zip(noisy, rows, strict=True))
    with pytest.raises(AudioError, match="empty"):
        WaveAugmenter(AugmentationConfig(), RATE, [tmp_path / "c.wav"], [])


def test_spec_augment_masks_frequency_bands_and_time_spans() -> None:
    torch.manual_seed(0)
    config = AugmentationConfig(frequency_masks=1, frequency_mask_bins=6, time_masks=1, time_mask_fraction=0.2)
    features = torch.rand(64, 20, 50) + 1.0
    masked = SpecAugment(config)(features)
    kept = masked != 0
    assert torch.equal(masked[kept], features[kept])
    rows, columns = ~kept.any(2), ~kept.any(1)
    # Whole rows and whole columns are masked, each in one piece.
    assert torch.equal(~kept, rows[:, :, None] | columns[:, None, :])
    for masks, max_width in ((rows, 6), (columns, 10)):
        widths = masks.sum(1)
        assert int(widths.max()) == max_width and int(widths.min()) == 0
        assert all(int((one[1:] & ~one[:-1]).sum() + one[0]) <= 1 for one in masks.int().bool())
    assert len({tuple(one.tolist()) for one in rows}) > 10


def test_spec_augment_accepts_short_and_narrow_features() -> None:
    config = AugmentationConfig(frequency_mask_bins=12)
    assert SpecAugment(config)(torch.ones(2, 3, 1)).shape == (2, 3, 1)
    assert SpecAugment(AugmentationConfig(frequency_masks=0, time_masks=0))(torch.ones(2, 3, 9)).sum() == 54
