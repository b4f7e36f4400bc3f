"""Training that starts from a checkpoint."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec
import pytest
import torch

from edgespeech.errors import CheckpointError, ConfigError
from edgespeech.reference.data.batches import BucketSampler
from edgespeech.reference.model.checkpoint import load_checkpoint
from edgespeech.reference.training.train import train
from edgespeech.reference.training.trainer import build_trainer
from tests.reference.tones import configuration, write_tones


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write recordings, and a checkpoint ``out/best.pt`` that was trained on them for one epoch."""
    write_tones(tmp_path)
    train(configuration(epochs=1), tmp_path)
    return tmp_path


def test_it_starts_from_the_weights_of_the_checkpoint(folder: Path) -> None:
    before, _ = load_checkpoint(folder / "out" / "best.pt")
    config = msgspec.structs.replace(
        configuration(epochs=1, learning_rate=1e-9, warmup_steps=0), start="out/best.pt", output="tuned"
    )
    train(config, folder)
    after, _ = load_checkpoint(folder / "tuned" / "best.pt")
    for name, value in before.named_parameters():
        assert torch.allclose(value, after.get_parameter(name), atol=1e-6), name
    assert torch.equal(before.features.mean, after.features.mean)


def test_a_resumed_run_does_not_start_from_the_checkpoint_again(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edgespeech")
    config = msgspec.structs.replace(configuration(epochs=2), start="out/best.pt", output="tuned")
    train(config, folder, minutes=0.0)
    outcome = train(config, folder, resume=True)
    assert outcome.finished
    assert any(line.startswith("resuming at epoch 1, step 1") for line in caplog.messages)


def test_frozen_statistics_stay_those_of_the_start(folder: Path) -> None:
    config = configuration(epochs=2)
    frozen = msgspec.structs.replace(config.optimisation, frozen_statistics=True)
    train(msgspec.structs.replace(config, optimisation=frozen, start="out/best.pt", output="tuned"), folder)
    before, after = (dict(load_checkpoint(folder / one / "best.pt")[0].named_buffers()) for one in ("out", "tuned"))
    for name, value in before.items():
        assert torch.equal(value, after[name]), name
    with pytest.raises(ValueError, match="frozen_statistics in .optimisation. are those of start: give both or none"):
        msgspec.structs.replace(config, optimisation=frozen)


def test_a_run_without_progress_ends_after_its_patience(folder: Path) -> None:
    config = configuration(epochs=9, learning_rate=1e-9, warmup_steps=0, patience=2)
    outcome = train(msgspec.structs.replace(config, start="out/best.pt", output="tuned"), folder)
    assert outcome.finished and 3 <= outcome.position.epoch <= 9
    trainer = build_trainer(config, load_checkpoint(outcome.best)[0], torch.device("cpu"), 9)
    assert [trainer.record_wer(wer) and not trainer.is_past_best for wer in (0.5, 0.5, 0.6)] == [True, True, False]
    assert not trainer.is_past_best
    trainer.record_wer(0.7)
    assert trainer.is_past_best


def test_another_model_other_labels_or_a_missing_file_are_rejected(folder: Path) -> None:
    start = {"start": "out/best.pt", "output": "tuned"}
    with pytest.raises(ConfigError, match="another .model. or other labels"):
        train(msgspec.structs.replace(configuration(cell="lstm"), **start), folder)
    with pytest.raises(ConfigError, match="another .model. or other labels"):
        train(msgspec.structs.replace(configuration(label_set="bigrams"), **start), folder)
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        train(msgspec.structs.replace(configuration(), start="none.pt"), folder)
    assert not (folder / "tuned").exists()


def test_only_a_run_from_random_weights_goes_from_short_to_long() -> None:
    seconds = [float(i % 7 + 1) for i in range(60)]

    def longest(sampler: BucketSampler) -> list[float]:
        return [max(seconds[index] for index in batch) for batch in sampler.batches(0)]

    fresh = longest(BucketSampler(seconds, 20.0))
    tuned = longest(BucketSampler(seconds, 20.0, sorted_first=False))
    assert fresh == sorted(fresh)
    assert tuned != sorted(tuned)
