"""Weighted means of checkpoints, of one model only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from edgespeech.demo.cli import cli
from edgespeech.errors import CheckpointError, UsageError
from edgespeech.reference.data.config import DataConfig
from edgespeech.reference.model.checkpoint import load_checkpoint, save_atomically, save_checkpoint
from edgespeech.reference.training.averaging import average_checkpoints
from edgespeech.reference.training.config import TrainingConfig
from edgespeech.reference.training.trainer import build_trainer


def saved(model: Any, path: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    with torch.no_grad():
        for value in model.state_dict().values():
            value.copy_(torch.randn(value.shape))
    save_checkpoint(model, path, {"name": path.stem, "dev_wer": 0.25})
    return path


@pytest.fixture
def pair(tiny_model_factory: Callable[..., Any], tmp_path: Path) -> list[Path]:
    return [saved(tiny_model_factory(), tmp_path / f"{seed}.pt", seed) for seed in range(2)]


def test_parameters_and_statistics_are_averaged_by_their_weights(pair: list[Path]) -> None:
    mean, provenance = average_checkpoints(pair, [1.0, 3.0])
    first, second = (load_checkpoint(path)[0].state_dict() for path in pair)
    for name, value in mean.state_dict().items():
        torch.testing.assert_close(value, 0.25 * first[name] + 0.75 * second[name])
    assert provenance["name"] == "1" and list(provenance["averaged"].values()) == [1.0, 3.0]
    assert "dev_wer" not in provenance and average_checkpoints(pair[:1], [1.0])[1]["dev_wer"] == 0.25


def test_a_training_state_counts_with_its_averaged_weights(
    pair: list[Path], tiny_model_factory: Callable[..., Any], tmp_path: Path
) -> None:
    model = tiny_model_factory()
    config = TrainingConfig(output="out", data=DataConfig(train=("all.jsonl",), dev=("all.jsonl",)), model=model.config)
    trainer = build_trainer(config, model, torch.device("cpu"), 1)
    with torch.no_grad():
        for value in trainer.averaged.state_dict().values():
            value.fill_(3.0)
    save_atomically(trainer.state(), tmp_path / "last.pt")
    mean, provenance = average_checkpoints([pair[0], tmp_path / "last.pt"], [0.0, 1.0])
    assert all(bool((value == 3.0).all()) for value in mean.state_dict().values())
    assert provenance["train"] == ["all.jsonl"] and provenance["epoch"] == 0
    old = {"noise_share": 0.3, "time_mask_share": 0.1}  # names of keys in states of earlier versions
    save_atomically(
        {**trainer.state(), "config": {**trainer.state()["config"], "augmentation": old}}, tmp_path / "old.pt"
    )
    assert average_checkpoints([tmp_path / "old.pt"], [1.0])[1]["train"] == ["all.jsonl"]
    save_atomically({**trainer.state(), "average": {}}, tmp_path / "broken.pt")
    with pytest.raises(CheckpointError, match="do not fit"):
        average_checkpoints([pair[0], tmp_path / "broken.pt"], [1.0, 1.0])


def test_another_model_is_rejected(pair: list[Path], tiny_model_factory: Callable[..., Any], tmp_path: Path) -> None:
    other = saved(tiny_model_factory(cell="gru"), tmp_path / "other.pt", 2)
    with pytest.raises(CheckpointError, match="another model"):
        average_checkpoints([*pair, other], [1.0, 1.0, 1.0])


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, 1.0, 1.0]])
def test_the_wrong_number_of_weights_is_rejected(pair: list[Path], weights: list[float]) -> None:
    with pytest.raises(UsageError, match="one for each"):
        average_checkpoints(pair, weights)


def test_no_checkpoint_is_rejected() -> None:
    with pytest.raises(UsageError, match="one for each"):
        average_checkpoints([], [])


def test_half_makes_a_small_copy_of_one_checkpoint(pair: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "small.pt"
    outcome = CliRunner().invoke(cli, ["average", str(pair[0]), "-o", str(output), "--half"])
    assert (outcome.exit_code, outcome.output.strip()) == (0, str(output))
    before, after = (load_checkpoint(path)[0].state_dict() for path in (pair[0], output))
    for name, value in before.items():
        torch.testing.assert_close(after[name], value.half().float() if value.dim() > 1 else value, rtol=0.0, atol=0.0)


@pytest.mark.parametrize("option", ["--weights", "--shares"])
def test_the_command_takes_weights_under_both_names(pair: list[Path], tmp_path: Path, option: str) -> None:
    output = tmp_path / "mean.pt"
    outcome = CliRunner().invoke(cli, ["average", *map(str, pair), "-o", str(output), option, "0.5,0.5"])
    assert (outcome.exit_code, outcome.output.strip()) == (0, str(output))
    assert load_checkpoint(output)[1]["averaged"] == {f"{path.parent.name}/{path.name}": 0.5 for path in pair}
    outcome = CliRunner().invoke(cli, ["average", *map(str, pair), "-o", str(output), option, "half"])
    assert isinstance(outcome.exception, UsageError)
