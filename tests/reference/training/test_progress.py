"""Progress without a terminal: lines in the log, and the error rates after an epoch."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
import pytest
import torch

from edgespeech.reference.training import progress
from edgespeech.reference.training.greedy import GreedyResult
from edgespeech.reference.training.progress import TrainingProgress
from edgespeech.reference.training.train import train
from edgespeech.runtime.measure.word_errors import align_and_count
from tests.reference.tones import configuration, write_tones


@pytest.fixture(autouse=True)
def every_batch(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Log a line after every batch instead of one a minute."""
    monkeypatch.setattr(progress, "LINE_EVERY_SECONDS", -1.0)
    caplog.set_level(logging.INFO, "edgespeech")


def test_a_line_has_epoch_batch_loss_and_learning_rate(caplog: pytest.LogCaptureFixture) -> None:
    with TrainingProgress(epochs=3, batches=10, enabled=True) as shown:
        shown.begin_epoch(1, 11)
        shown.update(1, 4, torch.tensor(2.0), 1e-3)
        shown.update(1, 5, torch.tensor(1.0), 1e-3)
    assert caplog.messages == [
        "epoch 2 batch 4/11 loss 2.000 lr 1.0e-03",
        "epoch 2 batch 5/11 loss 1.970 lr 1.0e-03",
    ]


def test_an_epoch_ends_with_error_rates_and_an_example(caplog: pytest.LogCaptureFixture) -> None:
    errors = align_and_count(["a cat", "yes"], ["a hat", "yes"])
    with TrainingProgress(epochs=3, batches=10, enabled=True) as shown:
        shown.end_epoch(2, GreedyResult(errors, 1.5, ("a cat", "a hat")))
    assert caplog.messages == [
        "epoch 2/3: dev WER 33.3%, CER 12.5%, loss 1.500",
        "  reference:  a cat\n  hypothesis: a hat",
    ]


def test_other_workers_log_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_tones(tmp_path)
    train(configuration(epochs=1), tmp_path)
    assert sum(" batch " in line for line in caplog.messages) > 3
    caplog.clear()
    monkeypatch.setenv("RANK", "1")
    train(configuration(epochs=1), tmp_path)
    assert caplog.messages == []


def test_a_terminal_shows_how_far_the_features_are_measured_before_the_first_step(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Up to 32 large batches are read before the first step, which takes half a minute."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    write_tones(tmp_path)
    summary: list[bool] = []

    def measure(model: object, batches: Iterable[object]) -> None:
        summary.append(any("parameters" in line for line in caplog.messages))
        list(batches)

    monkeypatch.setattr("edgespeech.reference.training.train.measure_features", measure)
    train(configuration(epochs=1), tmp_path, minutes=0.0)
    assert summary == [True], "the first line comes before the work"
    shown = click.unstyle(capsys.readouterr().err)
    batches = {found[1] for found in re.finditer(r"(\d+/\d+) \S+ measuring the features", shown)}
    done, total = max(batches, key=lambda text: int(text.split("/")[0])).split("/")
    assert done == total and int(total) > 1


def test_the_best_checkpoint_is_named_once_there_is_one(
    edgespeech: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the first epoch there is only ``last.pt``."""
    write_tones(tmp_path)
    (tmp_path / "tones.toml").touch()
    monkeypatch.setattr(
        "edgespeech.reference.training.config.read_training_config", lambda path: configuration(epochs=1)
    )
    outcome = edgespeech("train", tmp_path / "tones.toml", "--minutes", "0")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err.splitlines()[-1] == (
        "stopped at epoch 1, step 1, too early for a best.pt; continue with --resume"
    )
    outcome = edgespeech("train", tmp_path / "tones.toml", "--resume")
    assert (outcome.code, outcome.out) == (0, f"{tmp_path / 'out' / 'best.pt'}\n")
