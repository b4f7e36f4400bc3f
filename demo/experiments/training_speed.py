"""Times a training step on this CPU with and without the compiled parts, in turns.

Run: python -m edgespeech.demo.experiments.training_speed RECIPE.toml [SECONDS_PER_CLIP]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import torch

from edgespeech.reference.data.batches import Batch
from edgespeech.reference.kernels import lstm_tiles, masked_norm
from edgespeech.reference.model.deep_speech2 import DeepSpeech2
from edgespeech.reference.model.labels import CHARACTERS, Labels
from edgespeech.reference.training.config import read_training_config
from edgespeech.reference.training.trainer import Trainer, build_trainer
from edgespeech.reference.training.workers import keep_freed_memory

ROUNDS = 7
PARTS = {"LSTM": lstm_tiles, "batch norm": masked_norm}


def noise_batch(clips: int, seconds: float, sample_rate: int) -> Batch:
    """Make clips of noise of one length, with ten random letters per second."""
    samples, letters = round(seconds * sample_rate), round(10 * seconds)
    return Batch(
        torch.randn(clips, samples) * 0.1,
        torch.full((clips,), samples),
        torch.randint(1, len(CHARACTERS), (clips * letters,)),
        torch.full((clips,), letters),
        ("",) * clips,
    )


@contextmanager
def using_only(parts: set[str]) -> Iterator[None]:
    """Make training use only these compiled parts while the context is open."""
    with ExitStack() as stack:
        for name in PARTS.keys() - parts:
            stack.enter_context(mock.patch.object(PARTS[name], "fits", lambda *_: False))
        yield


def time_step(trainer: Trainer, batch: Batch) -> float:
    """Return the seconds that one update takes on the CPU."""
    began = time.perf_counter()
    trainer.step(trainer.network, batch, torch.device("cpu"))
    return time.perf_counter() - began


def main(recipe: Path, seconds: float = 10.0) -> None:
    """Print the speed as multiples of real time: medians over rounds in which every choice has a turn."""
    keep_freed_memory()
    torch.set_num_threads(1)
    config = read_training_config(recipe)
    trainer = build_trainer(config, DeepSpeech2(config.model, Labels(CHARACTERS)), torch.device("cpu"), ROUNDS)
    trainer.model.train()
    clips = max(1, round(config.data.batch_seconds / seconds))
    batch = noise_batch(clips, seconds, config.model.features.sample_rate)
    choices: tuple[set[str], ...] = (set(), {"LSTM"}, {"batch norm"}, set(PARTS))
    times: dict[int, list[float]] = {number: [] for number in range(len(choices))}
    for turn in range(ROUNDS + 1):
        for number, parts in enumerate(choices):
            with using_only(parts):
                took = time_step(trainer, batch)
            if turn:
                times[number].append(took)
    if lstm_tiles.library() is None:
        print("nothing is compiled here: no matrix tiles (Intel AMX), or no C++ compiler")
    print(f"{clips} clips of {seconds:g} s, one thread, {str(trainer.precision).removeprefix('torch.')}")
    slowest = statistics.median(times[0])
    for number, parts in enumerate(choices):
        middle = statistics.median(times[number])
        name = " and ".join(sorted(parts)) or "nothing"
        print(f"compiled: {name:<20} {clips * seconds / middle:6.0f} x real time {slowest / middle:6.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(float, sys.argv[2:]))
