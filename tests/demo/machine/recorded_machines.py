"""Facts of several machines, as they stand in ``recorded/``: their files, the output of their tools, and psutil.

The answers of psutil are not recordings: they are what psutil 7.2 computes from such files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from edgespeech.demo.machine.host import Host
from edgespeech.demo.machine.system import System

RECORDED = Path(__file__).parent / "recorded"
FUNCTIONS = ("cpu_count", "virtual_memory", "cpu_freq", "sensors_temperatures", "sensors_battery", "cpu_times")


def recorded(name: str) -> dict[str, str]:
    """Read a recording: content by file name, by tool, and by ``psutil``."""
    pieces = re.split(r"^== (.+)\n", (RECORDED / f"{name}.txt").read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def machine(name: str, root: Path) -> Path:
    """Write a machine's files below a folder."""
    for path, content in recorded(name).items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        padding = "\0" if "device-tree" in path else ""  # the kernel ends these with a zero
        target.write_text(content.rstrip("\n") + padding if padding else content, "utf-8")
    return root


def tools(name: str) -> Callable[[Sequence[str]], str | None]:
    """Answer like a machine's tools; None for tools that it lacks."""
    return lambda command: recorded(name).get(command[0])


def no_nvml() -> Any:
    """Stand in for a machine without NVML."""
    raise ImportError("no NVML")


def system_of(answers: dict[str, Any], nvml: Callable[[], Any] = no_nvml) -> System:
    """Make a `System` whose psutil has only the functions that have an answer."""
    objects = json.loads(json.dumps(answers), object_hook=lambda fields: SimpleNamespace(**fields))
    library = SimpleNamespace()
    for function in FUNCTIONS:
        if function in answers:
            answer = vars(objects)[function]
            answer = vars(answer) if function == "sensors_temperatures" else answer
            setattr(library, function, lambda answer=answer, **arguments: answer)
    if "cpu_affinity" in answers:
        library.Process = lambda: SimpleNamespace(cpu_affinity=lambda: list(range(answers["cpu_affinity"])))
    return System(library, nvml)


def host(name: str, root: Path) -> Host:
    """Set up a recorded machine with its files below a folder."""
    return Host(machine(name, root), tools(name), system_of(json.loads(recorded(name)["psutil"])))


def bare_host(root: Path) -> Host:
    """Set up a machine that reports nothing but its files below a folder."""
    return Host(root, lambda command: None, system_of({}))
