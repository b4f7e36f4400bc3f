"""What each layer costs when it alone is quantized."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgespeech.errors import VerificationError
from edgespeech.quantization.error_rates import Evaluate
from edgespeech.quantization.quantize import IntegerPrecision, Quantizer


@dataclass(frozen=True)
class LayerCost:
    """One layer in integers, the others in float32.

    Attributes:
        weight: Its name.
        precision: That it had.
        kl: Divergence of log-probabilities from float32, nats per frame.
        sqnr_db: Signal-to-quantization-noise ratio of log-probabilities in decibels.
        wer_increase: Absolute percent; None where it was not measured.
    """

    weight: str
    precision: str
    kl: float
    sqnr_db: float
    wer_increase: float | None = None


def measure_sensitivity(
    quantizer: Quantizer,
    precision: IntegerPrecision,
    evaluate: Evaluate | None = None,
    report: Callable[[str], None] = print,
) -> list[LayerCost]:
    """Quantize one layer at a time.

    Args:
        quantizer: Calibrated.
        precision: Of the plan that the layers are taken from.
        evaluate: Also count word errors with it, which takes its time for each layer.
        report: Takes lines for people.

    Returns:
        The layers, the most sensitive one first.
    """
    before = evaluate(quantizer.bundle).wer if evaluate else 0.0
    costs = []
    for weight, planned in quantizer.plan(precision).items():
        model = quantizer.rewrite({weight: planned})
        distance = quantizer.divergence(model)
        increase = None
        if evaluate:
            # One that alone is too far from float32 to be written has no word errors; its divergence says enough.
            with tempfile.TemporaryDirectory() as folder, suppress(VerificationError):
                alone = quantizer.write(Path(folder) / "alone", precision, model, report=lambda line: None)
                increase = evaluate(alone).wer - before
        costs.append(LayerCost(weight, planned, distance.kl, distance.sqnr_db, increase))
        word_errors = "" if increase is None else f", WER {increase:+.2f}"
        report(f"  {weight} alone in {planned}: KL {distance.kl:.2e}, SQNR {distance.sqnr_db:.1f} dB{word_errors}")
    return sorted(costs, key=lambda cost: -cost.kl)
