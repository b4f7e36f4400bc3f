"""Memory of this process: the figures agree with each other and with what the process does."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from edgespeech.runtime.measure.memory import resident_memory


def test_memory_that_is_touched_counts_and_the_peak_remembers_it() -> None:
    before = resident_memory()
    block = np.ones(64_000_000, np.uint8)
    during = resident_memory()
    del block
    after = resident_memory()
    assert during.total_mb - before.total_mb == pytest.approx(64.0, abs=4.0)
    assert during.private_mb - before.private_mb == pytest.approx(64.0, abs=4.0)
    assert after.peak_mb >= during.total_mb - 1.0
    assert 0.0 < after.private_mb <= after.total_mb <= after.peak_mb


def test_the_peak_comes_from_psutil_where_the_system_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = SimpleNamespace(rss=50_000_000, peak_wset=80_000_000)  # as on Windows: no shared pages
    monkeypatch.setattr(psutil.Process, "memory_info", lambda process: usage)
    found = resident_memory()
    assert (found.total_mb, found.private_mb, found.peak_mb) == (50.0, 50.0, 80.0)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="compares with Linux' own figures")
def test_the_figures_are_those_of_the_kernel() -> None:
    found = resident_memory()
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    resident, private = (int(fields[key].split()[0]) * 1024 / 1e6 for key in ("VmRSS", "RssAnon"))
    assert found.total_mb == pytest.approx(resident, abs=4.0)
    assert found.private_mb == pytest.approx(private, abs=4.0)
