"""Where the facts of a machine are read: small files of the system, tools such as nvidia-smi, and the libraries."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgespeech.demo.machine.system import System

Run = Callable[[Sequence[str]], "str | None"]


def run_tool(command: Sequence[str]) -> str | None:
    """Return the standard output of a command; None if it is not installed or fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5.0, errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def no_tools(command: Sequence[str]) -> str | None:
    """Stand in for `run_tool` where starting a process would take too long."""
    return None


def read_text(path: Path) -> str | None:
    """Return the content of a small system file without its padding; None if it cannot be read."""
    try:
        return path.read_text("utf-8", errors="replace").strip("\0 \n\t") or None
    except OSError:
        return None


def read_number(path: Path) -> float | None:
    """Return the number in a small system file; None if there is none."""
    try:
        return float(read_text(path) or "")
    except ValueError:
        return None


@dataclass(frozen=True)
class Host:
    """The machine to describe: the root of its file system, its command line tools, and psutil and NVML."""

    root: Path = Path("/")
    run: Run = run_tool
    system: System = System()


THIS_HOST = Host()
