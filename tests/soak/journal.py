"""What a long run writes down as it goes, so that it can be stopped and go on: a file of JSON lines."""

from __future__ import annotations

import gc
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray


@dataclass(frozen=True)
class Measurement:
    """The state of the processes under test after a part.

    Attributes:
        run: Which start of the program this is; figures of different starts are not comparable.
        part: Number of the part that has just ended.
        audio_hours: Hours of audio since the beginning of the run.
        rss_mb, pss_mb: Resident memory, and the same with shared pages divided among the processes, in 1e6 bytes.
        threads, descriptors: Their numbers.
        median_ms, p99_ms: Time from a block to its results.
        cpu_seconds: CPU time of the processes so far.
        clock: Seconds since 1970, for the reader.
    """

    run: int
    part: int
    audio_hours: float
    rss_mb: float
    pss_mb: float
    threads: int
    descriptors: int
    median_ms: float
    p99_ms: float
    cpu_seconds: float
    clock: float


class Journal:
    """A file of JSON lines that is added to; a torn last line, as after a loss of power, is left out."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.lines = read_journal(path)
        torn = path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
        self._file = path.open("a", encoding="utf-8", buffering=1)
        if torn:
            self._file.write("\n")

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the lines of a kind that were there when the journal was opened."""
        return [line for line in self.lines if line["kind"] == kind]

    def add(self, kind: str, **values: Any) -> None:
        """Add a line."""
        self._file.write(json.dumps({"kind": kind, **values}) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Return the complete lines of a journal; none if it does not exist."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


class Observer:
    """Measures some processes at the end of each part."""

    def __init__(self, journal: Journal, processes: list[psutil.Process], own: bool) -> None:
        before = journal.of("measurement")
        self._journal, self._processes, self._own = journal, processes, own
        self.run = 1 + max((line["run"] for line in before), default=0)
        self._hours = 0.0

    def note(self, part: int, seconds: float, latencies_ms: NDArray[np.float64]) -> Measurement:
        """Write down the state after a part of this many seconds, and return it."""
        if self._own:
            gc.collect()
        self._hours += seconds / 3600.0
        rss = pss = cpu = 0.0
        threads = descriptors = 0
        for process in self._processes:
            with process.oneshot():
                memory: Any = process.memory_full_info()
                times = process.cpu_times()
                rss, pss = rss + memory.rss / 1e6, pss + getattr(memory, "pss", memory.rss) / 1e6
                threads, descriptors = threads + process.num_threads(), descriptors + process.num_fds()
                cpu += times.user + times.system
        median, p99 = np.percentile(latencies_ms, (50, 99)) if len(latencies_ms) else (0.0, 0.0)
        found = Measurement(
            self.run,
            part,
            round(self._hours, 4),
            round(rss, 2),
            round(pss, 2),
            threads,
            descriptors,
            round(float(median), 3),
            round(float(p99), 3),
            round(cpu, 1),
            round(time.time()),
        )
        self._journal.add("measurement", **asdict(found))
        return found
