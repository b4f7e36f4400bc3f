"""Problems that the audio itself shows: muting, clipping; and the level of the meter."""

from __future__ import annotations

import numpy as np

from edgespeech.runtime.live.sound_watch import SoundWatch, level_db
from tests.runtime.live.stand_ins import FakeSource, run

RATE = 1000
MUTED = ["no sound from the microphone: is it muted?"]


def test_levels_are_in_decibels_below_full_scale() -> None:
    assert level_db(np.ones(10, np.float32)) == 0.0
    for silence in (np.full(10, 1e-9, np.float32), np.zeros(1, np.float32), np.zeros(0, np.float32)):
        assert level_db(silence) == -90.0


def test_silence_is_reported_once_until_sound_comes_back() -> None:
    watch = SoundWatch(RATE)
    steps = ((0.0, 4), (0.0, 1), (2.0**-15, 5), (0.1, 1), (0.0, 4), (0.0, 2))
    signs = np.where(np.arange(RATE) % 2, -1.0, 1.0).astype(np.float32)  # a constant would be an offset
    messages = [watch.step(np.float32(value) * np.tile(signs, seconds)) for value, seconds in steps]
    assert messages == [[], MUTED, [], [], [], MUTED]


def test_silence_in_place_of_an_absent_device_is_not_a_muted_microphone() -> None:
    watch = SoundWatch(RATE)
    silence = np.zeros(4 * RATE, np.float32)
    assert [watch.step(silence, absent) for absent in (False, True, True, False, False)] == [[], [], [], [], MUTED]


def test_clipping_is_counted_and_reported_at_powers_of_ten() -> None:
    watch = SoundWatch(RATE)
    clipped, touching = np.zeros(RATE, np.float32), np.zeros(RATE, np.float32)
    clipped[:20], touching[:2] = 1.0, -1.0
    reported = {block: found for block in range(1, 111) if (found := watch.step(clipped)) and not watch.step(touching)}
    assert watch.clipped_blocks == 110
    message = "the audio is clipped: lower the microphone's gain (clipped blocks so far: {})".format
    assert reported == {count: [message(count)] for count in (1, 10, 100)}


def test_a_session_reports_and_counts_problems_with_the_audio() -> None:
    source = FakeSource(0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    source.problem_counts = {"overflows": 2, "clock gaps": 0}
    output = run(source)
    status = output.texts("status")
    assert "no sound from the microphone: is it muted?" in status and any("clipped" in text for text in status)
    assert status[-1].endswith("clipped: 1, overflows: 2")
    assert output.meters[-1].problems == {"clipped": 1, "overflows": 2}
