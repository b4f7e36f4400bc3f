"""Keep the most sensitive layers in higher precision until the word errors are within a budget."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

import onnx

from edgespeech.errors import VerificationError
from edgespeech.quantization.graph_audit import GraphAudit, precision_fractions
from edgespeech.quantization.quantizer import IntegerPrecision, Quantizer
from edgespeech.quantization.requests import Budget
from edgespeech.quantization.sensitivity import Evaluate, LayerCost
from edgespeech.runtime.measure.word_errors import WordErrors

log = logging.getLogger(__name__)

# With less than half of the weights quantized the bundle would not be what was asked for.
MIN_QUANTIZED_FRACTION = 0.5


def keep_within_budget(
    quantizer: Quantizer,
    precision: IntegerPrecision,
    costs: Sequence[LayerCost],
    budget: Budget,
    evaluate: Evaluate,
    keep: Collection[str] = (),
) -> tuple[str, ...]:
    """Find the fewest of the most sensitive layers to keep in higher precision in addition to those in ``keep``.

    Raises:
        VerificationError: The budget does not hold although half of the weights were kept.
    """
    before = evaluate(quantizer.bundle)
    closest: WordErrors | None = None
    for count in range(len(costs) + 1):
        kept = tuple(dict.fromkeys([*keep, *(cost.weight for cost in costs[:count])]))
        model = quantizer.rewrite(quantizer.plan(precision, kept))
        if _quantized_fraction(quantizer.graph.model, model, precision) < MIN_QUANTIZED_FRACTION:
            break
        try:
            with tempfile.TemporaryDirectory() as folder:
                after = evaluate(quantizer.write(Path(folder) / "tried", precision, model, level=logging.DEBUG))
        except VerificationError as error:
            log.info("  %d layer(s) kept: %s", len(kept), error)
            continue
        if _holds(budget, before, after, len(kept)):
            return kept
        if closest is None or after.wer < closest.wer:
            closest = after
    reached = "far from fp32"
    if closest is not None:
        more = closest.deletion_rate - before.deletion_rate
        reached = f"WER {100 * (closest.wer - before.wer):+.2f}, deletions {100 * more:+.2f}"
    raise VerificationError(
        f"{precision} does not keep the budget ({budget}) with half of the weights quantized; closest was {reached}: "
        "no bundle was written; allow more or choose a higher precision"
    )


def _holds(budget: Budget, before: WordErrors, after: WordErrors, kept: int) -> bool:
    held = budget.holds(before, after)
    log.info(
        "  %d layer(s) kept: WER %.2f -> %.2f %%, deletions %.2f -> %.2f %%, %s %s",
        kept, 100 * before.wer, 100 * after.wer, 100 * before.deletion_rate, 100 * after.deletion_rate,
        "within" if held else "over", budget,
    )  # fmt: skip
    return held


def _quantized_fraction(original: onnx.ModelProto, final: onnx.ModelProto, precision: str) -> float:
    return precision_fractions(GraphAudit(original, final).entries()).get(precision, 0.0)
