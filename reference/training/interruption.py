"""Ends of a run that are not its last epoch: signals, errors in loader processes, and a GPU without free memory."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

import torch

from edgespeech.errors import ConfigError, EdgespeechError
from edgespeech.reference.data.batches import Batch

LOADER_GRACE_SECONDS = 60


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Defer the first SIGINT or SIGTERM: the yielded function returns whether one has arrived."""
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def outlive_signals(_: int) -> None:
    """Keep a loader process alive after a signal to its process group: training ends the batch and saves first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # It must exit some time after SIGTERM all the same: Python sends it to the processes that are left when it exits.
    signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(LOADER_GRACE_SECONDS))


@contextmanager
def explain_full_memory() -> Iterator[None]:
    """Turn torch's error about a GPU's memory into a ConfigError of one line."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        reason = str(error).partition(". ")[2].partition(". ")[0] or str(error)
        raise ConfigError(f"the GPU's memory is full ({reason}); lower batch_seconds, or remove resident") from None


def load_batches(loader: Iterable[Batch]) -> Iterator[Batch]:
    """Yield the batches, and remove the traceback that torch adds to the message of an error in a loader process."""
    try:
        yield from loader
    except EdgespeechError as error:
        kind = type(error)
        raise kind(str(error).rpartition(f"{kind.__module__}.{kind.__name__}: ")[2]) from None
