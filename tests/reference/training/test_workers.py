"""A single training process: its memory, and its answers without a process group."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from edgespeech.reference.training.workers import Workers

FAULTS = """
import resource
import numpy as np
from edgespeech.reference.training.workers import keep_freed_memory
if {keep}:
    keep_freed_memory()
np.full(10_000_000, 1.0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.full(10_000_000, 1.0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_large_arrays_reuse_freed_memory() -> None:
    given_back, kept = (
        int(subprocess.check_output([sys.executable, "-c", FAULTS.format(keep=keep)], text=True))
        for keep in (False, True)
    )
    assert kept < given_back / 10


def test_a_single_worker_returns_its_own_values() -> None:
    with Workers() as workers:
        assert (workers.world, workers.rank) == (1, 0)
        assert workers.max(3.5) == 3.5
        assert workers.any(True) and not workers.any(False)
