"""What the sound itself says about the microphone."""

from __future__ import annotations

import numpy as np

from edgespeech.runtime.live.sound_watch import SoundWatch, level
from tests.runtime.live.stand_ins import Sounds, run

RATE = 1000
MUTED = ["the microphone hears nothing: muted?"]


def test_levels() -> None:
    assert level(np.ones(10, np.float32)) == 0.0
    assert level(np.full(10, 1e-9, np.float32)) == level(np.zeros(3, np.float32)) == level(np.zeros(0, np.float32))
    assert level(np.zeros(1, np.float32)) == -90.0


def test_silence_is_remarked_once_until_sound_comes_back() -> None:
    watch = SoundWatch(RATE)
    steps = ((0.0, 4), (0.0, 1), (2.0**-15, 5), (0.1, 1), (0.0, 4), (0.0, 2))
    said = [watch.step(np.full(seconds * RATE, value, np.float32)) for value, seconds in steps]
    assert said == [[], MUTED, [], [], [], MUTED]


def test_silence_in_the_place_of_a_device_is_no_muted_microphone() -> None:
    watch = SoundWatch(RATE)
    silence = np.zeros(4 * RATE, np.float32)
    assert [watch.step(silence, absent) for absent in (False, True, True, False, False)] == [[], [], [], [], MUTED]


def test_clipping_is_counted_and_told_at_powers_of_ten() -> None:
    watch = SoundWatch(RATE)
    clipped, touching = np.zeros(RATE, np.float32), np.zeros(RATE, np.float32)
    clipped[:20], touching[:2] = 1.0, -1.0
    said = {block: remarks for block in range(1, 111) if (remarks := watch.step(clipped)) and not watch.step(touching)}
    assert watch.clipped_blocks == 110
    assert said == {
        count: [f"the sound is clipped: turn the microphone down (blocks so far: {count})"] for count in (1, 10, 100)
    }


def test_a_session_says_and_counts_what_is_wrong_with_the_sound() -> None:
    source = Sounds(0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    source.counted = {"overflows": 2, "clock gaps": 0}
    output = run(source)
    said = output.texts("status")
    assert "the microphone hears nothing: muted?" in said and any("clipped" in text for text in said)
    assert said[-1].endswith("clipped: 1, overflows: 2")
    assert output.meters[-1].troubles == {"clipped": 1, "overflows": 2}
