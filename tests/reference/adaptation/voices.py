"""Voices that speak in tones: the letters of `tests.reference.tones`, or with each one's tone for the next."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import soundfile  # type: ignore[import-untyped]

from edgespeech.reference.training.train import train
from tests.reference.tones import HERTZ, configuration


def texts_of(count: int, seed: int = 0) -> list[str]:
    """Make different texts of three words with two letters each."""
    rng = random.Random(seed)
    texts: dict[str, None] = {}
    while len(texts) < count:
        letters = "".join(rng.choice("abc") for _ in range(6))
        texts[f"{letters[:2]} {letters[2:4]} {letters[4:]}"] = None
    return list(texts)


def write_voice(folder: Path, name: str, texts: Sequence[str], unusual: bool = False) -> Path:
    """Write recordings of 1.8 s and their manifest; an unusual voice has b's tone for a, c's for b, a's for c."""
    lines = []
    hertz = {**HERTZ, **{"a": HERTZ["b"], "b": HERTZ["c"], "c": HERTZ["a"]}} if unusual else HERTZ
    for index, text in enumerate(texts):
        tones = [np.sin(2 * np.pi * hertz[letter] * np.arange(3200) / 16000) * 0.4 for letter in text]
        samples = np.concatenate([np.zeros(1600), *tones, np.zeros(1600)])
        soundfile.write(folder / f"{name}{index}.wav", samples, 16000)
        lines.append({"audio_filepath": f"{name}{index}.wav", "text": text})
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def write_start(folder: Path) -> Path:
    """Train a tiny model on a voice, and return its checkpoint."""
    write_voice(folder, "all", texts_of(40, seed=1))
    config = configuration(epochs=20)
    config = msgspec.structs.replace(config, data=msgspec.structs.replace(config.data, batch_seconds=6.0))
    return train(config, folder).best
