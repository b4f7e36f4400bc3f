"""The front ends equal the features that other projects computed of the same clip with their own code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgespeech.reference.model.config import FeatureConfig, kaldi_features
from edgespeech.reference.model.edges import Span
from edgespeech.reference.model.features import Features
from edgespeech.runtime import audio

CASES = Path(__file__).parents[4] / "shared" / "import_cases"
CLIP = "librispeech_1737-146161-0013"
CENTRED: dict[str, Any] = {
    "window": "hamming",
    "spectrum": "magnitude",
    "scale": "linear",
    "logarithm": "log1p",
    "padding": (160, 160),
    "reflect": True,
}
FRONT_ENDS = {
    "sn-v1": FeatureConfig(**CENTRED, symmetric_window=True, gain=2.0**31),
    "sn-v2.0": FeatureConfig(**CENTRED, symmetric_window=True, gain=32768 / 32767),
    "sn-V2.1": FeatureConfig(**CENTRED, gain=32768 / 32767),
    "sn-V3.0": FeatureConfig(**CENTRED),
    "ps": kaldi_features(161),
}


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_features_equal_those_of_the_original(name: str) -> None:
    if not CASES.is_dir():
        pytest.skip("needs ../shared/import_cases, which is not part of the repository")
    with np.load(CASES / f"features-{name}.{CLIP}.npz") as stored:
        original = stored["fbank"].T if name == "ps" else stored["log1p"]
    samples = torch.from_numpy(audio.read(CASES / "clips" / f"{CLIP}.wav", 16000))[None]
    features, length = Features(FRONT_ENDS[name]), samples.shape[1]
    behind = torch.nn.functional.pad(samples, (0, 1600), value=0.5)
    ours = features(behind, Span(0, torch.tensor([length])))[0].numpy()
    ours = ours[:, features.alignment.delay :][:, : original.shape[1]]
    np.testing.assert_allclose(ours, original, rtol=1e-4, atol=1e-4 * float(np.abs(original).max()))
