"""Endpoints: where a stream is cut into segments, by rules about silence and length. The acoustic state is not touched.

A segment ends at a frame whose most probable label is the blank, and only there: CTC joins equal neighbours, so the
most probable labels of the segments, joined, are those of the stream in one piece.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import UsageError

QUIET = -70.0  # dB below full scale; less than this is silence, whatever the model makes of it
_NOTHING = 1e-10  # power that stands for none


@dataclass(frozen=True)
class EndpointRules:
    """What ends a segment, in seconds; None leaves a rule out.

    Attributes:
        after_speech: Silence after something was said.
        after_nothing: Silence while nothing was said yet; what was made of noise until then is forgotten.
        longest: Length from which the next pause between two words will do, and from twice of which any blank frame.
    """

    after_speech: float | None = 1.0
    after_nothing: float | None = 5.0
    longest: float | None = 30.0


@dataclass(frozen=True)
class EndpointState:
    """A segment so far.

    Attributes:
        spoke: Whether a label other than the blank was the most probable one in any frame.
        silent_frames: Frames of silence at the end.
        frames: All frames.
        between_words: Whether the last such label ends a word.
        at_blank: Whether the blank is the most probable label of the last frame: only there may a segment end.
    """

    spoke: bool = False
    silent_frames: int = 0
    frames: int = 0
    between_words: bool = True
    at_blank: bool = False


class Endpointer:
    """Ends segments by rules. A frame is silent if its most probable label is the blank or its sound is below `QUIET`.

    Outputs lag behind the sound by the look-ahead. So that silence counts from when it is heard, the frames between may
    be given to `ends_early`: they count as silence, but stay with the next segment.

    Args:
        frame_seconds: Seconds per output frame.
        labels: Text of each label; those that end with a space end words.
        blank: Index of the blank.
        rules: When to end.

    Raises:
        UsageError: A rule is not positive and finite.
    """

    def __init__(self, frame_seconds: float, labels: Sequence[str], blank: int, rules: EndpointRules) -> None:
        """Turn seconds into frames."""
        self.rules = rules
        self._blank = blank
        self._word_ends = frozenset(index for index, text in enumerate(labels) if text.endswith(" "))
        self._after_speech = _frames(rules.after_speech, frame_seconds, "silence")
        self._after_nothing = _frames(rules.after_nothing, frame_seconds, "silence before any speech")
        self._longest = _frames(rules.longest, frame_seconds, "speech")

    def initial_state(self) -> EndpointState:
        """Nothing heard yet."""
        return EndpointState()

    def step(
        self, log_probs: NDArray[np.float32], levels: NDArray[np.float32], state: EndpointState
    ) -> tuple[int | None, EndpointState]:
        """Look at new frames.

        Args:
            log_probs: [frames, labels].
            levels: [frames], loudness of the sound of each frame, in dB as from `frame_levels`.
            state: Since the last endpoint.

        Returns:
            The number of frames up to and with the one that ends the segment (None if none does), and the state after
            them.
        """
        frames = zip(log_probs.argmax(axis=1).tolist(), (levels < QUIET).tolist(), strict=True)
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
        """Whether silence in so many more frames would end the segment at its last one."""
        return state.at_blank and self._is_silence(state, frames)

    def ends_early(self, log_probs: NDArray[np.float32], levels: NDArray[np.float32], state: EndpointState) -> bool:
        """Whether frames that were heard, but of which no certain output is there yet, end the segment before them.

        Args:
            log_probs: [frames, labels], what the outputs will be if silence comes next.
            levels: [frames], as in `step`.
            state: Since the last endpoint.
        """
        sound = (log_probs.argmax(axis=1) != self._blank) & (levels >= QUIET)
        return self.may_end(state, int(sound.argmax()) if sound.any() else len(sound))

    def _is_silence(self, state: EndpointState, more: int = 0) -> bool:
        return state.silent_frames + more >= (self._after_speech if state.spoke else self._after_nothing)


def frame_levels(samples: NDArray[np.float32], frame_samples: int) -> NDArray[np.float32]:
    """Loudness of each frame of float32 [frames * frame_samples]: float32 [frames], dB of full scale, at least -100."""
    power = np.square(samples.reshape(-1, frame_samples), dtype=np.float64).mean(axis=1)
    levels: NDArray[np.float32] = (10.0 * np.log10(np.maximum(power, _NOTHING))).astype(np.float32)
    return levels


def _frames(seconds: float | None, frame_seconds: float, what: str) -> float:
    if seconds is None:
        return math.inf
    if not 0.0 < seconds < math.inf:
        raise UsageError(f"an endpoint after {seconds:g} s of {what}; wanted more than 0, or none")
    return max(1, round(seconds / frame_seconds))
