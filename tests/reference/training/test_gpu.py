"""Training on a GPU gives the results of a CPU; skipped without a GPU."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from edgespeech.reference.data.augment import WaveAugmenter
from edgespeech.reference.data.config import AugmentationConfig
from edgespeech.reference.model.config import FeatureConfig
from edgespeech.reference.model.features import Features
from edgespeech.reference.model.layers import Recurrent
from edgespeech.reference.training.train import train
from edgespeech.reference.training.workers import Workers
from tests.reference.tones import configuration, write_tones

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")


def test_features_match_the_cpu_even_in_quiet_bins() -> None:
    with Workers() as workers:
        time = torch.arange(16000) / 16000
        tone = (0.9 * torch.sin(2 * torch.pi * 300.0 * time))[None]
        features = Features(FeatureConfig())
        expected = features(tone)
        torch.testing.assert_close(
            features.to(workers.device)(tone.to(workers.device)).cpu(), expected, atol=0.02, rtol=0
        )


@pytest.mark.parametrize("batch", [1, 8, 13])
@pytest.mark.parametrize("hidden", [128, 96])
def test_an_lstm_in_half_precision_matches_the_cpu(batch: int, hidden: int) -> None:
    layer = Recurrent("lstm", 128, hidden, batch_norm=False).train()
    x = torch.randn(batch, 30, 128)
    expected = layer(x)
    layer.cuda()
    with torch.autocast("cuda", torch.float16):
        y = layer(x.cuda())
    torch.testing.assert_close(y.float().cpu(), expected, atol=5e-3, rtol=0)
    y.float().square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in layer.parameters())


def test_augmentation_matches_the_cpu() -> None:
    samples = torch.from_numpy(np.random.default_rng(0).standard_normal((9, 8000)).astype(np.float32)) * 0.1
    config = AugmentationConfig(speed_prob=0.5, band_limit_prob=0.5)
    made = []
    for device in (torch.device("cpu"), torch.device("cuda")):
        augmenter = WaveAugmenter(config, 16000, [], [], device)
        changed, lengths = augmenter(samples.to(device), np.full(9, 8000), np.random.default_rng(1), 0)
        made.append((changed.cpu(), lengths))
    assert np.array_equal(made[0][1], made[1][1])
    torch.testing.assert_close(made[0][0], made[1][0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("precision", ["auto", "bfloat16", "float32"])
def test_a_training_learns(tmp_path: Path, precision: str) -> None:
    write_tones(tmp_path)
    config = configuration(epochs=12, cell="lstm", precision=precision)
    config = msgspec.structs.replace(config, data=msgspec.structs.replace(config.data, resident=True))
    train(config, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "out" / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[-1]["dev_loss"] < 0.6 * lines[0]["dev_loss"]
