"""The steps between resampling and the model, frame by frame from the beginning of the stream.

Speech at a normal level without hum passes unchanged, sample for sample.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgespeech.runtime.conditioning.high_pass import HighPass
from edgespeech.runtime.conditioning.level import LevelState
from edgespeech.runtime.conditioning.level import step as step_level

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

FAINT_NOISE = 10.0 ** (-71.0 / 20.0)  # root mean square; the endpoint rules take audio below -70 dB for silence

_CUTOFF = 80.0  # Hz
_ORDER = 8
_PRE_ROLL_SECONDS = 0.3  # held back until the level is known, so that the gain does not jump at the first word
_MEAN_SECONDS = 0.01  # the power of means over this is that of an offset and of most of a hum
_RAMP = 80  # samples in which the gain changes
_FADE = np.linspace(0.0, 1.0, _RAMP, dtype=np.float32)
_MIN_POWER = 1e-12
_NOISE: Floats = np.load(Path(__file__).with_name("faint_noise.npy"), allow_pickle=False)  # 2**16 samples


@dataclass(frozen=True)
class ConditioningState:
    """State between two steps.

    Attributes:
        pending: Samples that have not been returned, float32 [n]; less than a block once the level is known.
        filtered: The whole blocks at the beginning of ``pending``, high-passed; their level has been counted.
        level: Level of the speech so far.
        gain: Gain in dB of the last block.
        is_filtered: Whether the last block was returned high-passed; None before the first one.
        filter: State of the high-pass, which runs all the time; None before the first block.
    """

    pending: Floats
    filtered: Floats
    level: LevelState
    gain: float
    is_filtered: bool | None
    filter: Doubles | None


@dataclass(frozen=True)
class _Mode:
    """Gain in dB of a block, and whether it is high-passed; None before the first block."""

    gain: float
    is_filtered: bool | None


class Conditioner:
    """Removes hum and offsets and amplifies quiet speech, by decisions for each frame of the acoustic model.

    The output does not depend on how the samples are cut. Until the level of the speech is known, the last 0.3 s are
    held back, and up to 0.6 s of the first speech if it is quiet; nothing is held back afterwards but the beginning of
    a frame, of which the model takes whole ones only.
    """

    def __init__(self, sample_rate: int, frame_samples: int) -> None:
        self._block, self._seconds = frame_samples, frame_samples / sample_rate
        self._means = max(n for n in range(1, frame_samples + 1) if _fits(n, frame_samples, sample_rate))
        self._pre_roll = round(_PRE_ROLL_SECONDS / self._seconds)
        self._high_pass = HighPass(sample_rate, _CUTOFF, frame_samples, _ORDER)

    def initial_state(self) -> ConditioningState:
        """Return the state before the first sample."""
        nothing = np.zeros(0, np.float32)
        return ConditioningState(nothing, nothing, LevelState(), 0.0, None, None)

    def step(self, samples: Floats, state: ConditioningState, last: bool = False) -> tuple[Floats, ConditioningState]:
        """Condition float32 [n] and return those that are ready, float32 [m]; ``last`` returns all that is pending."""
        size, counted = self._block, len(state.filtered)
        audio = np.concatenate([state.pending, samples])
        whole = len(audio) // size * size
        filtered, memory = self._filter(audio[counted:], state.filter, last)
        levels, rumbles = self._measure(audio[counted:whole], filtered)
        filtered = np.concatenate([state.filtered, filtered])
        track, mode, out, done = state.level, _Mode(state.gain, state.is_filtered), [audio[:0]], 0
        for count, (level, rumble) in enumerate(zip(levels, rumbles, strict=True), counted // size + 1):
            track = step_level(level, rumble, track, self._seconds)
            ready = count if track.known else max(done, count - track.speech_blocks - self._pre_roll)
            for number in range(done, ready):
                block = slice(number * size, (number + 1) * size)
                piece, mode = _apply(audio[block], filtered[block], track, mode)
                out.append(piece)
            done = ready
        if last:
            track = replace(track, known=True)
            for begin in range(done * size, len(audio), size):
                piece, mode = _apply(audio[begin : begin + size], filtered[begin : begin + size], track, mode)
                out.append(piece)
            return np.concatenate(out), replace(self.initial_state(), level=track)
        begin = done * size
        after = ConditioningState(audio[begin:], filtered[begin:], track, mode.gain, mode.is_filtered, memory)
        return np.concatenate(out), after

    def whole(self, samples: Floats, length: int) -> Floats:
        """Condition a whole recording and add silence behind it: float32 [length], a multiple of the frame."""
        conditioned, _ = self.step(samples, self.initial_state(), last=True)
        silence = self.silence(len(conditioned), length - len(conditioned))
        return self.fill_silence(np.concatenate([conditioned, silence]), 0)

    def fill_silence(self, chunk: Floats, position: int) -> Floats:
        """Replace frames of zeros by faint noise: float32 [frames * frame_samples], which begin at ``position``.

        The model has never seen digital silence after speech, and loses the last word before it.
        """
        silent = ~chunk.reshape(-1, self._block).any(axis=1)
        if not silent.any():
            return chunk
        return np.where(np.repeat(silent, self._block), self.silence(position, len(chunk)), chunk)

    def silence(self, position: int, count: int) -> Floats:
        """Return float32 [count] of what stands for silence from this sample of a stream on."""
        return _NOISE[np.arange(position, position + count) % len(_NOISE)]

    def _filter(self, samples: Floats, memory: Doubles | None, last: bool) -> tuple[Floats, Doubles | None]:
        """High-pass the whole blocks of samples, and what is left of a block if it is the ``last`` one."""
        count = len(samples) if last else len(samples) // self._block * self._block
        if not count:
            return samples[:0], memory
        if memory is None:
            memory = self._high_pass.settled(float(samples[: self._block].mean()))
        whole = samples[:count] if count % self._block == 0 else np.pad(samples, (0, -count % self._block))
        filtered, memory = self._high_pass.step(whole, memory)
        return filtered[:count], memory

    def _measure(self, samples: Floats, filtered: Floats) -> tuple[list[float], list[float]]:
        """Return the levels of whole blocks in dB: without low frequencies, and of low frequencies alone."""
        if not len(samples):
            return [], []
        filtered = filtered[: len(samples)]
        low, rest = self._low_power(samples), self._low_power(filtered)
        blocks = filtered.reshape(-1, self._block)
        power = np.einsum("bs,bs->b", blocks, blocks, dtype=np.float64) / self._block
        return _decibels(power - rest), _decibels(low)

    def _low_power(self, samples: Floats) -> Doubles:
        means = samples.reshape(-1, self._means, self._block // self._means).mean(axis=2, dtype=np.float64)
        return np.asarray(np.square(means).mean(axis=1), np.float64)


def _apply(block: Floats, filtered: Floats, track: LevelState, before: _Mode) -> tuple[Floats, _Mode]:
    """Choose the block or its high-passed version, and amplify it; a change fades in."""
    mode = _Mode(track.gain, track.rumbles)
    chosen = filtered if mode.is_filtered else block
    if before.is_filtered is not None and mode.is_filtered != before.is_filtered:
        chosen = _fade(block if mode.is_filtered else filtered, chosen)
    if mode.gain or before.gain:
        chosen = _fade(_amplify(chosen, before.gain), _amplify(chosen, mode.gain))
    return chosen, mode


def _amplify(samples: Floats, gain: float) -> Floats:
    return samples * np.float32(10.0 ** (gain / 20.0))


def _fade(before: Floats, after: Floats) -> Floats:
    faded, share = after.copy(), _FADE[: len(after)]
    faded[:_RAMP] = before[:_RAMP] * (1.0 - share) + after[:_RAMP] * share
    return faded


def _fits(means: int, frame_samples: int, sample_rate: int) -> bool:
    """Whether a frame can be divided into this number of stretches of at least 10 ms."""
    return frame_samples % means == 0 and (means == 1 or frame_samples >= means * _MEAN_SECONDS * sample_rate)


def _decibels(power: Doubles) -> list[float]:
    levels: list[float] = (10.0 * np.log10(np.maximum(power, _MIN_POWER))).tolist()
    return levels
