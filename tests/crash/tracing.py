"""Runs a writer in a fork of this process under strace: lists its system calls, kills it at one, or lets one fail.

strace is attached to the fork before the writer begins, and sees the calls of all libraries and of child processes.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edgespeech.errors import EdgespeechError
from tests.crash.writers import Writer

REFUSED = 2  # the exit code of a writer that raised an error of the package; any other exception is 3
CALLS = (
    "write pwrite64 writev pwritev pwritev2 sendfile copy_file_range splice fsync fdatasync msync sync_file_range "
    "ftruncate fallocate rename renameat renameat2 link linkat unlink unlinkat mkdir mkdirat rmdir chmod "
    "fchmod fchmodat openat"
).split()
_LINE = re.compile(r"(?:(\d+) +)?(\w+)\((.*)")
_PATIENCE_SECONDS = 180.0


@dataclass(frozen=True)
class Point:
    """The n-th call of its name in a thread, counted from 1."""

    call: str
    number: int


def reason_to_skip() -> str:
    """Return why nothing can be killed here; empty if it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    done = subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"strace may not trace here: {' '.join(done.stderr.split())}"


def list_points(writer: Writer, folder: Path) -> tuple[list[Point], list[str]]:
    """Run a writer to its end; return its calls that concern the folder, and the files renamed without a sync."""
    with tempfile.NamedTemporaryFile("r", prefix="edgespeech-crash-", errors="replace") as log:
        with child(writer, folder) as (process, go):
            code = trace(process, go, f"--trace={','.join(CALLS)}", "-y", "-s", "4096", output=log.name)
        if code != 0:
            raise RuntimeError(f"{writer.name} failed without being killed, with code {code}")
        lines = log.read().splitlines()
    points: list[Point] = []
    counts: Counter[tuple[str, str]] = Counter()
    dirty: set[str] = set()
    unsynced: list[str] = []
    for line in lines:
        matched = _LINE.match(line)
        if matched is None or "resumed>" in line:
            continue
        thread, call, rest = matched[1] or "", matched[2], matched[3]
        counts[thread, call] += 1
        paths = [path for path in _paths(call, rest) if path.startswith(str(folder))]
        if not paths or (call == "openat" and "O_CREAT" not in rest and "O_TRUNC" not in rest):
            continue
        points.append(Point(call, counts[thread, call]))
        if "write" in call or call in ("sendfile", "copy_file_range"):
            dirty.add(paths[-1] if call == "copy_file_range" else paths[0])
        elif call in ("fsync", "fdatasync"):
            dirty.discard(paths[0])
        elif call.startswith("rename"):
            unsynced += [one for one in dirty if one == paths[0] or one.startswith(paths[0] + "/")]
    return list(dict.fromkeys(points)), unsynced


def _paths(call: str, arguments: str) -> list[str]:
    """Return the paths of open files and those that are given as text; what is written is not a path."""
    given = [] if "write" in call else re.findall(r'"([^"]*)"', arguments)
    return re.findall(r"(?:^|, )\d+<([^>]*)>", arguments) + given


@contextmanager
def child(writer: Writer, folder: Path) -> Iterator[tuple[int, Callable[[], object]]]:
    """Fork a process that writes the new version when it is told to; it and its children are killed at the end."""
    reader, start = os.pipe()
    process = os.fork()
    if process == 0:
        code = 3
        try:
            os.setsid()
            os.close(start)
            os.read(reader, 1)
            with open(os.devnull, "wb") as nothing:
                os.dup2(nothing.fileno(), 2)
            writer.write(folder, "new")
            code = 0
        except EdgespeechError as error:
            code = REFUSED if "\n" not in str(error) else 3
        finally:
            os._exit(code)
    os.close(reader)
    try:
        yield process, lambda: os.write(start, b"x")
    finally:
        os.close(start)
        for target in (process, -process):
            with suppress(ProcessLookupError):
                os.kill(target, signal.SIGKILL)
        wait(process)


def trace(process: int, go: Callable[[], object], *options: str, output: str = os.devnull) -> int:
    """Attach strace, let the process begin, and return its exit code."""
    command = ["strace", "-f", "-qq", "--signal=none", "-o", output, *options, "-p", str(process)]
    tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        status = Path(f"/proc/{process}/status")
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while "TracerPid:\t0\n" in status.read_text() and time.monotonic() < deadline:
            time.sleep(0.002)
        go()
        code = wait(process)
    finally:
        try:
            tracer.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            tracer.kill()
            tracer.wait()
    return code


_ended: dict[int, int] = {}


def wait(process: int) -> int:
    """Return the exit code of a process that has ended or ends soon; one that hangs is killed."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while process not in _ended:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            _ended[process] = os.waitstatus_to_exitcode(status)
        elif time.monotonic() > deadline:
            os.kill(process, signal.SIGKILL)
        else:
            time.sleep(0.002)
    return _ended[process]
