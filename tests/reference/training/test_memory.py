"""A batch that does not fit is split and gives the same update; a clip that does not fit alone is left out."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

torch = pytest.importorskip("torch")

from edgespeech.errors import ConfigError  # noqa: E402
from edgespeech.reference.data.batches import Batch  # noqa: E402
from edgespeech.reference.training.config import read_training_config  # noqa: E402
from edgespeech.reference.training.memory import Fitting, halves, is_full_memory  # noqa: E402
from edgespeech.reference.training.train import train  # noqa: E402

RECIPE = """
name = "x"
licence = "x"
output = "run"
[model]
hidden = 32
layers = 1
[data]
train = ["speech.jsonl"]
dev = ["dev.jsonl"]
batch_seconds = 9.0
workers = 0
[optimisation]
epochs = 1
precision = "float32"
"""
LENGTHS = (300, 100, 250, 50)


def batch_of(lengths: tuple[int, ...] = LENGTHS) -> Batch:
    samples = torch.zeros(len(lengths), max(lengths))
    for row, length in enumerate(lengths):
        samples[row, :length] = row + 1
    counts = [row + 1 for row in range(len(lengths))]
    targets = [row for row, count in enumerate(counts) for _ in range(count)]
    return Batch(
        samples, torch.tensor(lengths), torch.tensor(targets), torch.tensor(counts), tuple("abcdefgh"[: len(lengths)])
    )


class Work:
    """Adds up what it is given, and has room for a number of samples."""

    def __init__(self, room: int) -> None:
        self.room, self.calls = room, 0
        self.sum = 0.0
        self.shares: list[float] = []

    def reset(self) -> None:
        """Begin again."""
        self.sum, self.shares = 0.0, []

    def __call__(self, part: Batch, share: float, is_last: bool) -> None:
        """Count a part."""
        self.calls += 1
        self.sum += float(part.samples.sum())
        self.shares.append(share)
        if part.samples.numel() > self.room:
            raise torch.OutOfMemoryError("no memory. none")


def test_halves_are_the_short_and_the_long_clips() -> None:
    short, long = halves(batch_of())
    assert short.texts == ("d", "b") and long.texts == ("c", "a")
    assert short.samples.shape == (2, 100) and long.samples.shape == (2, 300)
    assert short.targets.tolist() == [3] * 4 + [1] * 2 and short.target_lengths.tolist() == [4, 2]


def test_what_does_not_fit_is_split_once_and_known_from_then_on(caplog: pytest.LogCaptureFixture) -> None:
    fitting, work, batch = Fitting(), Work(600), batch_of()
    fitting.run(batch, work, work.reset)
    assert work.sum == float(batch.samples.sum()) and sum(work.shares) == pytest.approx(1.0)
    assert (work.calls, fitting.split, fitting.limit) == (3, 1, 1200)
    assert "its longest clip: 'a'" in caplog.text
    fitting.run(batch, work, work.reset)
    assert (work.calls, fitting.split) == (5, 2)


def test_a_clip_that_does_not_fit_alone_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    fitting, work, batch = Fitting(), Work(280), batch_of()
    fitting.run(batch, work, work.reset)
    assert work.sum == float(batch.samples[1:].sum())
    assert fitting.left_out == 1 and "is left out: 'a'" in caplog.text
    with pytest.raises(ConfigError, match="lower max_seconds"):
        fitting.run(batch_of((300, 300)), work, work.reset)


def test_other_errors_and_shared_gradients_are_not_tried_again() -> None:
    def fail(part: Batch, share: float, is_last: bool) -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        Fitting().run(batch_of(), fail, lambda: None)
    work = Work(10)
    with pytest.raises(torch.OutOfMemoryError):
        Fitting().run(batch_of(), work, work.reset, retry=False)
    assert work.calls == 1
    assert is_full_memory(MemoryError()) and not is_full_memory(ValueError())


class Room:
    """A limit on the memory of the input of a layer, where gradients are needed."""

    def __init__(self, limit: float) -> None:
        self.limit, self.most = limit, 0

    def check(self, module: object, inputs: tuple[object, ...]) -> None:
        """Fail before a layer if its input is larger than the limit."""
        for one in inputs:
            size = one.nbytes if isinstance(one, torch.Tensor) else 0
            self.most = max(self.most, size)
            if size > self.limit and torch.is_grad_enabled():
                raise torch.OutOfMemoryError("no memory. none")


def train_within(room: Room, folder: Path) -> bool:
    checks = torch.nn.modules.module.register_module_forward_pre_hook(room.check)
    try:
        return train(read_training_config(folder / "recipe.toml"), folder).finished
    finally:
        checks.remove()


def test_training_within_a_limit_on_memory_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = []
    for number, seconds in enumerate([0.6] * 8 + [3.0] * 3):
        noise = np.random.default_rng(number).standard_normal(int(16000 * seconds)) * 0.1
        soundfile.write(tmp_path / f"{number}.wav", noise, 16000)
        text = "hi" if seconds < 1.0 else f"long clip {number - 8}".translate(str.maketrans("012", "abc"))
        lines.append(json.dumps({"audio_filepath": f"{number}.wav", "duration": seconds, "text": text}))
    (tmp_path / "speech.jsonl").write_text("\n".join(lines))
    (tmp_path / "dev.jsonl").write_text(lines[0])
    (tmp_path / "recipe.toml").write_text(RECIPE)
    free = Room(float("inf"))
    assert train_within(free, tmp_path)
    assert "split" not in caplog.text
    with caplog.at_level(logging.INFO):
        assert train_within(Room(free.most * 3 // 4), tmp_path)
    assert "is split; its longest clip: 'long clip" in caplog.text
    assert "batches were split for the memory, and 0 clips left out" in caplog.text
