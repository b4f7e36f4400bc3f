"""Stretches of a recording as files of their own, cut while the recording is read once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]
from numpy.typing import NDArray

from edgespeech.runtime.files import replacing

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Stretch:
    """Where a file begins and ends, in seconds of the recording."""

    path: Path
    start: float
    end: float


def cut(blocks: Iterable[Floats], rate: int, stretches: Sequence[Stretch]) -> None:
    """Write stretches of a recording as FLAC files of 16 bits; what has been written is not kept in memory.

    Args:
        blocks: The recording, float32 [n] in [-1, 1].
        rate: Hertz.
        stretches: The stretches, in any order; they may overlap.

    Raises:
        UsageError: A file cannot be written.
        AudioError: The recording cannot be read.
    """
    waiting = sorted(stretches, key=lambda one: one.start)
    held, position = np.zeros(0, np.float32), 0
    for block in blocks:
        held = np.concatenate([held, block])
        end = position + len(held)
        while waiting and round(waiting[0].end * rate) <= end:
            _write(waiting.pop(0), held, position, rate)
        keep = min(round(waiting[0].start * rate), end) if waiting else end
        held, position = held[max(0, keep - position) :], max(keep, position)
    for one in waiting:
        _write(one, held, position, rate)


def _write(one: Stretch, held: Floats, position: int, rate: int) -> None:
    samples = held[max(0, round(one.start * rate) - position) : max(0, round(one.end * rate) - position)]
    with replacing(one.path, sync=False) as file:
        soundfile.write(file, samples, rate, format="FLAC", subtype="PCM_16")
