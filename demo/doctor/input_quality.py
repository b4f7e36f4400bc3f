"""Judges what a microphone delivers: level of the speech, offset, hum of the mains, digital silence, clipping."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgespeech.demo.doctor.report import State
from edgespeech.runtime.conditioning.conditioner import Conditioner
from edgespeech.runtime.conditioning.level import LOW_SPEECH_LEVEL, NORMAL_LEVEL, speech_gain
from edgespeech.runtime.live.sound_watch import CLIPPED_FRACTION, CLIPPED_PEAK, MUTED_PEAK

Samples = NDArray[np.float32]
Judged = tuple[str, State, str, str]  # topic, state, what was found, what to do

BLOCK_SECONDS = 0.03
MAINS = (50, 60)  # Hz
MANY_SILENT_BLOCKS = 0.05
LITTLE_ABOVE_NOISE = 20.0  # dB
STRONG_OFFSET = 0.1  # of full scale; it takes range from the speech
SMALL_OFFSET = 0.001
_HARMONICS = (1, 2, 3)
_HUM_BAND = 1.5  # Hz around a harmonic
_NEIGHBOURS = (5.0, 12.0)  # Hz away from a harmonic
_PROMINENCE = 10.0  # dB above the neighbours
_STEADY = 20.0  # percentile over time; speech comes and goes, hum stays
_HUM_BELOW_SPEECH = 40.0  # dB; weaker hum does not matter
_MIN_POWER = 1e-12
_RAISE = "raise the microphone's gain in the system's sound settings, or go nearer to it"


@dataclass(frozen=True)
class InputFacts:
    """Properties of a recording; levels in dB of full scale.

    Attributes:
        speech: Level of the loudest recent speech; None if there was none.
        noise: Level that a tenth of the blocks does not reach, without the hum.
        offset: Mean of the samples, of full scale.
        hum: Frequency in Hz and level of the mains hum; None if there is none.
        silent_blocks: Fraction of blocks of 30 ms whose samples are all equal.
        clipped_blocks: Fraction of blocks that are clipped.
        muted: Whether nothing but silence was recorded.
    """

    speech: float | None
    noise: float
    offset: float
    hum: tuple[int, float] | None
    silent_blocks: float
    clipped_blocks: float
    muted: bool


def measure_input(samples: Samples, sample_rate: int) -> InputFacts:
    """Measure float32 [n], at least a block of 30 ms."""
    size = round(BLOCK_SECONDS * sample_rate)
    blocks = samples[: len(samples) // size * size].reshape(-1, size)
    conditioner = Conditioner(sample_rate, size)
    _, state = conditioner.step(samples, conditioner.initial_state())
    powers = np.square(blocks - blocks.mean(axis=1, keepdims=True), dtype=np.float64).mean(axis=1)
    hum = find_hum(samples, sample_rate)
    noise = float(np.percentile(powers, 10.0)) - (0.0 if hum is None else 10.0 ** (hum[1] / 10.0))
    silent = blocks.max(axis=1) == blocks.min(axis=1)
    clipped = (np.abs(blocks) >= CLIPPED_PEAK).mean(axis=1) >= CLIPPED_FRACTION
    return InputFacts(
        speech=state.level.speech,
        noise=10.0 * math.log10(max(noise, _MIN_POWER)),
        offset=float(samples.mean(dtype=np.float64)),
        hum=hum,
        silent_blocks=float(silent.mean()),
        clipped_blocks=float(clipped.mean()),
        muted=(float(samples.max()) - float(samples.min())) / 2.0 <= MUTED_PEAK,
    )


def find_hum(samples: Samples, sample_rate: int) -> tuple[int, float] | None:
    """Find narrow, steady power at multiples of a mains frequency: the frequency in Hz and the level in dB."""
    if len(samples) < sample_rate:
        return None
    starts = range(0, len(samples) - sample_rate + 1, sample_rate // 4)
    window = np.hanning(sample_rate)
    seconds = np.stack([samples[start : start + sample_rate] for start in starts]).astype(np.float64)
    spectra = np.fft.rfft((seconds - seconds.mean(axis=1, keepdims=True)) * window, axis=1)  # a bin per Hz
    power = np.percentile(2.0 * np.square(np.abs(spectra)) / (window**2).sum() / sample_rate, _STEADY, axis=0)
    found = [(hertz, level) for hertz in MAINS if (level := _hum_level(power, hertz)) is not None]
    return max(found, key=lambda each: each[1], default=None)


def _hum_level(power: NDArray[np.float64], mains: int) -> float | None:
    hertz, total = np.arange(len(power)), 0.0
    for harmonic in _HARMONICS:
        away = np.abs(hertz - mains * harmonic)
        inside, around = power[away <= _HUM_BAND], power[(away >= _NEIGHBOURS[0]) & (away <= _NEIGHBOURS[1])]
        if len(around) and inside.max() > max(_MIN_POWER, np.median(around)) * 10.0 ** (_PROMINENCE / 10.0):
            total += float(inside.sum())
    return 10.0 * math.log10(total) if total else None


def judge_input(samples: Samples, sample_rate: int) -> Iterator[Judged]:
    """Judge a recording of speech, float32 [n]: topic, state, what was found and what to do."""
    if len(samples) < round(BLOCK_SECONDS * sample_rate):
        return
    facts = measure_input(samples, sample_rate)
    if facts.muted:
        constant = f"the constant {facts.offset:.3f}" if abs(facts.offset) > MUTED_PEAK else "zeros"
        fix = "unmute the microphone in the system's sound settings, or choose another with --device"
        yield "digital silence", "missing", f"nothing but {constant} was recorded: is it muted?", fix
        return
    yield _judge_level(facts)
    if facts.clipped_blocks:
        found = f"{facts.clipped_blocks:.0%} of the recording is clipped"
        yield "clipping", "note", found, "lower the microphone's gain in the system's sound settings"
    yield _judge_offset(facts)
    yield _judge_hum(facts)
    if facts.silent_blocks >= MANY_SILENT_BLOCKS:
        found = f"{facts.silent_blocks:.0%} of the recording has no sound at all, as behind a filter that mutes noise"
        fix = "disable noise suppression in the system's or the device's settings: it may remove the ends of words"
        yield "digital silence", "note", found, fix
    else:
        yield "digital silence", "ok", "none", ""


def _judge_level(facts: InputFacts) -> Judged:
    if facts.speech is None:
        found = f"no speech was recorded, and noise at {facts.noise:.0f} dB of full scale"
        return "level", "note", found, f"speak during the recording; if you did, {_RAISE}"
    above = facts.speech - facts.noise
    found = f"speech at {facts.speech:.0f} dB of full scale, {above:.0f} dB above the noise"
    if facts.speech < LOW_SPEECH_LEVEL:
        return "level", "note", f"{found}: too low to be recognised well", _RAISE
    if above < LITTLE_ABOVE_NOISE:
        return "level", "note", f"{found}, which is little", "go nearer to the microphone, or make the room quieter"
    if facts.speech < NORMAL_LEVEL:
        return "level", "note", f"{found}: quiet, and amplified by {speech_gain(facts.speech):.0f} dB", _RAISE
    return "level", "ok", found, ""


def _judge_offset(facts: InputFacts) -> Judged:
    if abs(facts.offset) < SMALL_OFFSET:
        return "offset", "ok", "none", ""
    found = f"{facts.offset:.3f} of full scale"
    if abs(facts.offset) < STRONG_OFFSET:
        return "offset", "ok", f"{found}; it is removed before recognition", ""
    fix = "check the microphone's wiring and driver, or choose another with --device"
    return "offset", "note", f"{found}; it is removed before recognition, but loud speech is clipped", fix


def _judge_hum(facts: InputFacts) -> Judged:
    limit = (NORMAL_LEVEL if facts.speech is None else facts.speech) - _HUM_BELOW_SPEECH
    if facts.hum is None or facts.hum[1] < limit:
        return "hum", "ok", "none", ""
    hertz, level = facts.hum
    fix = "keep the microphone away from mains cables, or use another power supply; most of it is removed"
    found = f"{hertz} Hz at {level:.0f} dB of full scale"
    if facts.speech is not None:
        found += f", {facts.speech - level:.0f} dB below the speech"
    return "hum", "note", found, fix
