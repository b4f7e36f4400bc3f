"""Measure what each layer costs when it alone is quantized."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgespeech.errors import VerificationError
from edgespeech.quantization.quantizer import IntegerPrecision, Quantizer
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.measure.word_errors import WordErrors

log = logging.getLogger(__name__)

# Transcribes a manifest with a bundle and counts the errors.
Evaluate = Callable[[Bundle], WordErrors]


@dataclass(frozen=True)
class LayerCost:
    """Loss when one layer is quantized and the others stay in float32.

    Attributes:
        kl: Divergence of log-probabilities from float32, nats per frame.
        sqnr_db: Signal-to-quantization-noise ratio of log-probabilities in decibels.
        wer_increase: Absolute increase of the word error rate, a fraction; None if not measured.
    """

    weight: str
    precision: str
    kl: float
    sqnr_db: float
    wer_increase: float | None = None


def measure_sensitivity(
    quantizer: Quantizer, precision: IntegerPrecision, evaluate: Evaluate | None = None
) -> list[LayerCost]:
    """Quantize one layer at a time; return the most sensitive first, with word errors if they are to be evaluated."""
    before = evaluate(quantizer.bundle).wer if evaluate else 0.0
    costs = []
    for weight, planned in quantizer.plan(precision).items():
        model = quantizer.rewrite({weight: planned})
        distance = quantizer.divergence(model)
        increase = None
        if evaluate:
            # A layer that alone is too far from float32 to be written has no word errors; its divergence says enough.
            with tempfile.TemporaryDirectory() as folder, suppress(VerificationError):
                alone = quantizer.write(Path(folder) / "alone", precision, model, level=logging.DEBUG)
                increase = evaluate(alone).wer - before
        costs.append(LayerCost(weight, planned, distance.kl, distance.sqnr_db, increase))
        word_errors = "" if increase is None else f", WER {100 * increase:+.2f}"
        figures = f"KL {distance.kl:.2e}, SQNR {distance.sqnr_db:.1f} dB{word_errors}"
        log.info("  %s alone in %s: %s", weight, planned, figures)
    return sorted(costs, key=lambda cost: -cost.kl)
