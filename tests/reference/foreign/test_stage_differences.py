"""Every stage of a model is compared with what the original wrote by the script of the examples."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from edgespeech.errors import UsageError, VerificationError
from edgespeech.reference.foreign.original import Original
from edgespeech.reference.foreign.reading import original_model, read_original
from edgespeech.reference.foreign.reference_outputs import read_reference
from edgespeech.reference.foreign.stage_differences import Comparison, compare
from edgespeech.reference.foreign.whole_utterance import features_of
from tests.docs.documents import DOCS
from tests.reference.foreign.originals import (
    DeepSpeechPytorch,
    PaddleSpeech,
    deepspeech_pytorch,
    package,
    paddlespeech,
    spectrogram_of,
)

SAMPLES = (np.random.default_rng(5).standard_normal(19_033) * 0.1).astype(np.float32)
LAYERS = ["normalised", "convolution0", "convolution1", "recurrent0", "recurrent1"]


def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_reference", DOCS / "examples" / "write_reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def written(folder: Path, era: str) -> tuple[Original, Path]:
    """Write a checkpoint, and what its network computes; later releases want the length of the recording too."""
    state = deepspeech_pytorch(era)
    torch.save(package(era, state), folder / "net.pth")
    features, normalised = spectrogram_of(SAMPLES, era)
    lengths = () if era.startswith("v1") else (torch.tensor([normalised.shape[1]]),)
    reference = folder / "reference.npz"
    example().write_deepspeech_pytorch(DeepSpeechPytorch(state, era), str(reference), normalised[None, None], *lengths)
    np.savez(folder / "more.npz", samples=SAMPLES, features=features.numpy())
    return read_original(folder / "net.pth"), reference


def compared(original: Original, *paths: Path) -> Comparison:
    reference = read_reference(paths, None, 16000)
    return compare(original_model(original), reference, original.per_utterance)


@pytest.mark.parametrize("era", ["v1.0", "v1.1", "v2.0", "V3.0"])
def test_all_stages_of_deepspeech_pytorch_agree(tmp_path: Path, era: str) -> None:
    original, reference = written(tmp_path, era)
    found = compared(original, reference, tmp_path / "more.npz")
    stages = ["features", *LAYERS, *(["lookahead"] if era != "v1.0" else [])]
    assert [one.part for one in found.differences[:-3]] == stages
    assert [one.part.split(",")[0] for one in found.differences[-3:]] == ["log_probs"] * 3
    assert found.agrees and found.without == () and found.unknown == ()
    assert all(0.0 <= one.largest < 5e-4 and one.above == 0 for one in found.differences)


@pytest.mark.parametrize(("cell", "connected"), [("lstm", ()), ("gru", (9, 7))])
def test_all_stages_of_paddlespeech_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cell: str, connected: tuple[int, ...]
) -> None:
    monkeypatch.setattr(nn.Module, "register_forward_post_hook", nn.Module.register_forward_hook, raising=False)
    arrays = pickle.loads(paddlespeech(tmp_path, cell, connected=connected).read_bytes())
    original = read_original(tmp_path)
    features = features_of(original_model(original), SAMPLES)
    normalised = ((features - 12.0) / 3.0).T[None]
    reference = tmp_path / "reference.npz"
    example().write_paddlespeech(PaddleSpeech(arrays), str(reference), normalised, torch.tensor([features.shape[1]]))
    np.savez(tmp_path / "more.npz", samples=SAMPLES, fbank=features.T.numpy())
    found = compared(original, reference, tmp_path / "more.npz")
    names = ["features", *LAYERS, *(f"connected{number}" for number in range(len(connected)))]
    assert [one.part for one in found.differences[:-3]] == names
    assert found.agrees and found.without == ()


def changed(reference: Path, **arrays: Any) -> Path:
    """Copy an archive with other arrays, None for those to be left out."""
    kept = {**np.load(reference), **arrays}
    path = reference.with_name("changed.npz")
    np.savez(path, **{name: one for name, one in kept.items() if one is not None})
    return path


def test_the_first_stage_that_differs_is_named(tmp_path: Path) -> None:
    original, reference = written(tmp_path, "v2.0")
    weights = dict(original.weights)
    weights["recurrents.1.rnn.bias_hh_l0"] = weights["recurrents.1.rnn.bias_hh_l0"] + 0.1
    wrong = Original("", original.config, original.labels, weights, True, ())
    found = compared(wrong, reference, tmp_path / "more.npz")
    parts = [one.part for one in found.differences if one.above]
    assert parts[:2] == ["recurrent1", "lookahead"] and not found.agrees
    with pytest.raises(
        VerificationError, match=r"first in recurrent1 .* while features, normalised, .*recurrent0 agree"
    ):
        found.require_equal()


def test_stages_without_data_and_unknown_arrays_are_listed(tmp_path: Path) -> None:
    original, reference = written(tmp_path, "v2.0")
    less = changed(reference, normalised=None, recurrent0=None, samples=SAMPLES, hidden=np.zeros(3))
    found = compared(original, less)
    assert found.without == ("features", "normalised", "recurrent0") and found.unknown == ("hidden",)
    assert found.agrees and "recurrent1" in [one.part for one in found.differences]


def not_a_number(array: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(np.arange(array.shape[-1]) == 3, np.float32(np.nan), array)


def test_other_shapes_and_values_are_refused_in_one_line(tmp_path: Path) -> None:
    original, reference = written(tmp_path, "v2.0")
    arrays = np.load(reference)
    layer, convolved = arrays["recurrent0"], arrays["convolution0"]
    cases: dict[str, tuple[dict[str, Any], type[Exception]]] = {
        r"recurrent0 of the shape \[24, 60\], .* \[60, 24\] \[frames, width\]": (
            {"recurrent0": layer.T}, VerificationError,
        ),
        r"convolution0 of the shape \[32, 60, 81\], .* \[channels, frequencies, frames\]": (
            {"convolution0": convolved.swapaxes(1, 2)}, VerificationError,
        ),
        "the original has recurrent7, the imported model only features, ": ({"recurrent7": layer}, VerificationError),
        "first in lookahead nan": ({"lookahead": not_a_number(arrays["lookahead"])}, VerificationError),
        "recurrent1 is an array of int64": ({"recurrent1": np.zeros((60, 24), np.int64)}, UsageError),
    }  # fmt: skip
    for words, (change, kind) in cases.items():
        with pytest.raises(kind, match=words) as caught:
            compared(original, changed(reference, samples=SAMPLES, **change)).require_equal()
        assert "\n" not in str(caught.value)
