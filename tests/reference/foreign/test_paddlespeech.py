"""Models of PaddleSpeech ds2_online with random weights against its computation, and what is refused."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from edgespeech.errors import CheckpointError
from edgespeech.reference.foreign.reading import original_model, read_original
from edgespeech.reference.foreign.whole_utterance import features_of, log_probs_of
from tests.reference.foreign.originals import PaddleSpeech, paddlespeech

SAMPLES = (np.random.default_rng(4).standard_normal(18_111) * 0.1).astype(np.float32)


@torch.no_grad()
def forward_paddlespeech(arrays: dict[str, Any], features: Tensor) -> Tensor:
    """Compute log-probabilities from features [bins, frames] before normalisation."""
    found: Tensor = PaddleSpeech(arrays)(((features - 12.0) / 3.0).T[None], torch.tensor([features.shape[1]]))
    return found


@pytest.mark.parametrize("connected", [(), (9,), (20, 7, 11)])
@pytest.mark.parametrize(("cell", "layers"), [("gru", 1), ("lstm", 3)])
def test_log_probs_equal_those_of_its_computation(
    tmp_path: Path, cell: str, layers: int, connected: tuple[int, ...]
) -> None:
    parameters = paddlespeech(tmp_path, cell, layers=layers, connected=connected)
    original = read_original(tmp_path)
    model = original_model(original)
    wanted = forward_paddlespeech(pickle.loads(parameters.read_bytes()), features_of(model, SAMPLES)).numpy()
    found = log_probs_of(model, SAMPLES)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 1e-4
    assert not original.per_utterance
    assert original.config.fully_connected == connected


def test_the_parameters_alone_find_the_files_around_them(tmp_path: Path) -> None:
    parameters = paddlespeech(tmp_path / "release")
    assert read_original(parameters).facts == read_original(tmp_path / "release").facts
    flat = tmp_path / "flat"
    flat.mkdir()
    for name in ("conf/preprocess.yaml", "data/mean_std.json", "data/vocab.txt"):
        shutil.copy(tmp_path / "release" / name, flat)
    shutil.copy(parameters, flat / "model.pdparams")
    assert read_original(flat / "model.pdparams").config == read_original(parameters).config


def test_labels_of_thousands_of_characters_keep_their_order(tmp_path: Path) -> None:
    characters = "".join(map(chr, range(0x4E00, 0x4E00 + 4000)))
    paddlespeech(tmp_path, characters=characters)
    assert read_original(tmp_path).labels.symbols == ("", "\ufffd", *characters, "\u2404")


Change = Callable[[dict[str, Any]], dict[str, Any]]


def changed(change: Change) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        path = folder / "exp/deepspeech2_online/checkpoints/avg_1.pdparams"
        path.write_bytes(pickle.dumps(change(pickle.loads(path.read_bytes())), protocol=4))

    return write


def replaced(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def removed(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


SUMS = '{{"mean_stat": [1], "var_stat": [1], "frame_num": {}}}'
ZEROS = np.zeros((3, 3), np.float32)
PARAMETERS = "exp/deepspeech2_online/checkpoints/avg_1.pdparams"
REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "bidirectional": (changed(lambda a: {**a, "encoder.rnn.0.weight_ih_l0_reverse": ZEROS}), "is bidirectional"),
    "no layer norm": (changed(lambda a: {k: v for k, v in a.items() if "layernorm_list.1" not in k}), "norm_list.1."),
    "unknown part": (changed(lambda a: {**a, "encoder.attention.weight": ZEROS}), "unknown part, encoder.attention"),
    "copies that differ": (changed(lambda a: {**a, "encoder.rnn.1.0.cell.bias_ih": ZEROS[0]}), "differ"),
    "objects": (changed(lambda a: {**a, "encoder.conv.conv.0.bias": np.array([None] * 32)}), "damaged"),
    "no arrays": (changed(lambda a: {"encoder.conv.conv.0.weight": 3}), "is not a model of ds2_online"),
    "no statistics": (removed("data/mean_std.json"), "has no data/mean_std.json"),
    "no vocabulary": (removed("data/vocab.txt"), "has no data/vocab.txt"),
    "no preprocessing": (removed("conf/preprocess.yaml"), "has no conf/preprocess.yaml"),
    "other statistics": (replaced("data/mean_std.json", SUMS.format(1)), "not 161 finite"),
    "zero frames": (replaced("data/mean_std.json", SUMS.format(0)), "not 161 finite"),
    "text for statistics": (replaced("data/mean_std.json", "mean"), "has no mean_stat, var_stat and frame_num"),
    "linear features": (replaced("conf/preprocess.yaml", "process: [{type: linear}]"), "wanted fbank_kaldi"),
    "list for preprocessing": (replaced("conf/preprocess.yaml", "- a\n- b\n"), "is not a list of steps"),
    "tagged preprocessing": (replaced("conf/preprocess.yaml", "process: !!python/name:os.getcwd ''"), "is not a list"),
    "a text": (replaced("conf/preprocess.yaml", "process: [{type: fbank_kaldi, fs: 8000, n_shift: x}]"), "n_shift"),
    "vocabulary without blank": (replaced("data/vocab.txt", "a\nb\n"), "begins with 'a', wanted <blank>"),
    "other vocabulary": (replaced("data/vocab.txt", "<blank>\na\nb\n"), "decoder.ctc_lo.weight has the shape [16, 6]"),
    "repeated label": (replaced("data/vocab.txt", "<blank>\na\na\nb\nc\nd\n"), "occurs twice"),
    "cut off": (lambda f: (f / PARAMETERS).write_bytes((f / PARAMETERS).read_bytes()[:90_000]), "damaged or cut off"),
    "empty": (replaced(PARAMETERS, ""), "is damaged or cut off"),
    "second file": (lambda f: (f / "exp/avg_2.pdparams").write_bytes(b""), "has 2 files of parameters"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_imported_is_named_in_one_line(tmp_path: Path, case: str) -> None:
    change, words = REFUSED[case]
    paddlespeech(tmp_path)
    change(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        original_model(read_original(tmp_path))
    assert words in str(caught.value) and "\n" not in str(caught.value)
