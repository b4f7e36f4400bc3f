"""Memory of a bundle's graph in a fresh process: ``python -m edgespeech.runtime.measure.memory BUNDLE``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from edgespeech.errors import VerificationError
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import Bundle, load_bundle

STEPS = 20
# The memory that the allocator keeps after it was freed differs between processes by up to a third of the total.
PROCESSES = 5


@dataclass(frozen=True)
class Memory:
    """Resident megabytes of a process that only runs a graph: in total with libraries, and added by the graph alone."""

    total_mb: float
    graph_mb: float


def measure_memory(bundle: Bundle) -> Memory:
    """Return the minimum of each figure over several fresh processes; raise VerificationError if one fails."""
    measured = [_measure_once(bundle) for _ in range(PROCESSES)]
    return Memory(min(one.total_mb for one in measured), min(one.graph_mb for one in measured))


def _measure_once(bundle: Bundle) -> Memory:
    command = [sys.executable, "-m", "edgespeech.runtime.measure.memory", str(bundle.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = " ".join(done.stderr.split())[-300:]
        raise VerificationError(f"the memory of {bundle.folder} could not be measured: {reason}")
    return Memory(**json.loads(done.stdout))


@dataclass(frozen=True)
class ResidentMemory:
    """Resident memory of this process in megabytes (1e6 bytes).

    ``private_mb`` is without mapped files, which processes share; the total if the system does not tell them apart.
    """

    total_mb: float
    private_mb: float
    peak_mb: float


def resident_memory() -> ResidentMemory:
    """Read the memory of this process."""
    usage: Any = psutil.Process().memory_info()
    shared = getattr(usage, "shared", 0)
    peak = max(usage.rss, _peak_bytes(usage))
    return ResidentMemory(usage.rss / 1e6, (usage.rss - shared) / 1e6, peak / 1e6)


def _peak_bytes(usage: Any) -> int:
    if hasattr(usage, "peak_wset"):  # Windows
        return int(usage.peak_wset)
    try:
        # Linux' getrusage counts what the parent process had before it started this one.
        found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        found = None
    if found:
        return int(found[1]) * 1024
    resource: Any = import_module("resource")
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Print the memory of this process as JSON."""
    bundle = load_bundle(sys.argv[1])
    import_module("onnxruntime")
    before = resident_memory()
    model = AcousticModel(bundle)
    state = model.initial_state()
    samples = (
        np.random.default_rng(1).standard_normal((1, bundle.manifest.audio.chunk_samples)).astype(np.float32) * 0.1
    )
    for _ in range(STEPS):
        _, state = model.step(samples, state)
    after = resident_memory()
    print(json.dumps({"total_mb": after.total_mb, "graph_mb": after.private_mb - before.private_mb}))


if __name__ == "__main__":
    main()
