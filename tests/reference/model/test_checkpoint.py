"""Checkpoints are restored exactly; everything else is rejected in one line."""

from __future__ import annotations

import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from edgespeech.errors import CheckpointError
from edgespeech.reference.model.checkpoint import load_checkpoint, save_atomically, save_checkpoint


@pytest.fixture(scope="module")
def model(tiny_model_factory: Callable[..., Any]) -> Any:
    return tiny_model_factory()


@pytest.fixture(scope="module")
def content(model: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the content of a valid checkpoint, for tests that damage it."""
    path = tmp_path_factory.mktemp("good") / "good.pt"
    save_checkpoint(model, path, {"name": "tiny"})
    value = torch.load(path, weights_only=True)
    assert isinstance(value, dict)
    return value


def rejected(path: Path, *words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_checkpoint_is_restored(tiny_model: Any, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "ckpt.pt"
    save_checkpoint(tiny_model, path, {"name": "tiny", "wer": 0.5})
    loaded, provenance = load_checkpoint(path)
    assert provenance == {"name": "tiny", "wer": 0.5}
    assert loaded.config == tiny_model.config
    assert loaded.labels.symbols == tiny_model.labels.symbols
    assert not loaded.training
    for name, value in tiny_model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_a_checkpoint_in_half_precision_is_restored(model: Any, tmp_path: Path) -> None:
    with torch.no_grad():
        model.convolutions[0].batch_norm.running_variance[0] = 1e6  # more than float16 holds
    for half in (False, True):
        save_checkpoint(model, tmp_path / f"{half}.pt", {}, half=half)
    loaded, _ = load_checkpoint(tmp_path / "True.pt")
    for name, value in model.state_dict().items():
        got = loaded.state_dict()[name]
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, value, atol=1e-3, rtol=1e-3)
    weights = torch.load(tmp_path / "True.pt", weights_only=True)["weights"]
    assert weights["recurrents.0.rnn.weight_hh_l0"].dtype == torch.float16


class Hostile:
    """A pickle that creates a folder when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_a_hostile_pickle_is_rejected_and_not_run(content: dict[str, Any], tmp_path: Path) -> None:
    mark = tmp_path / "was_run"
    torch.save({**content, "provenance": Hostile(mark)}, tmp_path / "new.pt")
    torch.save({**content, "provenance": Hostile(mark)}, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    rejected(tmp_path / "new.pt", "refused")
    rejected(tmp_path / "legacy.pt")
    assert not mark.exists()


def test_files_that_are_not_checkpoints_are_rejected(content: dict[str, Any], tmp_path: Path) -> None:
    good = tmp_path / "good.pt"
    torch.save(content, good)
    rejected(tmp_path / "nowhere.pt", "no checkpoint at")
    rejected(tmp_path, "no checkpoint at")
    for name, data in {"text": b"hello\n", "empty": b"", "truncated": good.read_bytes()[:-500]}.items():
        (tmp_path / name).write_bytes(data)
        rejected(tmp_path / name, "damaged or not a checkpoint")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("hello.txt", "hello")
    rejected(tmp_path / "other.zip", "damaged or not a checkpoint")
    torch.save([1, 2], tmp_path / "list.pt")
    rejected(tmp_path / "list.pt", "contains a list")


@pytest.mark.parametrize("seed", range(25))
def test_damaged_bytes_never_end_in_a_traceback(content: dict[str, Any], tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    path = tmp_path / "damaged.pt"
    torch.save(content, path)
    damaged = bytearray(path.read_bytes())
    pickle_end = damaged.index(b"data.pkl") + 3000
    for _ in range(5):
        damaged[chance.randrange(pickle_end)] ^= 1 << chance.randrange(8)
    path.write_bytes(damaged)
    try:
        load_checkpoint(path)
    except CheckpointError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"format": "something"}, "'something'"),
        ({"version": 2}, "version 2"),
        ({"model": {"cell": "gru", "colour": "red"}}, "colour"),
        ({"model": {}}, "do not fit"),
        ({"labels": ["a", "b"]}, "blank"),
        ({"labels": ["", "a", "b"]}, "do not fit"),
        ({"labels": 5}, "do not fit"),
        ({"labels": ["", 5]}, "do not fit"),
        ({"weights": {}}, "do not fit"),
        ({"weights": {"output.linear.weight": "none"}}, "do not fit"),
        ({"weights": None}, "do not fit"),
        ({"provenance": 3}, "do not fit"),
    ],
)
def test_parts_that_do_not_fit_together_are_rejected(
    content: dict[str, Any], tmp_path: Path, change: dict[str, Any], word: str
) -> None:
    torch.save({**content, **change}, tmp_path / "damaged.pt")
    rejected(tmp_path / "damaged.pt", word)


@pytest.mark.parametrize("key", ["format", "version", "model", "labels", "weights", "provenance"])
def test_a_missing_part_is_named(content: dict[str, Any], tmp_path: Path, key: str) -> None:
    torch.save({name: value for name, value in content.items() if name != key}, tmp_path / "partial.pt")
    rejected(tmp_path / "partial.pt", key)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_rejected(content: dict[str, Any], tmp_path: Path, bad: float) -> None:
    weights = {name: value.clone() for name, value in content["weights"].items()}
    weights["output.linear.bias"][1] = bad
    torch.save({**content, "weights": weights}, tmp_path / "bad.pt")
    rejected(tmp_path / "bad.pt", "not finite")


def test_weights_of_another_shape_are_rejected(content: dict[str, Any], tmp_path: Path) -> None:
    weights = {**content["weights"], "output.linear.bias": torch.zeros(3)}
    torch.save({**content, "weights": weights}, tmp_path / "shape.pt")
    rejected(tmp_path / "shape.pt", "output.linear.bias")


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_atomically({"step": 1}, path)
    with pytest.raises((AttributeError, TypeError)):
        save_atomically({"step": lambda: None}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.pt"]
