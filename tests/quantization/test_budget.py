"""Sensitivity and budgets, with a listener whose word errors are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edgespeech.errors import VerificationError
from edgespeech.quantization.budget import keep_within_budget
from edgespeech.quantization.error_rates import Budget, ErrorRates
from edgespeech.quantization.quantize import Quantizer
from edgespeech.quantization.sensitivity import LayerCost, measure_sensitivity
from edgespeech.runtime.bundle import Bundle

Samples = NDArray[np.float32]


def silent(line: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def quantizer(full: Bundle, speech: list[Samples]) -> Quantizer:
    """Calibrated once."""
    return Quantizer(full, speech, "minmax", silent)


@pytest.fixture(scope="module")
def costs(quantizer: Quantizer) -> list[LayerCost]:
    """Without word errors."""
    return measure_sensitivity(quantizer, "int8", report=silent)


def listener(penalties: dict[str, float], deletions: float = 0.0) -> Callable[[Bundle], ErrorRates]:
    """Hears 10 % wrong, and more for each weight that is int8 in the graph."""

    def evaluate(bundle: Bundle) -> ErrorRates:
        names = {weight.name for weight in onnx.load(str(bundle.acoustic_path)).graph.initializer}
        more = sum(value for weight, value in penalties.items() if f"{weight}.int8" in names)
        return ErrorRates(wer=10.0 + more, deletions=2.0 + (deletions if more else 0.0), cer=3.0)

    return evaluate


def test_layers_alone_are_ordered_by_cost(quantizer: Quantizer, costs: list[LayerCost]) -> None:
    assert {cost.weight for cost in costs} == {layer.name for layer in quantizer.layers}
    assert [cost.kl for cost in costs] == sorted((cost.kl for cost in costs), reverse=True)
    assert all(cost.wer_increase is None and cost.precision == "int8" for cost in costs)
    whole = quantizer.divergence(quantizer.rewrite(quantizer.plan("int8")))
    assert 0.0 < costs[-1].kl < costs[0].kl < 2.0 * whole.kl + 1e-6


def test_word_errors_of_layers_alone(quantizer: Quantizer) -> None:
    lines: list[str] = []
    costs = measure_sensitivity(quantizer, "int8", listener({"recurrent1.W": 1.5}), lines.append)
    assert {cost.weight: cost.wer_increase for cost in costs if cost.wer_increase} == {"recurrent1.W": 1.5}
    assert any("recurrent1.W alone in int8" in line and "WER +1.50" in line for line in lines)


def test_nothing_is_kept_where_nothing_is_lost(quantizer: Quantizer, costs: list[LayerCost]) -> None:
    assert keep_within_budget(quantizer, "int8", costs, Budget(0.0, 0.0), listener({}), report=silent) == ()


def test_the_fewest_layers_are_kept(quantizer: Quantizer, costs: list[LayerCost]) -> None:
    second = costs[1].weight
    kept = keep_within_budget(quantizer, "int8", costs, Budget(0.5), listener({second: 2.0}), report=silent)
    assert kept == (costs[0].weight, second)
    assert keep_within_budget(quantizer, "int8", costs, Budget(2.0), listener({second: 2.0}), report=silent) == ()


def test_weights_kept_by_wish_stay_kept(quantizer: Quantizer, costs: list[LayerCost]) -> None:
    last = costs[-1].weight
    kept = keep_within_budget(quantizer, "int8", costs, Budget(0.5), listener({last: 2.0}), [last], silent)
    assert kept == (last,)


def test_words_left_out_have_a_budget_of_their_own(quantizer: Quantizer, costs: list[LayerCost]) -> None:
    first = costs[0].weight
    heard = listener({first: 0.1}, deletions=0.4)
    assert keep_within_budget(quantizer, "int8", costs, Budget(0.5), heard, report=silent) == ()
    assert keep_within_budget(quantizer, "int8", costs, Budget(0.5, 0.3), heard, report=silent) == (first,)


def test_a_budget_that_cannot_hold_is_refused(quantizer: Quantizer, costs: list[LayerCost]) -> None:
    everything = listener({cost.weight: 1.0 for cost in costs})
    with pytest.raises(
        VerificationError, match=r"does not keep the budget \(WER \+0.1\).*no bundle was written"
    ) as raised:
        keep_within_budget(quantizer, "int8", costs, Budget(0.1), everything, report=silent)
    assert raised.value.exit_code == 1 and "\n" not in str(raised.value)


def test_a_graph_far_off_is_over_every_budget(
    quantizer: Quantizer, costs: list[LayerCost], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("edgespeech.quantization.quantize.MOST_DIVERGENCE", 1e-12)
    with pytest.raises(VerificationError, match="closest was nothing like fp32"):
        keep_within_budget(quantizer, "int8", costs, Budget(100.0), listener({}), report=silent)
    alone = measure_sensitivity(quantizer, "int8", listener({}), silent)
    assert any(cost.wer_increase is None for cost in alone)
