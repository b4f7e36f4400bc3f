"""Noise has the configured level, and rooms keep timing and loudness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.errors import ConfigError
from edgespeech.reference.data.acoustics import add_noise, audio_files, reverberate

RATE = 16000
Samples = NDArray[np.float32]


def white(samples: int, seed: int = 0) -> Samples:
    return (np.random.default_rng(seed).standard_normal(samples) * 0.1).astype(np.float32)


def tone(hertz: float, samples: int = RATE) -> Samples:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(samples) / RATE)).astype(np.float32)


def power(samples: Samples) -> float:
    return float(np.mean(np.square(samples)))


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 5.0, 30.0])
@pytest.mark.parametrize("noise_length", [100, 5000, RATE, 3 * RATE])
def test_noise_has_the_configured_level(snr_db: float, noise_length: int) -> None:
    speech = tone(300.0)
    noisy = add_noise(speech, white(noise_length), snr_db, np.random.default_rng(1))
    assert noisy.shape == speech.shape and noisy.dtype == np.float32
    assert 10 * np.log10(power(speech) / power(noisy - speech)) == pytest.approx(snr_db, abs=0.05)


def test_noise_starts_anywhere_and_repeats() -> None:
    noise, speech = white(1000), tone(300.0, 800)
    starts = set()
    for seed in range(25):
        added = add_noise(speech, noise, 0.0, np.random.default_rng(seed)) - speech
        match = [np.corrcoef(added, np.roll(noise, -start)[:800])[0, 1] for start in range(1000)]
        assert max(match) > 0.999
        starts.add(int(np.argmax(match)))
    assert len(starts) > 15
    assert max(starts) > 200  # here the noise ends within the speech


@pytest.mark.parametrize("noise", [np.zeros(0, np.float32), np.zeros(100, np.float32)])
def test_silent_noise_changes_nothing(noise: Samples) -> None:
    speech = tone(300.0)
    assert np.array_equal(add_noise(speech, noise, 0.0, np.random.default_rng(0)), speech)


@pytest.mark.parametrize(("samples", "taps"), [(1, 1), (5, 3), (1000, 1), (3, 900), (4097, 513)])
def test_a_room_is_a_convolution(samples: int, taps: int) -> None:
    speech, response = white(samples, 1), white(taps, 2)
    direct = int(np.argmax(np.abs(response)))
    expected = np.convolve(speech, response)[direct : direct + samples]
    wet = reverberate(speech, response)
    assert wet.dtype == np.float32
    np.testing.assert_allclose(wet * (np.linalg.norm(expected) / np.linalg.norm(wet)), expected, atol=1e-6)


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


def test_audio_files_are_found_in_order(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.WAV", "a.flac", "deep/c.opus", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in audio_files([tmp_path, tmp_path / "deep"])] == ["a.flac", "b.WAV", "c.opus", "c.opus"]
    for folder in (tmp_path / "nowhere", tmp_path / "deep" / "empty"):
        with pytest.raises(ConfigError, match="has no audio files"):
            audio_files([folder])
