"""Work in a fresh process: ``python -m edgespeech.demo.bench.worker`` reads a task and prints the figures, as JSON."""

from __future__ import annotations

import subprocess
import sys
from typing import TypeVar

import msgspec

from edgespeech.demo.bench.alone import Alone, measure_alone
from edgespeech.demo.bench.streams import StreamSearch, search_streams
from edgespeech.demo.bench.turns import Turns, measure_turns
from edgespeech.errors import EdgespeechError, UsageError, VerificationError

Task = Alone | Turns | StreamSearch
Figures = TypeVar("Figures")


def in_fresh_process(task: Task, kind: type[Figures]) -> Figures:
    """Let another process do a task.

    Args:
        task: What to do.
        kind: Of the figures that come back.

    Raises:
        UsageError: Something given does not do; the other process says what.
        VerificationError: It died.
    """
    command = [sys.executable, "-m", "edgespeech.demo.bench.worker"]
    done = subprocess.run(command, input=msgspec.json.encode(task), capture_output=True, check=False)
    if done.returncode == 0:
        return msgspec.json.decode(done.stdout.splitlines()[-1], type=kind)
    said = done.stderr.decode(errors="replace").strip().splitlines()
    reason = said[-1] if said else "it said nothing"
    if done.returncode == UsageError.exit_code:
        raise UsageError(reason)
    if done.returncode < 0:
        reason = f"ended by signal {-done.returncode}: out of memory?"
    raise VerificationError(f"a measuring process failed: {reason[:300]}; try --quick, or fewer --threads")


def main() -> None:
    """Do the task on standard input."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    try:
        figures: object
        if isinstance(task, Alone):
            figures = measure_alone(task)
        elif isinstance(task, Turns):
            figures = measure_turns(task)
        else:
            figures = search_streams(task)
    except EdgespeechError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    sys.stdout.buffer.write(b"\n" + msgspec.json.encode(figures) + b"\n")


if __name__ == "__main__":
    main()
