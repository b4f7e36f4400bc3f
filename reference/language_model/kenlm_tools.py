"""KenLM's programs lmplz and build_binary: where they are, and running them."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil

from edgespeech.errors import LanguageModelError, MissingDependencyError

STUCK_SECONDS = 60  # without CPU time, after which a program is ended


def find_tool(name: str, folder: Path | None = None) -> Path:
    """Find one of KenLM's programs in ``folder``, or by default in $KENLM_BIN, work/kenlm/bin and the PATH.

    Raises:
        MissingDependencyError: It is not there; the message says how to build it.
    """
    places = [folder] if folder else [Path("work/kenlm/bin")]
    if folder is None and (named := os.environ.get("KENLM_BIN")):
        places.insert(0, Path(named))
    for place in places:
        if found := shutil.which(name, path=str(place.absolute())):
            return Path(found)
    if folder is None and (found := shutil.which(name)):
        return Path(found)
    where = f"in {folder}" if folder else "in $KENLM_BIN, work/kenlm/bin or on the PATH"
    raise MissingDependencyError(
        f"KenLM's {name} was not found {where}; build it with 'make kenlm-tools' (see CONTRIBUTING.md) or set KENLM_BIN"
    )


def run_tool(command: Sequence[str | Path], output: Path | None = None) -> None:
    """Run a program with its standard output in a file.

    Raises:
        LanguageModelError: It failed, or it waits for itself, as lmplz does when it cannot make a temporary file.
    """
    name = Path(command[0]).name
    with open(output or os.devnull, "wb") as out:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE) as process:
            errors = _wait(process)
    if errors is None:
        raise LanguageModelError(
            f"{name} did nothing for {STUCK_SECONDS} s and was ended; free some space where the model is written"
        )
    if process.returncode:
        lines = [line.strip() for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
        raise LanguageModelError(f"{name} ended with {process.returncode}: {lines[-1] if lines else 'no message'}")


def _wait(process: subprocess.Popen[bytes]) -> bytes | None:
    """Return what a program wrote to standard error; kill it and return None if it sleeps for too long."""
    idle, before = 0, -1.0
    try:
        while True:
            try:
                return process.communicate(timeout=1.0)[1]
            except subprocess.TimeoutExpired:
                used = _cpu_seconds(process.pid)
                idle, before = idle + 1 if used == before else 0, used
                if idle >= STUCK_SECONDS:
                    return None
    finally:
        if process.returncode is None:
            process.kill()


def _cpu_seconds(process: int) -> float:
    """Return the CPU time of a process that sleeps; a new number for one that waits for a disk or is stopped."""
    try:
        one = psutil.Process(process)
        times = one.cpu_times()
        return float(times.user + times.system) if one.status() == psutil.STATUS_SLEEPING else math.nan
    except psutil.Error:
        return math.nan
