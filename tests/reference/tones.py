"""Artificial speech: tones that stand for letters, which a tiny model learns in seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile  # type: ignore[import-untyped]

from edgespeech.reference.data.config import AugmentationConfig, DataConfig
from edgespeech.reference.model.config import ConvolutionConfig, FeatureConfig, ModelConfig
from edgespeech.reference.training.config import OptimisationConfig, TrainingConfig

HERTZ = {"a": 300.0, "b": 900.0, "c": 2000.0, " ": 0.0}
TEXTS = ["a", "b", "c", "ab", "ba", "ca cb", "abc", "cab b", "bac", "acb"]


def write_tones(folder: Path) -> None:
    """Write ten recordings, every letter a tone of 0.2 s, and their manifest ``all.jsonl``."""
    lines = []
    for index, text in enumerate(TEXTS):
        tones = [np.sin(2 * np.pi * HERTZ[letter] * np.arange(3200) / 16000) * 0.4 for letter in text]
        samples = np.concatenate([np.zeros(1600), *tones, np.zeros(1600)])
        soundfile.write(folder / f"{index}.wav", samples, 16000)
        lines.append({"audio_filepath": f"{index}.wav", "duration": len(samples) / 16000, "text": text})
    lines.append({"audio_filepath": "0.wav", "duration": 0.4, "text": "a2"})
    (folder / "all.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def configuration(
    epochs: int = 3, label_set: Any = "characters", workers: int = 0, cell: Any = "gru", **changes: Any
) -> TrainingConfig:
    chosen: dict[str, Any] = {
        **{"learning_rate": 0.02, "warmup_steps": 2, "ema_decay": 0.5, "precision": "float32", "dropout": 0.2},
        **changes,
    }
    return TrainingConfig(
        output="out",
        name="tones",
        licence="CC0",
        data=DataConfig(train=("all.jsonl",), dev=("all.jsonl",), batch_seconds=2.0, workers=workers),
        model=ModelConfig(
            features=FeatureConfig(bins=12),
            convolutions=(ConvolutionConfig(channels=16, kernel=5, stride=4),),
            cell=cell,
            hidden=16,
            layers=1,
            lookahead_frames=1,
            label_set=label_set,
        ),
        augmentation=AugmentationConfig(frequency_mask_bins=2),
        optimisation=OptimisationConfig(epochs=epochs, **chosen),
    )
