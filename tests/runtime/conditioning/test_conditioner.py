"""Input conditioning: speech at a normal level passes unchanged, quiet speech is raised, offset and hum are removed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgespeech.runtime.conditioning import level
from edgespeech.runtime.conditioning.conditioner import FAINT_NOISE, Conditioner, ConditioningState
from edgespeech.runtime.conditioning.level import LevelState, speech_gain

Samples = NDArray[np.float32]
RATE = 16000
BLOCK = 480
SECONDS = BLOCK / RATE
CONDITIONER = Conditioner(RATE, BLOCK)


def _speech(seconds: float = 6.0, loudness: float = 0.1) -> Samples:
    """Syllables of a harmonic voice of 130 Hz, with pauses of faint noise: 0.1 is -23 dB."""
    time = np.arange(round(seconds * RATE)) / RATE
    voice = sum(np.sin(2.0 * np.pi * 130.0 * k * time + k) / k for k in range(1, 9))
    envelope = np.clip(np.sin(2.0 * np.pi * 2.0 * time), 0.0, None) * (np.sin(2.0 * np.pi * 0.4 * time) > -0.5)
    noise = 0.003 * np.random.default_rng(0).standard_normal(len(time))
    return (loudness * (voice * envelope + noise)).astype(np.float32)


def _hum(count: int, hertz: float, amplitude: float) -> NDArray[np.float64]:
    hum: NDArray[np.float64] = amplitude * np.sin(2.0 * np.pi * hertz * np.arange(count) / RATE)
    return hum


def _run(samples: Samples, sizes: list[int] | None = None) -> tuple[Samples, ConditioningState]:
    pieces, state, start = [], CONDITIONER.initial_state(), 0
    for size in [*(sizes or []), len(samples)]:
        piece, state = CONDITIONER.step(samples[start : start + size], state)
        pieces.append(piece)
        start += size
    before = state
    piece, _ = CONDITIONER.step(samples[:0], state, last=True)
    return np.concatenate([*pieces, piece]), before


def _decibels(samples: Samples) -> float:
    return float(10.0 * np.log10(np.square(samples, dtype=np.float64).mean()))


@pytest.mark.parametrize("loudness", [0.05, 0.1, 0.3])
def test_speech_at_a_normal_level_passes_unchanged(loudness: float) -> None:
    speech = _speech(loudness=loudness)
    np.testing.assert_array_equal(_run(speech)[0], speech)


@pytest.mark.parametrize("decibels", [30, 40, 50])
def test_quiet_speech_is_raised_to_a_normal_level(decibels: float) -> None:
    quiet = (_speech() * 10.0 ** (-decibels / 20.0)).astype(np.float32)
    raised, _ = _run(quiet)
    assert len(raised) == len(quiet)
    assert _decibels(_speech()) - 12.0 < _decibels(raised) < _decibels(_speech())


def test_speech_that_becomes_loud_again_is_not_amplified() -> None:
    loud, quiet = _speech(3.0), _speech(3.0, 0.001)
    conditioned, state = _run(np.concatenate([quiet, loud]))
    np.testing.assert_array_equal(conditioned[-RATE:], loud[-RATE:])
    assert state.gain == 0.0


@pytest.mark.parametrize("noise", [0.0, 1e-4, 1e-2])
def test_steady_noise_alone_is_not_amplified(noise: float) -> None:
    hiss = (noise * np.random.default_rng(1).standard_normal(5 * RATE)).astype(np.float32)
    np.testing.assert_array_equal(_run(hiss)[0], hiss)


@pytest.mark.parametrize(("offset", "hertz", "amplitude"), [(0.01, 50, 0.0), (-0.03, 50, 0.0), (0.0, 50, 0.02)])
def test_offset_and_hum_are_removed(offset: float, hertz: float, amplitude: float) -> None:
    speech = _speech(loudness=0.06)
    disturbed = (speech + offset + _hum(len(speech), hertz, amplitude)).astype(np.float32)
    conditioned, state = _run(disturbed)
    assert state.is_filtered
    pause = slice(round(4.6 * RATE), round(4.9 * RATE))  # the envelope is zero there
    before, after = (np.square(each[pause]).mean() for each in (disturbed, conditioned))
    assert 10.0 * np.log10(before / after) > 14.0


@pytest.mark.parametrize(("hertz", "amplitude"), [(16.7, 0.03), (50, 0.03), (60, 0.03)])
def test_hum_is_removed_from_the_first_sample_on_and_is_no_speech(hertz: float, amplitude: float) -> None:
    speech = _speech(loudness=0.06)
    speech[: RATE // 2] = 0.06 * 0.003 * np.random.default_rng(1).standard_normal(RATE // 2)
    disturbed = (speech + _hum(len(speech), hertz, amplitude)).astype(np.float32)
    conditioned, state = _run(disturbed)
    assert _decibels(conditioned[1600:4800]) < _decibels(disturbed[1600:4800]) - 15.0
    _, undisturbed = _run(speech)
    assert state.level.speech is not None and undisturbed.level.speech is not None
    assert abs(state.level.speech - undisturbed.level.speech) < 1.0
    _, quiet = _run(_hum(3 * RATE, hertz, amplitude).astype(np.float32))
    assert quiet.level.speech is None, "hum counts as noise"


def test_the_filter_ends_after_the_hum() -> None:
    speech = _speech(6.0)
    disturbed = speech.copy()
    disturbed[: 3 * RATE] += _hum(3 * RATE, 50, 0.02).astype(np.float32)
    conditioned, state = _run(disturbed)
    assert state.is_filtered is False
    np.testing.assert_array_equal(conditioned[-RATE:], disturbed[-RATE:])


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 9000), max_size=20),
    loudness=st.sampled_from([0.1, 0.01, 0.001]),
    offset=st.sampled_from([0.0, 0.02]),
    hum=st.sampled_from([0.0, 0.02]),
    seconds=st.floats(0.0, 4.0),
)
def test_the_output_does_not_depend_on_how_the_samples_are_cut(
    sizes: list[int], loudness: float, offset: float, hum: float, seconds: float
) -> None:
    samples = _speech(seconds, loudness) + offset
    samples = (samples + _hum(len(samples), 50, hum)).astype(np.float32)
    whole, _ = _run(samples)
    assert len(whole) == len(samples)
    np.testing.assert_array_equal(_run(samples, sizes)[0], whole)


def test_a_step_changes_no_state_and_no_input() -> None:
    speech = _speech(loudness=0.001)
    _, state = CONDITIONER.step(speech[: 2 * RATE], CONDITIONER.initial_state())
    copy, kept = speech.copy(), state.pending.copy()
    first, _ = CONDITIONER.step(speech[2 * RATE :], state)
    again, _ = CONDITIONER.step(speech[2 * RATE :], state)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(speech, copy)
    np.testing.assert_array_equal(state.pending, kept)


def test_little_is_held_back() -> None:
    """At most 0.3 s and a block before speech, 0.9 s in the first quiet speech, a block afterwards."""
    for speech in (_speech(), _speech(loudness=0.001)):
        state, returned, longest = CONDITIONER.initial_state(), 0, 0
        for start in range(0, len(speech), 160):
            piece, state = CONDITIONER.step(speech[start : start + 160], state)
            returned += len(piece)
            longest = max(longest, start + 160 - returned)
        assert start + 160 - returned < BLOCK
        assert longest < 31 * BLOCK


def test_the_gain_has_no_jump_and_a_limit() -> None:
    levels = np.arange(-120.0, 0.0, 0.1)
    gains = np.array([speech_gain(each) for each in levels])
    assert (gains[levels >= -35.0] == 0.0).all() and gains.max() == level.MAX_GAIN
    assert abs(np.diff(gains)).max() < 0.3


def test_a_loud_block_makes_the_level_known_at_once() -> None:
    assert level.step(-20.0, -60.0, LevelState(), SECONDS).known
    assert not level.step(-50.0, -60.0, LevelState(), SECONDS).known


@pytest.mark.parametrize("position", [0, 1, 65535, 10**9])
def test_digital_silence_is_filled_by_its_position(position: int) -> None:
    chunk = np.zeros(1440, np.float32)
    chunk[500] = 0.5
    filled = CONDITIONER.fill_silence(chunk, position)
    np.testing.assert_array_equal(filled[480:960], chunk[480:960])
    np.testing.assert_array_equal(filled[960:], CONDITIONER.silence(position + 960, 480))
    assert -72.0 < _decibels(filled[:480]) < -70.0


@pytest.mark.parametrize(("rate", "frame"), [(16000, 640), (16000, 160), (8000, 240), (16000, 500), (16000, 331)])
def test_frames_of_other_lengths_are_conditioned_too(rate: int, frame: int) -> None:
    conditioner = Conditioner(rate, frame)
    quiet = (_speech(4.0, 0.001) + 0.01).astype(np.float32)
    out, state = conditioner.step(quiet, conditioner.initial_state())
    rest, _ = conditioner.step(quiet[:0], state, last=True)
    conditioned = np.concatenate([out, rest])
    assert len(conditioned) == len(quiet) and np.isfinite(conditioned).all()
    assert abs(conditioned[-rate:].mean()) < 0.01


def test_the_faint_noise_is_what_numpys_generator_makes() -> None:
    wanted = np.random.default_rng(0).standard_normal(2**16, dtype=np.float32) * np.float32(FAINT_NOISE)
    assert np.array_equal(Conditioner(16000, 480).silence(0, 2**16), wanted)
