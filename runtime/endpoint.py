"""Endpoints: rules about silence and length that cut a stream into segments without changing the acoustic state.

A segment ends only at a frame whose most probable label is the blank: CTC merges equal neighbours, so the most probable
labels of the segments, joined, equal those of the whole stream.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import UsageError

SILENCE_LEVEL = -70.0  # dB of full scale; audio below it is silence, whatever the model outputs
_MIN_POWER = 1e-10


@dataclass(frozen=True)
class EndpointRules:
    """Rules that end a segment, in seconds; None disables a rule."""

    endpoint_seconds: float | None = 1.0  # silence after speech
    empty_seconds: float | None = 5.0  # silence before any speech; the search then starts again without traces of noise
    longest_seconds: float | None = 30.0  # then a pause between words ends it; beyond twice that, any blank frame


@dataclass(frozen=True)
class EndpointState:
    """Facts about the segment so far."""

    spoke: bool = False  # whether any frame's most probable label was not the blank
    silent_frames: int = 0  # at the end
    frames: int = 0
    between_words: bool = True  # whether the last label that is not the blank ends a word
    at_blank: bool = False  # whether the last frame's most probable label is the blank


class Endpointer:
    """Applies endpoint rules. A frame is silent if its most probable label is the blank or its level is too low.

    Outputs lag behind the audio by the look-ahead. So that silence counts from its beginning, the frames inside the
    look-ahead may be given to `ends_early`: they count as silence, but belong to the next segment.

    Raises:
        UsageError: A rule is not positive and finite.
    """

    def __init__(self, frame_seconds: float, labels: Sequence[str], blank: int, rules: EndpointRules) -> None:
        self.rules = rules
        self._blank = blank
        self._word_ends = frozenset(index for index, text in enumerate(labels) if text.endswith(" "))
        self._after_speech = _frames(rules.endpoint_seconds, frame_seconds, "silence")
        self._before_speech = _frames(rules.empty_seconds, frame_seconds, "silence before any speech")
        self._longest = _frames(rules.longest_seconds, frame_seconds, "speech")

    def initial_state(self) -> EndpointState:
        """Return the state before the first frame of a segment."""
        return EndpointState()

    def step(
        self, log_probs: NDArray[np.float32], levels: NDArray[np.float32], state: EndpointState
    ) -> tuple[int | None, EndpointState]:
        """Process new frames: log_probs [frames, labels], and their levels [frames] in dB from `frame_levels`.

        Returns:
            The number of frames including the one that ends the segment (None if none does), and the next state.
        """
        frames = zip(log_probs.argmax(axis=1).tolist(), (levels < SILENCE_LEVEL).tolist(), strict=True)
        for index, (label, quiet) in enumerate(frames):
            blank = label == self._blank
            state = EndpointState(
                spoke=state.spoke or not blank,
                silent_frames=state.silent_frames + 1 if blank or quiet else 0,
                frames=state.frames + 1,
                between_words=state.between_words if blank else label in self._word_ends,
                at_blank=blank,
            )
            enough = self._longest if state.between_words else 2.0 * self._longest
            if blank and (self._is_silence(state) or state.frames >= enough):
                return index + 1, state
        return None, state

    def may_end(self, state: EndpointState, frames: int) -> bool:
        """Return whether this many more silent frames would end the segment, at the last of them."""
        return state.at_blank and self._is_silence(state, frames)

    def ends_early(self, log_probs: NDArray[np.float32], levels: NDArray[np.float32], state: EndpointState) -> bool:
        """Return whether the frames still inside the look-ahead already end the segment.

        ``log_probs`` [frames, labels] are their outputs if silence follows, ``levels`` [frames] are in dB.
        """
        sound = (log_probs.argmax(axis=1) != self._blank) & (levels >= SILENCE_LEVEL)
        return self.may_end(state, int(sound.argmax()) if sound.any() else len(sound))

    def _is_silence(self, state: EndpointState, more: int = 0) -> bool:
        return state.silent_frames + more >= (self._after_speech if state.spoke else self._before_speech)


def frame_levels(samples: NDArray[np.float32], frame_samples: int) -> NDArray[np.float32]:
    """Compute the level of each frame of float32 [frames * samples]: float32 [frames], dB of full scale, min. -100."""
    power = np.square(samples.reshape(-1, frame_samples), dtype=np.float64).mean(axis=1)
    levels: NDArray[np.float32] = (10.0 * np.log10(np.maximum(power, _MIN_POWER))).astype(np.float32)
    return levels


def _frames(seconds: float | None, frame_seconds: float, what: str) -> float:
    if seconds is None:
        return math.inf
    if not 0.0 < seconds < math.inf:
        raise UsageError(f"an endpoint after {seconds:g} s of {what}; wanted more than 0, or None")
    return max(1, round(seconds / frame_seconds))
