"""Milliseconds per chunk of several bundles, in turns in one process, so that a busy machine is unfair to none."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import Bundle

Floats = NDArray[np.float32]
ROUNDS = 30
CHUNKS = 10


@dataclass(frozen=True)
class ChunkTime:
    """Time of one step in milliseconds, one thread: median and shortest; and median time of the processor for it."""

    median_ms: float
    shortest_ms: float
    cpu_ms: float


def measure_chunk_times(
    bundles: Mapping[str, Bundle], samples: Floats, chunk_samples: int, rounds: int = ROUNDS
) -> dict[str, ChunkTime]:
    """Let bundles hear the same chunks: a few in a row each, in turns.

    Args:
        bundles: By name.
        samples: Speech; repeated if it is too short.
        chunk_samples: Length of a step, for all.
        rounds: Turns of each.

    Raises:
        UsageError: A bundle does not take chunks of this length.
    """
    for bundle in bundles.values():
        audio = bundle.manifest.audio
        if audio.chunk_samples != chunk_samples and not audio.chunk_free:
            own = audio.chunk_seconds * 1000.0
            raise UsageError(f"{bundle.folder} has chunks of {own:g} ms; bundles to compare need chunks of one length")
    chunks = np.resize(samples, (CHUNKS, 1, chunk_samples))
    models = {name: AcousticModel(bundle) for name, bundle in bundles.items()}
    states = {name: model.initial_state() for name, model in models.items()}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    busy: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(rounds + 1):
        for name, model in models.items():
            began_busy = time.thread_time()
            for chunk in chunks:
                began = time.perf_counter()
                _, states[name] = model.step(chunk, states[name])
                if turn:  # the first one warms up
                    seconds[name].append(time.perf_counter() - began)
            if turn:
                busy[name].append((time.thread_time() - began_busy) / len(chunks))
    return {
        name: ChunkTime(float(np.median(taken)) * 1e3, min(taken) * 1e3, float(np.median(busy[name])) * 1e3)
        for name, taken in seconds.items()
    }
