"""Sensitivity and budgets, with an evaluation whose word errors are known."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edgespeech.errors import VerificationError
from edgespeech.quantization.budget import keep_within_budget
from edgespeech.quantization.quantizer import Quantizer
from edgespeech.quantization.requests import Budget
from edgespeech.quantization.sensitivity import LayerCost, measure_sensitivity
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.measure.word_errors import WordErrors

Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def quantizer(full: Bundle, speech: list[Samples]) -> Quantizer:
    """A quantizer that was calibrated once."""
    return Quantizer(full, speech, "minmax")


@pytest.fixture(scope="module")
def costs(quantizer: Quantizer) -> list[LayerCost]:
    """Costs of the layers without word errors."""
    return measure_sensitivity(quantizer, "int8")


def evaluation(
    known_errors: Callable[..., WordErrors], penalties: dict[str, float], deletions: float = 0.0
) -> Callable[[Bundle], WordErrors]:
    """Return an evaluation with 10 % word errors, and more for each weight that is int8 in the graph."""

    def evaluate(bundle: Bundle) -> WordErrors:
        names = {weight.name for weight in onnx.load(str(bundle.acoustic_path)).graph.initializer}
        more = sum(value for weight, value in penalties.items() if f"{weight}.int8" in names)
        return known_errors(wer=0.1 + more, deletions=0.02 + (deletions if more else 0.0))

    return evaluate


@pytest.fixture
def penalising(known_errors: Callable[..., WordErrors]) -> Callable[..., Callable[[Bundle], WordErrors]]:
    """Make an evaluation from penalties by weight, as fractions of the words."""
    return lambda penalties, deletions=0.0: evaluation(known_errors, penalties, deletions)


Penalising = Callable[..., Callable[[Bundle], WordErrors]]


def test_a_budget_limits_absolute_increases(known_errors: Callable[..., WordErrors]) -> None:
    before = known_errors(wer=0.1, deletions=0.02)
    budget = Budget.from_percent(0.5, None)
    assert budget == Budget(0.005, None) and str(budget) == "WER +0.5"
    assert budget.holds(before, known_errors(wer=0.105, deletions=0.1))
    assert not budget.holds(before, known_errors(wer=0.1051, deletions=0.02))
    both = Budget.from_percent(0.5, 0.3)
    assert str(both) == "WER +0.5, deletions +0.3"
    assert both.holds(before, known_errors(wer=0.105, deletions=0.023))
    assert not both.holds(before, known_errors(wer=0.105, deletions=0.024))


def test_layers_quantized_alone_are_ordered_by_cost(quantizer: Quantizer, costs: list[LayerCost]) -> None:
    assert {cost.weight for cost in costs} == {layer.name for layer in quantizer.layers}
    assert [cost.kl for cost in costs] == sorted((cost.kl for cost in costs), reverse=True)
    assert all(cost.wer_increase is None and cost.precision == "int8" for cost in costs)
    whole = quantizer.divergence(quantizer.rewrite(quantizer.plan("int8")))
    assert 0.0 < costs[-1].kl < costs[0].kl < 2.0 * whole.kl + 1e-6


def test_word_errors_of_layers_quantized_alone(
    quantizer: Quantizer, penalising: Penalising, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "edgespeech"):
        costs = measure_sensitivity(quantizer, "int8", penalising({"recurrent1.W": 0.015}))
    increases = {cost.weight: cost.wer_increase for cost in costs if cost.wer_increase}
    assert increases == {"recurrent1.W": pytest.approx(0.015)}
    assert any("recurrent1.W alone in int8" in line and "WER +1.50" in line for line in caplog.messages)


def test_bundles_that_are_only_tried_are_details_of_the_log(
    quantizer: Quantizer, penalising: Penalising, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "edgespeech"):
        measure_sensitivity(quantizer, "int8", penalising({}))
    levels = {record.levelname for record in caplog.records if "acoustic.onnx" in record.message}
    assert levels == {"DEBUG"}


def test_no_layer_is_kept_if_no_word_is_lost(
    quantizer: Quantizer, costs: list[LayerCost], penalising: Penalising
) -> None:
    assert keep_within_budget(quantizer, "int8", costs, Budget(0.0, 0.0), penalising({})) == ()


def test_as_few_layers_as_possible_are_kept(
    quantizer: Quantizer, costs: list[LayerCost], penalising: Penalising
) -> None:
    second = costs[1].weight
    kept = keep_within_budget(quantizer, "int8", costs, Budget(0.005), penalising({second: 0.02}))
    assert kept == (costs[0].weight, second)
    assert keep_within_budget(quantizer, "int8", costs, Budget(0.02), penalising({second: 0.02})) == ()


def test_requested_weights_are_kept(quantizer: Quantizer, costs: list[LayerCost], penalising: Penalising) -> None:
    last = costs[-1].weight
    kept = keep_within_budget(quantizer, "int8", costs, Budget(0.005), penalising({last: 0.02}), [last])
    assert kept == (last,)


def test_deletions_have_their_own_budget(quantizer: Quantizer, costs: list[LayerCost], penalising: Penalising) -> None:
    first = costs[0].weight
    evaluate = penalising({first: 0.001}, deletions=0.004)
    assert keep_within_budget(quantizer, "int8", costs, Budget(0.005), evaluate) == ()
    assert keep_within_budget(quantizer, "int8", costs, Budget(0.005, 0.003), evaluate) == (first,)


def test_a_budget_that_cannot_hold_is_refused(
    quantizer: Quantizer, costs: list[LayerCost], penalising: Penalising
) -> None:
    everything = penalising({cost.weight: 0.01 for cost in costs})
    with pytest.raises(
        VerificationError, match=r"does not keep the budget \(WER \+0.1\).*no bundle was written"
    ) as raised:
        keep_within_budget(quantizer, "int8", costs, Budget(0.001), everything)
    assert raised.value.exit_code == 1 and "\n" not in str(raised.value)


def test_a_graph_far_from_float32_is_over_every_budget(
    quantizer: Quantizer, costs: list[LayerCost], penalising: Penalising, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgespeech.quantization.quantizer.MAX_DIVERGENCE", 1e-12)
    with pytest.raises(VerificationError, match="closest was far from fp32"):
        keep_within_budget(quantizer, "int8", costs, Budget(1.0), penalising({}))
    alone = measure_sensitivity(quantizer, "int8", penalising({}))
    assert any(cost.wer_increase is None for cost in alone)
