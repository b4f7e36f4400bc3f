"""The pieces of a training step."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from edgespeech.reference.config import DataConfig, OptimisationConfig, TrainingConfig
from edgespeech.reference.trainer import build_trainer, parameter_groups


def configuration(**changes: Any) -> TrainingConfig:
    data = DataConfig(train=("all.jsonl",), dev=("all.jsonl",))
    return TrainingConfig(output="out", data=data, optimisation=OptimisationConfig(**changes))


def test_the_learning_rate_rises_and_falls(tiny_model_factory: Any) -> None:
    model = tiny_model_factory()
    config = configuration(warmup_steps=9, learning_rate=1.0)
    trainer = build_trainer(config, model, torch.device("cpu"), total_steps=100)
    rates = []
    for step in range(111):
        trainer.position.step = step
        rates.append(trainer.learning_rate())
    assert rates[0] == pytest.approx(0.1)
    assert rates[:10] == sorted(rates[:10]) and rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[100] == rates[110] == pytest.approx(0.01)
    timed = configuration(warmup_steps=9, learning_rate=1.0, budget_minutes=2.0)
    trainer = build_trainer(timed, model, torch.device("cpu"), total_steps=100)
    trainer.position.step, trainer.position.trained_seconds = 20, 120.0
    assert trainer.learning_rate() == pytest.approx(0.01)


def test_weight_decay_is_for_matrices_only(tiny_model_factory: Any) -> None:
    model = tiny_model_factory()
    decayed, plain = parameter_groups(model, 0.1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert len(decayed["params"]) + len(plain["params"]) == len(names)
    assert {names[id(p)] for p in decayed["params"]} == {
        name for name in names.values() if "weight" in name and "norm" not in name and "lookahead" not in name
    }
