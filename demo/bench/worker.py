"""Runs tasks in fresh processes: ``python -m edgespeech.demo.bench.worker`` reads a task and prints figures in JSON."""

from __future__ import annotations

import subprocess
import sys
from typing import TypeVar

import msgspec

from edgespeech.demo.bench.interleaved import InterleavedRun, measure_interleaved
from edgespeech.demo.bench.isolated import IsolatedRun, measure_isolated
from edgespeech.demo.bench.streams import StreamSearch, search_streams
from edgespeech.demo.bench.trial import Trial, try_configurations
from edgespeech.errors import EdgespeechError, UsageError, VerificationError

Task = IsolatedRun | InterleavedRun | StreamSearch | Trial
Figures = TypeVar("Figures")


def in_fresh_process(task: Task, kind: type[Figures]) -> Figures:
    """Run a task in a process of its own and return its figures.

    Raises:
        UsageError: Something in the task is invalid; the message is that of the other process.
        VerificationError: The process died.
    """
    command = [sys.executable, "-m", "edgespeech.demo.bench.worker"]
    done = subprocess.run(command, input=msgspec.json.encode(task), capture_output=True, check=False)
    if done.returncode == 0:
        return msgspec.json.decode(done.stdout.splitlines()[-1], type=kind)
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    reason = lines[-1] if lines else "it printed nothing"
    if done.returncode == UsageError.exit_code:
        raise UsageError(reason)
    if done.returncode < 0:
        reason = f"ended by signal {-done.returncode}: out of memory?"
    raise VerificationError(f"a measuring process failed: {reason[:300]}; try --quick, or fewer --threads")


def main() -> None:
    """Run the task on standard input."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    try:
        figures: object
        if isinstance(task, IsolatedRun):
            figures = measure_isolated(task)
        elif isinstance(task, InterleavedRun):
            figures = measure_interleaved(task)
        elif isinstance(task, StreamSearch):
            figures = search_streams(task)
        else:
            figures = try_configurations(task)
    except EdgespeechError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    sys.stdout.buffer.write(b"\n" + msgspec.json.encode(figures) + b"\n")


if __name__ == "__main__":
    main()
