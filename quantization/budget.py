"""Keep the most sensitive layers in higher precision until the word errors are within a budget."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import onnx

from edgespeech.errors import VerificationError
from edgespeech.quantization.error_rates import Budget, ErrorRates, Evaluate
from edgespeech.quantization.graph_audit import GraphAudit, shares
from edgespeech.quantization.quantize import IntegerPrecision, Quantizer
from edgespeech.quantization.sensitivity import LayerCost

# With less than half of the weights quantized the bundle would not be what was asked for.
LEAST_SHARE = 0.5


def keep_within_budget(
    quantizer: Quantizer,
    precision: IntegerPrecision,
    costs: Sequence[LayerCost],
    budget: Budget,
    evaluate: Evaluate,
    keep: Collection[str] = (),
    report: Callable[[str], None] = print,
) -> tuple[str, ...]:
    """Find the fewest of the most sensitive layers that must be kept.

    Args:
        quantizer: Calibrated.
        precision: Wanted.
        costs: The most sensitive layer first.
        budget: Of word errors.
        evaluate: Counts them.
        keep: Weights that are kept in any case.
        report: Takes lines for people.

    Returns:
        Weights to keep in the next higher precision.

    Raises:
        VerificationError: The budget does not hold although half of the weights were kept.
    """
    before = evaluate(quantizer.bundle)
    closest: ErrorRates | None = None
    for count in range(len(costs) + 1):
        kept = tuple(dict.fromkeys([*keep, *(cost.weight for cost in costs[:count])]))
        model = quantizer.rewrite(quantizer.plan(precision, kept))
        if _share(quantizer.graph.model, model, precision) < LEAST_SHARE:
            break
        try:
            with tempfile.TemporaryDirectory() as folder:
                after = evaluate(quantizer.write(Path(folder) / "tried", precision, model, report=lambda line: None))
        except VerificationError as error:
            report(f"  {len(kept)} layer(s) kept: {error}")
            continue
        held = budget.holds(before, after)
        report(
            f"  {len(kept)} layer(s) kept: WER {before.wer:.2f} -> {after.wer:.2f} %, "
            f"deletions {before.deletions:.2f} -> {after.deletions:.2f} %, {'within' if held else 'over'} {budget}"
        )
        if held:
            return kept
        if closest is None or after.wer < closest.wer:
            closest = after
    reached = "nothing like fp32"
    if closest is not None:
        reached = f"WER {closest.wer - before.wer:+.2f}, deletions {closest.deletions - before.deletions:+.2f}"
    raise VerificationError(
        f"{precision} does not keep the budget ({budget}) with half of the weights quantized; closest was {reached}: "
        "no bundle was written; allow more or choose a higher precision"
    )


def _share(original: onnx.ModelProto, final: onnx.ModelProto, precision: str) -> float:
    return shares(GraphAudit(original, final).entries()).get(precision, 0.0)
