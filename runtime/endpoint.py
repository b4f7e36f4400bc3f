"""Where a segment ends: silence after speech, seen from the blank of the acoustic model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import UsageError


@dataclass(frozen=True)
class EndpointState:
    """Whether the segment has speech, and how many frames of blank came after it."""

    spoke: bool = False
    silent_frames: int = 0


class Endpointer:
    """Ends a segment after a stretch of frames whose most probable label is the blank.

    Args:
        frame_seconds: Seconds per output frame.
        blank: Index of the blank.
        silence_seconds: The stretch; None never ends a segment.

    Raises:
        UsageError: The stretch is not positive and finite.
    """

    def __init__(self, frame_seconds: float, blank: int, silence_seconds: float | None) -> None:
        """Turn seconds into frames."""
        if silence_seconds is not None and not 0.0 < silence_seconds < math.inf:
            raise UsageError(f"an endpoint after {silence_seconds:g} s of silence; wanted more than 0, or none")
        self.blank = blank
        self.frames = None if silence_seconds is None else max(1, round(silence_seconds / frame_seconds))

    def initial_state(self) -> EndpointState:
        """Nothing said yet."""
        return EndpointState()

    def step(self, log_probs: NDArray[np.float32], state: EndpointState) -> tuple[int | None, EndpointState]:
        """Look at new frames.

        Args:
            log_probs: [frames, labels].
            state: Since the last endpoint.

        Returns:
            The number of frames up to and with the one that ends the segment (None if none does), and the state after
            them.
        """
        for index, silent in enumerate((log_probs.argmax(axis=1) == self.blank).tolist()):
            state = EndpointState(state.spoke or not silent, state.silent_frames + 1 if silent else 0)
            if self.frames is not None and state.spoke and state.silent_frames >= self.frames:
                return index + 1, state
        return None, state
