"""Runs workers over a range of inputs, watches them, and keeps what they do that they must not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from tests.fuzz.progress import Progress, ProgressFile
from tests.fuzz.worker import MAX_BYTES

MAX_SECONDS = 10.0  # of CPU time for one input; a stopped process is not one that hangs
_MAX_LOOKS = 600  # without progress and without CPU time: it waits for what does not come
_LOOK_SECONDS = 0.1
_LOADING_SECONDS = 300.0
_PIECE = 20_000  # inputs of one process


@dataclass
class Tally:
    """The figures of a kind.

    Attributes:
        inputs: Number of inputs used; the next one has this number.
        peak_mb: Largest resident memory of a worker in MB, with what it needs without any input.
        findings: For each finding its number, its kind and its first line.
    """

    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    tracebacks: int = 0
    hangs: int = 0
    crashes: int = 0
    peak_mb: float = 0.0
    cpu_seconds: float = 0.0
    findings: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether there was no finding."""
        return not (self.tracebacks or self.hangs or self.crashes)


class Campaign:
    """Inputs 0 .. N of one kind and seed; it continues where an earlier run has stopped.

    Args:
        kind: Name of the kind.
        seed: Seed of all inputs.
        keep: Folder of the findings and of the figures so far.
        resume: Whether to continue; else it begins again.
    """

    def __init__(self, kind: str, seed: int, keep: Path, resume: bool) -> None:
        self._kind, self._seed = kind, seed
        self._folder = keep / f"{kind}-{seed}"
        if not resume:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._state = self._folder / "tally.json"
        self._cpu = 0.0
        self.tally = Tally(**json.loads(self._state.read_text())) if self._state.exists() else Tally()

    def run(self, inputs: int, deadline: float, report: Callable[[Tally], None]) -> Tally:
        """Use inputs until there are this many in all, or until the deadline (`time.monotonic`)."""
        while self.tally.inputs < inputs and time.monotonic() < deadline:
            self._run_worker(min(inputs - self.tally.inputs, _PIECE), deadline)
            self._state.write_text(json.dumps(asdict(self.tally), indent=1))
            report(self.tally)
        return self.tally

    def _run_worker(self, count: int, deadline: float) -> None:
        """Run one process until its end; what it was at when it was ended or crashed counts as used."""
        path = self._folder / "progress"
        path.unlink(missing_ok=True)
        progress_file = ProgressFile(path)
        progress_file.write(Progress())
        first = self.tally.inputs
        arguments = [self._kind, str(self._seed), str(first), str(count), str(self._folder)]
        errors = self._folder / "errors.txt"
        with errors.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.worker", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "EDGESPEECH_FUZZ": "1"},
            )
            try:
                fault = self._watch(process, progress_file, deadline)
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()
        self._count(progress_file.read(), first, fault, process.returncode, errors)

    def _watch(self, process: subprocess.Popen[bytes], progress_file: ProgressFile, deadline: float) -> str:
        """Wait for the end of a worker; return why it was ended: "", "hang", "memory" or "deadline"."""
        this, before, looks, loading = psutil.Process(process.pid), Progress(number=-2), 0, 0.0
        while process.poll() is None:
            time.sleep(_LOOK_SECONDS)
            try:
                progress, times, resident = progress_file.read(), this.cpu_times(), this.memory_info().rss
            except psutil.Error:
                continue
            self._cpu = times.user + times.system
            self.tally.peak_mb = max(self.tally.peak_mb, resident / 1e6)
            if progress.number < 0:
                loading += _LOOK_SECONDS
                if loading > _LOADING_SECONDS:
                    return "loading"
                continue
            if time.monotonic() > deadline:
                return "deadline"
            if resident - progress.loaded > MAX_BYTES:
                return "memory"
            stopped = this.status() == psutil.STATUS_STOPPED
            looks = looks + 1 if progress.number == before.number and not stopped else 0
            before = progress
            if looks > 1 and (self._cpu - progress.began > MAX_SECONDS or looks > _MAX_LOOKS):
                return "hang"
        return ""

    def _count(self, progress: Progress, first: int, fault: str, code: int, errors: Path) -> None:
        tally = self.tally
        if progress.number < 0:
            words = errors.read_text(errors="replace")[-2000:]
            raise SystemExit(f"fuzz: the worker of {self._kind} does not start (exit code {code}):\n{words}")
        tally.accepted += progress.accepted
        tally.refused += progress.refused
        tally.tracebacks += progress.tracebacks
        tally.peak_mb = max(tally.peak_mb, progress.peak_bytes / 1e6)
        tally.cpu_seconds += self._cpu
        used = progress.accepted + progress.refused + progress.tracebacks
        for path in sorted(self._folder.glob("traceback-*.txt")):
            number = int(path.stem.split("-")[1])
            if first <= number < first + used:
                tally.findings.append((number, "traceback", path.read_text().split("\n", 1)[0]))
        if progress.done or fault == "deadline":
            tally.inputs = first + used
            return
        tally.inputs = progress.number + 1
        if fault == "hang":
            tally.hangs += 1
        else:
            tally.crashes += 1
        words = "more than 2 GB of memory" if fault == "memory" else fault
        if not fault:
            words = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        shutil.copytree(self._folder / "inputs", self._folder / f"inputs-{progress.number}", dirs_exist_ok=True)
        (self._folder / f"crash-{progress.number}.txt").write_bytes(errors.read_bytes()[-20_000:])
        tally.findings.append((progress.number, "hang" if fault == "hang" else "crash", words))
