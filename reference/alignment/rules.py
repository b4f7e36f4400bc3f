"""Which clips are good enough to train on."""

from __future__ import annotations

from dataclasses import dataclass

from edgespeech.errors import UsageError
from edgespeech.reference.alignment.clips import Clip


@dataclass(frozen=True)
class ClipLimits:
    """Limits of a clip; what is outside of them is dropped.

    Attributes:
        min_seconds, max_seconds: Length.
        max_cer: Character errors of what the model recognises by itself against the text, a fraction.
        min_score: Mean log-probability of a label, in nats.
        min_pause: Seconds of pause at its borders.

    Raises:
        UsageError: A limit is out of range.
    """

    min_seconds: float = 1.0
    max_seconds: float = 20.0
    max_cer: float = 0.4
    min_score: float = -2.0
    min_pause: float = 0.06

    def __post_init__(self) -> None:
        if not 0.0 < self.min_seconds < self.max_seconds:
            raise UsageError(
                f"clips of {self.min_seconds:g} to {self.max_seconds:g} s; wanted two lengths above 0, in order"
            )
        if not 0.0 <= self.max_cer <= 1.0:
            raise UsageError(f"character errors of at most {self.max_cer:g}; wanted a fraction from 0 to 1")

    def reason(self, clip: Clip) -> str | None:
        """Return why a clip is dropped; None if it is kept."""
        if clip.cer > self.max_cer:
            return f"more than {self.max_cer:.0%} character errors"
        if clip.score < self.min_score:
            return f"a score below {self.min_score:g}"
        if clip.pause < self.min_pause:
            return "no pause at a border"
        if not self.min_seconds <= clip.seconds <= self.max_seconds:
            return f"not between {self.min_seconds:g} and {self.max_seconds:g} s"
        return None
