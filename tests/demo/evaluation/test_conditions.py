"""Noise at the requested level and rooms, both the same in every run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.evaluation.conditions import make_conditions
from edgespeech.errors import ConfigError
from edgespeech.runtime.manifest import Utterance
from edgespeech.runtime.measure.evaluation import Samples

RATE = 16000
SPEECH: Samples = (0.1 * np.sin(2 * np.pi * 300.0 * np.arange(RATE) / RATE)).astype(np.float32)


def utterance(name: str = "a.wav", offset: float = 0.0) -> Utterance:
    return Utterance(name, Path(name), offset=offset)


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """A folder with five noises of three seconds."""
    (tmp_path / "noise").mkdir()
    for index in range(5):
        samples = 0.2 * np.random.default_rng(index).standard_normal(3 * RATE)
        soundfile.write(tmp_path / "noise" / f"{index}.wav", samples.clip(-1, 1), RATE)
    return tmp_path / "noise"


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    """A folder with one room, whose echo comes after 100 ms."""
    (tmp_path / "rooms").mkdir()
    response = np.zeros(RATE // 4)
    response[0], response[1600] = 0.9, 0.5
    soundfile.write(tmp_path / "rooms" / "echo.wav", response, RATE, subtype="FLOAT")
    return tmp_path / "rooms"


def test_conditions_come_in_order(noise: Path, rooms: Path) -> None:
    found = make_conditions([noise], [20.0, 2.5], [rooms])
    assert [one.name for one in found] == ["as recorded", "noise, 20 dB", "noise, 2.5 dB", "rooms"]
    assert [one.name for one in make_conditions([], [20.0], [rooms])] == ["as recorded", "rooms"]
    np.testing.assert_array_equal(found[0].change(SPEECH, utterance(), RATE), SPEECH)
    with pytest.raises(ConfigError, match="has no audio files"):
        make_conditions([noise / "deep"], [20.0], [])


def test_noise_is_reproducible_and_levels_scale_it(noise: Path) -> None:
    _, loud, quiet = make_conditions([noise], [0.0, 20.0], [])
    added = [one.change(SPEECH, utterance(), RATE) - SPEECH for one in (loud, quiet)]
    levels = [10 * np.log10(np.mean(np.square(SPEECH)) / np.mean(np.square(one))) for one in added]
    assert levels == pytest.approx([0.0, 20.0], abs=0.05)
    np.testing.assert_allclose(added[0], added[1] * 10.0, atol=1e-5)
    again = make_conditions([noise], [0.0], [])[1].change(SPEECH, utterance(), RATE)
    np.testing.assert_array_equal(again, loud.change(SPEECH, utterance(), RATE))
    others = [utterance("b.wav"), utterance("c.wav"), utterance("a.wav", 1.0)]
    assert not any(np.array_equal(again, loud.change(SPEECH, other, RATE)) for other in others)


def test_clipping_is_avoided_by_scaling(noise: Path) -> None:
    (mixed,) = (one.change(SPEECH * 9.0, utterance(), RATE) for one in make_conditions([noise], [0.0], [])[1:])
    assert mixed.dtype == np.float32 and float(np.abs(mixed).max()) == pytest.approx(1.0)
    assert np.corrcoef(mixed, SPEECH)[0, 1] == pytest.approx(0.5**0.5, abs=0.05)


def test_a_room_adds_its_echo(rooms: Path) -> None:
    click = np.zeros(RATE, np.float32)
    click[1000] = 0.5
    echoed = make_conditions([], [], [rooms])[1].change(click, utterance(), RATE)
    assert echoed[2600] / echoed[1000] == pytest.approx(5 / 9, abs=0.01)
    assert len(make_conditions([], [], [rooms])[1].change(np.zeros(0, np.float32), utterance(), RATE)) == 0
