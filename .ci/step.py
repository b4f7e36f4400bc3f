"""Run one step of a make target: a line before it, one at least every eight seconds, and its output if it fails.

    python .ci/step.py "type checks: a minute the first time" -- python -m mypy
    python .ci/step.py "libraries: 50 MB to download" -- python -m pip install ...

Of pip's output, downloads of 1 MB and more are shown. It needs only the standard library, because it installs the rest.
"""

from __future__ import annotations

import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

SILENCE = 8.0  # seconds
SHOWN_OF_A_FAILURE = 60  # lines
ABOUT_CUDA = """\
    No CPU build of torch is in pip's index. This one brings CUDA libraries, which nothing here needs: 3 GB to download,
    5 GB on disk. For a CPU build, 0.2 GB and 0.8 GB: Ctrl-C, then
    PIP_EXTRA_INDEX_URL=INDEX make test, where INDEX is the one that pytorch.org names for the CPU."""

_DOWNLOAD = re.compile(r"\s*Downloading (?:\S*/)?([^/\s]+?)-(\d[^-\s]*?)(?:-\S*)?\.(?:whl|tar\.gz) \(([\d.]+ [MG]B)\)")
_FILE = re.compile(r"\s*(?:Processing|Using cached) (?:\S*/)?([^/\s]+?)-(\d[^-\s]*?)(?:-\S*)?\.(?:whl|tar\.gz)\b")
_COLLECT = re.compile(r"\s*Collecting ([\w.-]+)")
_INSTALL = re.compile(r"\s*Installing collected packages: (.*)")
_BUILD = re.compile(r"\s*Building (?:editable|wheel) for (\S+)")
_CMAKE = re.compile(r"\[ *(\d+)%\]")
# What torch needs where pip's index has no CPU build of it; pip collects before it downloads.
_CUDA = re.compile(r"\s*Collecting (?:nvidia-(?!ml-py)|cuda-)")


def main(arguments: Sequence[str]) -> int:
    """Run the command behind ``--`` and return its exit code."""
    title, separator, *command = arguments
    if separator != "--" or not command:
        raise SystemExit('usage: step.py "TITLE" -- COMMAND...')
    print(f"{title} ...", flush=True)
    began = time.monotonic()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    try:
        output = _follow(process, began)
    except KeyboardInterrupt:
        process.wait()
        return 130
    seconds = time.monotonic() - began
    if process.returncode:
        print(*output[-SHOWN_OF_A_FAILURE:], f"failed after {seconds:.0f} s: {' '.join(command)}", sep="\n", flush=True)
    else:
        print(f"    done in {seconds:.0f} s", flush=True)
    return process.returncode


def _follow(process: subprocess.Popen[str], began: float) -> list[str]:
    """Show what matters of the output until the process ends, and return all of it."""
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(process, lines), daemon=True).start()
    output: list[str] = []
    doing, warned, shown = "working", False, began
    while True:
        try:
            line = lines.get(timeout=max(0.0, shown + SILENCE - time.monotonic()))
        except queue.Empty:
            shown = time.monotonic()
            print(f"    ... {shown - began:.0f} s, still {doing}", flush=True)
            continue
        if line is None:
            process.wait()
            return output
        output.append(line)
        notice, doing = describe(line, doing)
        if not warned and _CUDA.match(line):
            notice, warned = ABOUT_CUDA, True
        if notice:
            shown = time.monotonic()
            print(notice, flush=True)


def _read(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            lines.put(line.rstrip("\n"))
    lines.put(None)


def describe(line: str, doing: str) -> tuple[str, str]:
    """Return the text to show for a line of pip's or cmake's, empty for most, and what it does from this line on."""
    if found := _DOWNLOAD.match(line):
        name, version, size = found.groups()
        return f"    {name} {version}, {size}", f"downloading {name}"
    if found := _FILE.match(line):
        return "", f"reading {found[1]}"
    if found := _COLLECT.match(line):
        return "", f"looking for {found[1]}"
    if found := _INSTALL.match(line):
        unpacking = f"unpacking {len(found[1].split(','))} packages"
        return f"    {unpacking}", unpacking
    if found := _BUILD.match(line):
        return "", f"building {found[1]}"
    if found := _CMAKE.match(line):
        return "", f"compiling, {found[1]} %"
    return "", doing


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
