"""Imports modules with compiled code in a child process, because a library may end the process instead of raising."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

SECONDS = 120.0  # a first import from a slow memory card
_ONNXRUNTIME = "from edgespeech.runtime.acoustic_model import import_onnxruntime; import_onnxruntime()"

Launch = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


def launch(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command and capture its output."""
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=SECONDS,
        stdin=subprocess.DEVNULL,
    )


def find_crash(module: str, launch: Launch = launch) -> str | None:
    """Import a module in a child process; onnxruntime as the runtime does, with its telemetry disabled.

    Returns:
        How the import ended the process, or None if it succeeded or raised an exception, which this process can
        repeat.
    """
    return _find_problem(module, launch, exceptions=False)


def find_import_error(module: str, launch: Launch = launch) -> str | None:
    """Import a module in a child process, and return the exception or how the import ended the process."""
    return _find_problem(module, launch, exceptions=True)


def _find_problem(module: str, launch: Launch, exceptions: bool) -> str | None:
    statement = _ONNXRUNTIME if module == "onnxruntime" else f"import {module}"
    try:
        done = launch([sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {statement}"])
    except subprocess.TimeoutExpired:
        return f"its import did not end within {SECONDS:g} s"
    except OSError:
        return None  # no child process can be started here
    if done.returncode == 1:
        error = (done.stderr.strip().splitlines() or ["unknown error"])[-1]
        return f"does not load: {error[-160:]}" if exceptions else None
    if done.returncode == 0:
        return None
    said = " ".join(done.stderr.split())[-200:]
    return f"its import ends the process ({_name(done.returncode)}){f': {said}' if said else ''}"


def _name(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
