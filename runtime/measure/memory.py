"""Memory of a bundle's graph in a fresh process: ``python -m edgespeech.runtime.measure.memory BUNDLE``."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from edgespeech.errors import VerificationError
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import Bundle, load_bundle

STEPS = 20
# What the allocator keeps after it was freed differs from one process to the next by a third of all.
PROCESSES = 5


@dataclass(frozen=True)
class Memory:
    """Resident megabytes of a process that does nothing else.

    Attributes:
        total_mb: With Python and the libraries.
        graph_mb: What opening and running the graph added, without pages of libraries, which processes share.
    """

    total_mb: float
    graph_mb: float


def measure_memory(bundle: Bundle) -> Memory:
    """Open the graph and run some chunks in a process of its own, a few times; the least of each figure.

    Raises:
        VerificationError: That process failed.
    """
    measured = [_measure_once(bundle) for _ in range(PROCESSES)]
    return Memory(min(one.total_mb for one in measured), min(one.graph_mb for one in measured))


def _measure_once(bundle: Bundle) -> Memory:
    command = [sys.executable, "-m", "edgespeech.runtime.measure.memory", str(bundle.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = " ".join(done.stderr.split())[-300:]
        raise VerificationError(f"the memory of {bundle.folder} could not be measured: {reason}")
    return Memory(**json.loads(done.stdout))


def resident_megabytes() -> tuple[float, float]:
    """Of this process: all, and its own without mapped files; where there is no /proc, twice the most it has had."""
    try:
        fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
        whole, own = (int(fields[key].split()[0]) * 1024 / 1e6 for key in ("VmRSS", "RssAnon"))
        return whole, own
    except (FileNotFoundError, KeyError):
        resource: Any = import_module("resource")
        unit = 1 if sys.platform == "darwin" else 1024
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
        return most, most


def main() -> None:
    """Print the memory as JSON."""
    bundle = load_bundle(sys.argv[1])
    import_module("onnxruntime")
    _, before = resident_megabytes()
    model = AcousticModel(bundle)
    state = model.initial_state()
    samples = (
        np.random.default_rng(1).standard_normal((1, bundle.manifest.audio.chunk_samples)).astype(np.float32) * 0.1
    )
    for _ in range(STEPS):
        _, state = model.step(samples, state)
    whole, after = resident_megabytes()
    print(json.dumps({"total_mb": whole, "graph_mb": after - before}))


if __name__ == "__main__":
    main()
