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
from edgespeech.reference.model.checkpoint import (
    load_checkpoint,
    model_from_state_dict,
    save_atomically,
    save_checkpoint,
    weight_shapes,
)


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
    rejected(tmp_path, "no checkpoint at", "a folder that holds good.pt")
    for name, data, words in (
        ("text", b"hello\n", "is text"),
        ("empty", b"", "is empty (0 bytes)"),
        ("truncated", good.read_bytes()[:-500], "cut off or damaged"),
    ):
        (tmp_path / name).write_bytes(data)
        rejected(tmp_path / name, "damaged or not a checkpoint", words)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("hello.txt", "hello")
    rejected(tmp_path / "other.zip", "damaged or not a checkpoint", "a zip archive without weights of torch")
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


def test_a_model_is_made_of_plain_tensors(tiny_model: Any, tmp_path: Path) -> None:
    weights = {name: value.double() for name, value in tiny_model.state_dict().items()}
    made = model_from_state_dict(weights, tiny_model.config, tiny_model.labels)
    samples = torch.randn(1, 4000) * 0.1
    with torch.no_grad():
        assert torch.equal(made(samples, torch.tensor([4000]))[0], tiny_model(samples, torch.tensor([4000]))[0])
    assert {name: tuple(value.shape) for name, value in weights.items()} == weight_shapes(made.config, made.labels)
    save_checkpoint(made, str(tmp_path / "made.pt"))
    loaded, provenance = load_checkpoint(str(tmp_path / "made.pt"))
    assert provenance == {} and loaded.config == tiny_model.config


def without(weights: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in weights.items() if name not in names}


MISFITS: list[tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = [
    (lambda w: without(w, "output.linear.weight", "features.mean"),
     r"they lack 2 of \d+ tensors, such as features.mean \[16\]; rename them"),
    (lambda w: {**w, "fc.weight": torch.zeros(2), "fc.bias": torch.zeros(2)},
     "they have 2 that it does not know, such as fc.weight; rename them"),
    (lambda w: {f"module.{name}": value for name, value in w.items()},
     r"they lack \d+ of \d+ tensors, .* and have \d+ that it does not know, such as module.features.mean"),
    (lambda w: {**w, "output.linear.weight": w["output.linear.weight"].T},
     r"output.linear.weight has the shape \[12, 29\], wanted \[29, 12\]; correct one of them, see docs/guide"),
    (lambda w: {**w, "output.linear.bias": [0.0] * 29}, "output.linear.bias is of type list, wanted a tensor"),
    (lambda w: {**w, "output.linear.bias": torch.full((29,), torch.nan)}, "linear.bias has weights that are not fin"),
    (lambda w: {}, r"they lack (\d+) of \1 tensors"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), MISFITS)
def test_tensors_that_do_not_fit_are_named(
    model: Any, change: Callable[[dict[str, Any]], dict[str, Any]], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        model_from_state_dict(change(model.state_dict()), model.config, model.labels)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [torch.zeros(2), object(), {1, 2}.__iter__()])
def test_a_provenance_that_could_not_be_read_again_is_refused(model: Any, tmp_path: Path, value: object) -> None:
    with pytest.raises(CheckpointError, match="the provenance cannot be saved"):
        save_checkpoint(model, tmp_path / "model.pt", {"name": "tiny", "data": value})
    assert not (tmp_path / "model.pt").exists()
