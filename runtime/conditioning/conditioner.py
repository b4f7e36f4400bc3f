"""The steps between resampling and the model, frame by frame from the beginning of the stream.

Speech at a normal level without hum passes unchanged, sample for sample.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgespeech.runtime.conditioning import level
from edgespeech.runtime.conditioning.high_pass import HighPass
from edgespeech.runtime.conditioning.level import LevelState

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

FAINT_NOISE = 10.0 ** (-71.0 / 20.0)  # root mean square; the endpoint rules take audio below -70 dB for silence

_CUTOFF = 80.0  # Hz
_PRE_ROLL_SECONDS = 0.3  # held back until the level is known, so that the gain does not jump at the first word
_MEAN_SECONDS = 0.01  # the power of means over this is that of an offset and of most of a hum
_CONTEXT_BLOCKS = 3
_RAMP = 80  # samples in which the gain changes
_FADE = np.linspace(0.0, 1.0, _RAMP, dtype=np.float32)
_MIN_POWER = 1e-12
_NOISE = np.random.default_rng(0).standard_normal(2**16, dtype=np.float32) * np.float32(FAINT_NOISE)


@dataclass(frozen=True)
class ConditioningState:
    """State between two steps.

    Attributes:
        pending: Samples that have not been returned, float32 [n]; less than a block once the level is known.
        counted: Number of whole blocks at the beginning of ``pending`` whose level has been counted.
        level: Level of the speech so far.
        gain: Gain in dB of the last block.
        context: At most three blocks before ``pending``, unfiltered, from which the filter starts.
        filter: State of the high-pass; None while it is off.
    """

    pending: Floats
    counted: int
    level: LevelState
    gain: float
    context: Floats
    filter: Doubles | None


@dataclass(frozen=True)
class _Mode:
    """Gain in dB and state of the filter after a block."""

    gain: float
    filter: Doubles | None


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
        self._high_pass = HighPass(sample_rate, _CUTOFF, frame_samples)

    def initial_state(self) -> ConditioningState:
        """Return the state before the first sample."""
        return ConditioningState(np.zeros(0, np.float32), 0, LevelState(), 0.0, np.zeros(0, np.float32), None)

    def step(self, samples: Floats, state: ConditioningState, last: bool = False) -> tuple[Floats, ConditioningState]:
        """Condition float32 [n] and return those that are ready, float32 [m]; ``last`` returns all that is pending."""
        size, before = self._block, len(state.context)
        audio = np.concatenate([state.context, state.pending, samples])
        whole = (len(audio) - before) // size
        track, mode, out, done = state.level, _Mode(state.gain, state.filter), [audio[:0]], 0
        measured = audio[before + state.counted * size : before + whole * size]
        for count, levels in enumerate(
            zip(*_block_levels(measured, size, self._means), strict=True), state.counted + 1
        ):
            track = level.step(*levels, track, self._seconds)
            ready = count if track.known else max(done, count - track.speech_blocks - self._pre_roll)
            for number in range(done, ready):
                piece, mode = self._apply(audio, before + number * size, track, mode)
                out.append(piece)
            done = ready
        if last:
            track = replace(track, known=True)
            for begin in range(before + done * size, len(audio), size):
                piece, mode = self._apply(audio, begin, track, mode)
                out.append(piece)
            return np.concatenate(out), replace(self.initial_state(), level=track)
        end = before + done * size
        context = audio[max(0, end - _CONTEXT_BLOCKS * size) : end]
        after = ConditioningState(audio[end:], whole - done, track, mode.gain, context, mode.filter)
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

    def _apply(self, audio: Floats, begin: int, track: LevelState, mode: _Mode) -> tuple[Floats, _Mode]:
        """Filter and amplify the block of ``audio`` that begins there; earlier samples are its context."""
        filtered, memory = audio[begin : begin + self._block], mode.filter
        if memory is not None or track.rumbles:
            filtered, memory = self._filter(audio, begin, track.rumbles, memory)
        gain = track.gain
        if gain or mode.gain:
            filtered = _fade(_amplify(filtered, mode.gain), _amplify(filtered, gain))
        return filtered, _Mode(gain, memory)

    def _filter(
        self, audio: Floats, begin: int, rumbles: bool, memory: Doubles | None
    ) -> tuple[Floats, Doubles | None]:
        block, size, begins = audio[begin : begin + self._block], self._block, memory is None
        if memory is None:
            first = max(begin % size, begin - _CONTEXT_BLOCKS * size)
            memory = self._high_pass.settled(float(audio[first : first + size].mean()))
            for start in range(first, begin, size):
                _, memory = self._high_pass.step(audio[start : start + size], memory)
        filtered, memory = self._high_pass.step(np.pad(block, (0, size - len(block))), memory)
        filtered = filtered[: len(block)]
        if not rumbles:
            return _fade(filtered, block), None
        return _fade(block, filtered) if begins and begin else filtered, memory


def _amplify(samples: Floats, gain: float) -> Floats:
    return samples * np.float32(10.0 ** (gain / 20.0))


def _fade(before: Floats, after: Floats) -> Floats:
    faded, share = after.copy(), _FADE[: len(after)]
    faded[:_RAMP] = before[:_RAMP] * (1.0 - share) + after[:_RAMP] * share
    return faded


def _fits(means: int, frame_samples: int, sample_rate: int) -> bool:
    """Whether a frame can be divided into this number of stretches of at least 10 ms."""
    return frame_samples % means == 0 and (means == 1 or frame_samples >= means * _MEAN_SECONDS * sample_rate)


def _block_levels(samples: Floats, size: int, means: int) -> tuple[list[float], list[float]]:
    """Return the levels of blocks in dB, without low frequencies and of low frequencies alone."""
    if not len(samples):
        return [], []
    parts = samples.reshape(-1, means, size // means)
    low = np.square(parts.mean(axis=2, dtype=np.float64)).mean(axis=1)
    power = np.einsum("bps,bps->b", parts, parts, dtype=np.float64) / size
    return _decibels(power - low), _decibels(low)


def _decibels(power: Doubles) -> list[float]:
    levels: list[float] = (10.0 * np.log10(np.maximum(power, _MIN_POWER))).tolist()
    return levels
