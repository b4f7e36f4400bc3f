"""Milliseconds per chunk of several bundles, measured in turns so that background load affects all of them alike."""

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
CHUNKS = 10  # in a row, for each bundle and round


@dataclass(frozen=True)
class ChunkTime:
    """Milliseconds per step on one thread: median and minimum wall-clock time, and median CPU time."""

    median_ms: float
    shortest_ms: float
    cpu_ms: float


def measure_chunk_times(
    bundles: Mapping[str, Bundle], samples: Floats, chunk_samples: int, rounds: int = ROUNDS
) -> dict[str, ChunkTime]:
    """Run the same chunks through the acoustic models of several bundles, a few chunks of each in turn.

    The speech is float32 [n], repeated if it is too short. The measured rounds follow one that warms up.

    Raises:
        UsageError: A bundle does not accept chunks of this length.
    """
    for bundle in bundles.values():
        audio = bundle.manifest.audio
        if audio.chunk_samples != chunk_samples and not audio.chunk_free:
            own = audio.chunk_seconds * 1000.0
            raise UsageError(f"{bundle.folder} has chunks of {own:g} ms; bundles to compare need chunks of one length")
    chunks = np.resize(samples, (CHUNKS, 1, chunk_samples))
    models = {name: AcousticModel(bundle) for name, bundle in bundles.items()}
    states = {name: model.initial_state() for name, model in models.items()}
    wall: dict[str, list[float]] = {name: [] for name in models}
    cpu: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(rounds + 1):
        for name, model in models.items():
            cpu_began = time.thread_time()
            for chunk in chunks:
                began = time.perf_counter()
                _, states[name] = model.step(chunk, states[name])
                if turn:
                    wall[name].append(time.perf_counter() - began)
            if turn:
                cpu[name].append((time.thread_time() - cpu_began) / len(chunks))
    return {
        name: ChunkTime(float(np.median(seconds)) * 1e3, min(seconds) * 1e3, float(np.median(cpu[name])) * 1e3)
        for name, seconds in wall.items()
    }
