"""Measures what idle threads of onnxruntime cost: CPU and wall-clock time per chunk that arrives in real time.

Run: python -m edgespeech.demo.experiments.spinning [THREADS [CHUNKS]]

onnxruntime's threads look for work for a while before they sleep ("spin"). Models with and without it take turns; after
each chunk the process sleeps until the next would have arrived.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.measure.tables import Table, output_text

ROUNDS = 6


def main(threads: str = "2", chunks: str = "20") -> None:
    """Print medians of both, and of the ratio within each round."""
    bundle = load_bundle(None)
    size, seconds = bundle.manifest.audio.chunk_samples, bundle.manifest.audio.chunk_seconds
    speech = 0.1 * np.random.default_rng(0).standard_normal((1, size)).astype(np.float32)
    models = {spin: AcousticModel(bundle, int(threads), spin=spin) for spin in (True, False)}
    cpu: dict[bool, list[float]] = {True: [], False: []}
    wall: dict[bool, list[float]] = {True: [], False: []}
    for model in models.values():
        model.step(speech, model.initial_state())
    for _ in range(ROUNDS):
        for spin, model in models.items():
            state, spent = model.initial_state(), []
            time.sleep(seconds)
            cpu_began = time.process_time()
            for _ in range(int(chunks)):
                began = time.perf_counter()
                _, state = model.step(speech, state)
                spent.append(time.perf_counter() - began)
                time.sleep(max(0.0, seconds - spent[-1]))
            cpu[spin].append((time.process_time() - cpu_began) / int(chunks))
            wall[spin].append(float(np.median(spent)))
    rows = []
    for name, measured in (("CPU ms per chunk", cpu), ("wall-clock ms per chunk", wall)):
        ratio = np.median(np.divide(measured[False], measured[True]))
        cells = (f"{1000.0 * np.median(measured[spin]):.2f}" for spin in (True, False))
        rows.append([name, *cells, f"{ratio:.2f}"])
    print(output_text([Table((f"{threads} threads, {1000.0 * seconds:g} ms", "spinning", "sleeping", "ratio"), rows)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
