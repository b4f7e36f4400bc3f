"""Speed, room, noise and gain do what their numbers say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray

from edgespeech.errors import ConfigError
from edgespeech.reference.augment import (
    SpecAugment,
    WaveAugmenter,
    add_noise,
    audio_files,
    change_speed,
    reverberate,
)
from edgespeech.reference.config import AugmentationConfig

RATE = 16000
Samples = NDArray[np.float32]
OFF: dict[str, Any] = {"speed_share": 0.0, "noise_share": 0.0, "room_share": 0.0, "gain_db": (0.0, 0.0)}


def white(samples: int, seed: int = 0) -> Samples:
    return (np.random.default_rng(seed).standard_normal(samples) * 0.1).astype(np.float32)


def tone(hertz: float, samples: int = RATE) -> Samples:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(samples) / RATE)).astype(np.float32)


def power(samples: Samples) -> float:
    return float(np.mean(np.square(samples)))


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


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 5.0, 30.0])
@pytest.mark.parametrize("noise_length", [100, 5000, RATE, 3 * RATE])
def test_noise_has_the_wanted_level(snr_db: float, noise_length: int) -> None:
    speech = tone(300.0)
    noisy = add_noise(speech, white(noise_length), snr_db, np.random.default_rng(1))
    assert noisy.shape == speech.shape and noisy.dtype == np.float32
    assert 10 * np.log10(power(speech) / power(noisy - speech)) == pytest.approx(snr_db, abs=0.05)


def test_noise_begins_anywhere_and_goes_on_with_its_beginning() -> None:
    noise, speech = white(1000), tone(300.0, 800)
    starts = set()
    for seed in range(25):
        added = add_noise(speech, noise, 0.0, np.random.default_rng(seed)) - speech
        match = [np.corrcoef(added, np.roll(noise, -start)[:800])[0, 1] for start in range(1000)]
        assert max(match) > 0.999
        starts.add(int(np.argmax(match)))
    assert len(starts) > 15
    assert max(starts) > 200  # there the noise ends within the speech


@pytest.mark.parametrize("noise", [np.zeros(0, np.float32), np.zeros(100, np.float32)])
def test_silence_is_no_noise(noise: Samples) -> None:
    speech = tone(300.0)
    assert np.array_equal(add_noise(speech, noise, 0.0, np.random.default_rng(0)), speech)


def test_a_room_keeps_length_loudness_and_time() -> None:
    response = (white(4000) * np.exp(-np.arange(4000) / 500)).astype(np.float32)
    response[700] = 1.5  # the direct sound
    click = np.zeros(RATE, np.float32)
    click[5000] = 0.5
    wet = reverberate(click, response)
    assert wet.shape == click.shape and wet.dtype == np.float32
    assert int(np.argmax(np.abs(wet))) == 5000
    assert power(wet) == pytest.approx(power(click), rel=1e-3)
    speech = white(RATE, 3)
    assert power(reverberate(speech, response)) == pytest.approx(power(speech), rel=1e-3)


@pytest.mark.parametrize("response", [np.zeros(0, np.float32), np.zeros(10, np.float32)])
def test_a_room_without_sound_changes_nothing(response: Samples) -> None:
    assert np.array_equal(reverberate(tone(300.0), response), tone(300.0))
    assert len(reverberate(np.zeros(0, np.float32), white(10))) == 0


def test_everything_off_changes_nothing() -> None:
    augmenter = WaveAugmenter(AugmentationConfig(**OFF), RATE, [], [])
    assert np.array_equal(augmenter(tone(300.0), np.random.default_rng(0)), tone(300.0))


def test_gain_is_in_decibels_and_stays_within_range() -> None:
    augmenter = WaveAugmenter(AugmentationConfig(**{**OFF, "gain_db": (-6.0, -6.0)}), RATE, [], [])
    np.testing.assert_allclose(augmenter(tone(300.0), np.random.default_rng(0)), tone(300.0) * 0.5012, atol=1e-4)
    loud = WaveAugmenter(AugmentationConfig(**{**OFF, "gain_db": (40.0, 40.0)}), RATE, [], [])
    changed = loud(tone(300.0), np.random.default_rng(0))
    assert float(np.abs(changed).max()) == 1.0 and changed.dtype == np.float32


def test_shares_say_how_often(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "noise.wav", white(8000), RATE)
    augmenter = WaveAugmenter(AugmentationConfig(**{**OFF, "noise_share": 0.4}), RATE, audio_files([tmp_path]), [])
    speech = tone(300.0, 400)
    changed = sum(not np.array_equal(augmenter(speech, np.random.default_rng(i)), speech) for i in range(400))
    assert 120 < changed < 200


def test_audio_files_are_found_in_order(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.WAV", "a.flac", "deep/c.opus", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in audio_files([tmp_path, tmp_path / "deep"])] == ["a.flac", "b.WAV", "c.opus", "c.opus"]
    for folder in (tmp_path / "nowhere", tmp_path / "deep" / "empty"):
        with pytest.raises(ConfigError, match="has no audio files"):
            audio_files([folder])


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
