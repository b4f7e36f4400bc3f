"""What a Jetson tells about itself: board, release, power mode, and the power rails in a line of tegrastats."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from edgespeech.demo.machine.records import Jetson

# The JetPack of each L4T release; of one that is not listed, that of its major number.
_JETPACKS = {
    "32": "4",
    "34": "5.0",
    "35": "5",
    "35.1": "5.0.2",
    "35.2": "5.1",
    "35.3": "5.1.1",
    "35.4": "5.1.2",
    "35.5": "5.1.3",
    "35.6": "5.1.4 or 5.1.5",
    "36": "6",
    "36.2": "6.0 DP",
    "36.3": "6.0",
    "36.4": "6.1 or 6.2",
    "38": "7",
    "39": "7",
}
# Rails that feed the whole board or module, best first; the others are parts of them.
WHOLE_RAILS = ("VDD_IN", "POM_5V_IN", "VIN_SYS_5V0", "VIN")
_RAIL = re.compile(r"\b([A-Z][A-Z0-9_]+) (\d+)(?:mW)?/(\d+)(?:mW)?(?= |$)")

Run = Callable[[Sequence[str]], "str | None"]


def run_tool(command: Sequence[str]) -> str | None:
    """Standard output of a tool of the system; None where there is none, or it fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5.0, errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def read_text(path: Path) -> str | None:
    """Content of a small file of the system without its padding; None where it cannot be read."""
    try:
        return path.read_text("utf-8", errors="replace").strip("\0 \n\t") or None
    except OSError:
        return None


def board_name(root: Path = Path("/")) -> str | None:
    """The model that the device tree names, such as ``Raspberry Pi 5 Model B Rev 1.0``."""
    return read_text(root / "proc/device-tree/model")


def describe_jetson(root: Path = Path("/"), run: Run = run_tool) -> Jetson | None:
    """Board, L4T, JetPack and power mode; None on other machines.

    Args:
        root: Of the file system.
        run: Runs ``nvpmodel``.
    """
    release = read_text(root / "etc/nv_tegra_release")
    model = board_name(root) or ""
    if release is None and not re.search("jetson|tegra", model, re.IGNORECASE):
        return None
    l4t = None if release is None else parse_release(release)
    listed = run(("nvpmodel", "-q"))
    return Jetson(
        model=model or "Jetson",
        l4t=l4t,
        jetpack=None if l4t is None else jetpack_of(l4t),
        power_mode=None if listed is None else parse_power_mode(listed),
    )


def parse_release(text: str) -> str | None:
    """``36.4.3`` from the first line of /etc/nv_tegra_release."""
    found = re.search(r"R(\d+)\s*\(release\),\s*REVISION:\s*([\d.]+)", text)
    return f"{found[1]}.{found[2]}" if found else None


def jetpack_of(l4t: str) -> str | None:
    """The JetPack that an L4T release belongs to, if it is known."""
    major, _, rest = l4t.partition(".")
    return _JETPACKS.get(f"{major}.{rest.partition('.')[0]}") or _JETPACKS.get(major)


def parse_power_mode(text: str) -> str | None:
    """``15W (0)`` from what ``nvpmodel -q`` prints: the mode's name, and its number on the next line."""
    found = re.search(r"NV Power Mode:\s*(\S+)[ \t]*(?:\n\s*(\d+))?", text)
    if found is None:
        return None
    return f"{found[1]} ({found[2]})" if found[2] else found[1]


def fullest_power_mode(configuration: str) -> str | None:
    """``MAXN_SUPER (2)`` from /etc/nvpmodel.conf: the mode without a limit, or that with the most watts."""
    modes = re.findall(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>", configuration)

    def fullness(mode: tuple[str, str]) -> tuple[bool, int]:
        watts = re.search(r"(\d+)W", mode[1])
        return mode[1].startswith("MAXN"), int(watts[1]) if watts else 0

    return "{1} ({0})".format(*max(modes, key=fullness)) if modes else None


def parse_tegrastats(line: str) -> dict[str, float]:
    """Watts of each rail at this moment from a line of ``tegrastats``: ``VDD_IN 4836mW/4790mW`` is now and average."""
    return {name: int(now) / 1000.0 for name, now, _ in _RAIL.findall(line) if name not in {"RAM", "SWAP", "IRAM"}}


def whole_rail(names: Sequence[str]) -> str | None:
    """Which rail feeds everything."""
    return next((name for name in WHOLE_RAILS if name in names), None)
