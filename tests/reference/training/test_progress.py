"""Progress without a terminal: lines in the log, and the error rates after an epoch."""

from __future__ import annotations

import logging
from pathlib import Path

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
