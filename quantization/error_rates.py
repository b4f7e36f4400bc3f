"""Word errors before and after, and how much more of them is allowed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgespeech.runtime.bundle import Bundle


@dataclass(frozen=True)
class ErrorRates:
    """Of a bundle on a manifest, in percent of the reference's words (characters for ``cer``)."""

    wer: float
    deletions: float
    cer: float


# Transcribes a manifest with a bundle.
Evaluate = Callable[[Bundle], ErrorRates]


@dataclass(frozen=True)
class Budget:
    """The most that quantizing may cost, in absolute percent; None where it does not matter."""

    wer: float | None = None
    deletions: float | None = None

    def holds(self, before: ErrorRates, after: ErrorRates) -> bool:
        """Whether the increase is within the budget."""
        wer = self.wer is None or after.wer - before.wer <= self.wer + 1e-9
        return wer and (self.deletions is None or after.deletions - before.deletions <= self.deletions + 1e-9)

    def __str__(self) -> str:
        """Such as ``WER +0.5, deletions +0.3``."""
        parts = [("WER", self.wer), ("deletions", self.deletions)]
        return ", ".join(f"{name} {most:+g}" for name, most in parts if most is not None)
