"""Tones, manifests and configurations that several tests of clips and batches use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile  # type: ignore[import-untyped]

from edgespeech.reference.data.config import DataConfig
from edgespeech.reference.model.config import ModelConfig
from edgespeech.reference.model.labels import CHARACTERS, Labels

LABELS = Labels(CHARACTERS)
MODEL = ModelConfig()
RATE = 16000


def tone(folder: Path, name: str, seconds: float, hertz: float = 440.0) -> str:
    time = np.arange(round(seconds * RATE)) / RATE
    soundfile.write(folder / name, 0.5 * np.sin(2 * np.pi * hertz * time), RATE, subtype="PCM_16")
    return name


def manifest(folder: Path, lines: list[dict[str, Any]]) -> Path:
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def data_config(**changes: Any) -> DataConfig:
    return DataConfig(train=("a",), dev=("b",), **changes)
