"""What a quantization or a calibration is asked to do; importable without torch and onnx."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from edgespeech.runtime.measure.word_errors import WordErrors

Precision = Literal["fp16", "int8", "int4"]


@dataclass(frozen=True)
class Budget:
    """Largest accepted absolute increases, fractions of the reference words: word errors, deletions; None for any."""

    max_wer_increase: float | None = None
    max_deletion_increase: float | None = None

    @classmethod
    def from_percent(cls, max_wer_increase: float | None, max_deletion_increase: float | None) -> Budget:
        """Make a budget from percentage points."""
        points = (max_wer_increase, max_deletion_increase)
        return cls(*(None if one is None else one / 100.0 for one in points))

    def holds(self, before: WordErrors, after: WordErrors) -> bool:
        """Return whether the increases are within the budget."""
        pairs = (
            (self.max_wer_increase, after.wer - before.wer),
            (self.max_deletion_increase, after.deletion_rate - before.deletion_rate),
        )
        return all(limit is None or increase <= limit + 1e-11 for limit, increase in pairs)

    def __str__(self) -> str:
        parts = [("WER", self.max_wer_increase), ("deletions", self.max_deletion_increase)]
        return ", ".join(f"{name} {100 * limit:+g}" for name, limit in parts if limit is not None)


@dataclass(frozen=True)
class QuantizeRequest:
    """Options of a quantization; ``sensitivity`` quantizes each layer alone as well.

    Attributes:
        speech: Manifest of speech to calibrate on, at most ten minutes of it; None for the sample clips.
        dev: Manifest with texts to count word errors on, before and after; at most ``dev_limit`` utterances of it.
        baseline: Another form of the float32 bundle that the report compares with.
        calibration: ``minmax``, ``percentile``, ``entropy``, ``error``, or ``auto`` for the best of them.
        keep: Names of weights that stay in the next higher precision.
        report: JSON file for all figures; a picture is written beside it.
        budget: Keep the most sensitive layers in higher precision until the word errors are within it.
        into: Document that receives the tables between two marks, such as ``notes.md#int8``.
        fp16_compute: Whether the layers also compute in fp16; needs ``precision="fp16"``.
    """

    precision: Precision
    speech: Path | None = None
    dev: Path | None = None
    dev_limit: int | None = None
    baseline: Path | None = None
    calibration: str = "auto"
    keep: Collection[str] = ()
    report: Path | None = None
    sensitivity: bool = False
    budget: Budget = Budget()
    into: str | None = None
    fp16_compute: bool = False


@dataclass(frozen=True)
class CalibrateRequest:
    """Options of a batch-norm calibration.

    Attributes:
        speech: Manifest of speech to measure the statistics on; texts are not needed.
        dev: Manifest to count word errors on; None for the calibration speech, as far as it has texts.
        half: Whether to write matrices and kernels as float16; the statistics are then those of the rounded weights.
    """

    speech: Path
    dev: Path | None = None
    half: bool = False
