"""The learning rate and the optimisers of a training step."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from edgespeech.reference.data.config import DataConfig
from edgespeech.reference.training.config import OptimisationConfig, TrainingConfig
from edgespeech.reference.training.trainer import build_optimisers, build_trainer


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


def test_weight_decay_applies_to_matrices_only(tiny_model_factory: Any) -> None:
    model = tiny_model_factory()
    (adamw,) = build_optimisers(model, OptimisationConfig(weight_decay=0.1))
    decayed, plain = adamw.param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert len(decayed["params"]) + len(plain["params"]) == len(names)
    assert {names[id(p)] for p in decayed["params"]} == {
        name for name in names.values() if "weight" in name and "norm" not in name and "lookahead" not in name
    }


def test_muon_optimises_matrices_and_kernels_but_not_the_output_layer(tiny_model_factory: Any) -> None:
    model = tiny_model_factory()
    adamw, muon = build_optimisers(model, OptimisationConfig(optimiser="muon"))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    taken = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    assert taken and all(name.endswith(("convolution.weight", "weight_ih_l0", "weight_hh_l0")) for name in taken)
    others = {names[id(p)] for group in adamw.param_groups for p in group["params"]}
    assert "output.linear.weight" in others and taken | others == set(names.values()) and not taken & others
