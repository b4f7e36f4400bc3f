"""Level of the speech in a stream, and the gain for quiet speech: ``step(levels, state) -> state``, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass

NORMAL_LEVEL = -35.0  # dB of full scale; the loudest blocks of speech at this level or above are left as they are
QUIET_TARGET = -25.0  # dB; quieter speech is raised to at most this
MAX_GAIN = 50.0  # dB
LOW_SPEECH_LEVEL = -60.0  # dB; below it, little is left of 16-bit samples

_SLOPE = 2.0  # dB of gain per dB below the normal level, so that the gain has no jump there
_ACTIVITY = 12.0  # dB above the noise floor that make a block speech
_FLOOR_RISE = 6.0  # dB per second
_RELEASE = 2.0  # dB per second of speech
_LOWEST_FLOOR = -90.0  # dB; after digital silence, faint noise must not count as speech
_HOLD_SECONDS = 0.6  # after which the level of the first speech counts as known
_RUMBLE_BLOCKS = 50  # 1.5 s of the default model: such speech has a pause, hum and an offset have none
_MIN_RUMBLE_BLOCKS = 10
_RUMBLE_LEVEL = -57.0  # dB
_RUMBLE_BELOW_SPEECH = 28.0  # dB


@dataclass(frozen=True)
class LevelState:
    """Facts about the stream so far, in dB of full scale.

    Attributes:
        floor: Noise floor; None before the first block.
        speech: Level of the loudest recent blocks of speech; None before any speech.
        speech_blocks: Blocks since the first one of speech, at most 0.6 s.
        known: Whether the level of the speech counts as known; before that, nothing is amplified.
        rumble: Lowest levels of low frequencies, of the last 1.5 s.
    """

    floor: float | None = None
    speech: float | None = None
    speech_blocks: int = 0
    known: bool = False
    rumble: tuple[float, ...] = ()

    @property
    def gain(self) -> float:
        """Gain in dB for the block, exactly 0 for speech at a normal level."""
        return speech_gain(self.speech) if self.known and self.speech is not None else 0.0

    @property
    def rumbles(self) -> bool:
        """Whether low frequencies are constantly so strong that they have to be removed."""
        if len(self.rumble) < _MIN_RUMBLE_BLOCKS:
            return False
        level = _RUMBLE_LEVEL
        if self.speech is not None:
            level = min(level, self.speech - _RUMBLE_BELOW_SPEECH)
        return min(self.rumble) > level


def speech_gain(speech: float) -> float:
    """Return the gain in dB for speech of this level."""
    return min(MAX_GAIN, max(0.0, min(QUIET_TARGET - speech, _SLOPE * (NORMAL_LEVEL - speech))))


def next_floor(level: float, floor: float | None, seconds: float) -> float:
    """Return the noise floor after a block of this level and length; ``floor`` is that before it, None at first."""
    return max(_LOWEST_FLOOR, level if floor is None else min(level, floor + _FLOOR_RISE * seconds))


def step(level: float, rumble: float, state: LevelState, seconds: float) -> LevelState:
    """Count one block of this length: its level without, and its level of low frequencies alone, in dB."""
    hold = round(_HOLD_SECONDS / seconds)
    floor = next_floor(level, state.floor, seconds)
    speech, blocks = state.speech, min(state.speech_blocks + (state.speech_blocks > 0), hold)
    if level > floor + _ACTIVITY or level >= NORMAL_LEVEL:
        speech = level if speech is None else max(level, speech - _RELEASE * seconds)
        blocks = max(1, blocks)
    known = state.known or (speech is not None and (speech >= NORMAL_LEVEL or blocks >= hold))
    return LevelState(floor, speech, blocks, known, (*state.rumble, rumble)[-_RUMBLE_BLOCKS:])
