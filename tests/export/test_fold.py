"""Folding changes the weights but not the outputs of a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgespeech.export.fold import fold_batch_norm, fold_error
from edgespeech.reference.model.layers import MaskedBatchNorm

Samples = NDArray[np.float32]


def test_folded_equals_unfolded(tiny_model: Any, noise: Callable[[int], Samples]) -> None:
    before = {name: value.clone() for name, value in tiny_model.state_dict().items()}
    folded = fold_batch_norm(tiny_model)
    assert folded.config.batch_norm is False
    assert not folded.training
    assert not any(isinstance(module, MaskedBatchNorm) for module in folded.modules())
    assert fold_error(tiny_model, folded, [noise(9000), noise(640)]) < 2e-5
    for name, value in tiny_model.state_dict().items():
        assert value.dtype == before[name].dtype and torch.equal(value, before[name]), name


def test_every_batch_norm_matters(tiny_model: Any, noise: Callable[[int], Samples]) -> None:
    for norm in (module for module in tiny_model.modules() if isinstance(module, MaskedBatchNorm)):
        folded = fold_batch_norm(tiny_model)
        norm.running_mean += 0.3
        assert fold_error(tiny_model, folded, [noise(9000)]) > 1e-3
        norm.running_mean -= 0.3


def test_without_batch_norm_nothing_changes(tiny_model_factory: Callable[..., Any]) -> None:
    model = tiny_model_factory(batch_norm=False)
    folded = fold_batch_norm(model)
    assert folded.config == model.config
    for name, value in model.state_dict().items():
        assert torch.equal(folded.state_dict()[name], value), name


def test_folding_again_changes_nothing(tiny_model: Any) -> None:
    once = fold_batch_norm(tiny_model)
    twice = fold_batch_norm(once)
    assert all(torch.equal(value, twice.state_dict()[name]) for name, value in once.state_dict().items())


def test_the_fold_error_is_the_largest_of_all_recordings(
    tiny_model_factory: Callable[..., Any], noise: Callable[[int], Samples]
) -> None:
    model, other = tiny_model_factory(), tiny_model_factory()
    with torch.no_grad():
        other.output.linear.bias[3] += 0.5
    errors = [fold_error(model, other, [noise(n)]) for n in (640, 6400)]
    assert errors[0] != errors[1]
    assert fold_error(model, other, [noise(640), noise(6400)]) == max(errors)


@pytest.mark.parametrize("spoiled", [0, 1])
def test_nan_makes_the_fold_error_nan(
    tiny_model_factory: Callable[..., Any], noise: Callable[[int], Samples], spoiled: int
) -> None:
    models = [tiny_model_factory(batch_norm=False) for _ in range(2)]
    models[spoiled].output.linear.bias.data[1] = float("nan")
    assert np.isnan(fold_error(models[0], models[1], [noise(1280), noise(640)]))
