"""Facts about a Jetson: board, release, power mode, and the power rails in a line of tegrastats."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from edgespeech.demo.machine.host import Run, read_text, run_tool
from edgespeech.demo.machine.records import Jetson

# JetPack versions by L4T release; a release that is not listed has that of its major number.
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
    "38.2": "7.0",
    "38.4": "7.1",
    "39": "7",
    "39.2": "7.2",
}
# Rails that supply the whole board or module, best first; the others supply parts of it.
MAIN_RAILS = ("VDD_IN", "POM_5V_IN", "VIN_SYS_5V0", "VIN")
_RAIL = re.compile(r"\b([A-Z][A-Z0-9_]+) (\d+)(?:mW)?/(\d+)(?:mW)?(?= |$)")


def board_name(root: Path = Path("/")) -> str | None:
    """Return the model in the device tree, such as ``Raspberry Pi 5 Model B Rev 1.0``."""
    return read_text(root / "proc/device-tree/model")


def describe_jetson(root: Path = Path("/"), run: Run = run_tool) -> Jetson | None:
    """Return board, L4T release, JetPack and the power mode of ``nvpmodel``; None on other machines."""
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
    """Parse the first line of /etc/nv_tegra_release to a release such as ``36.4.3``."""
    found = re.search(r"R(\d+)\s*\(release\),\s*REVISION:\s*([\d.]+)", text)
    return f"{found[1]}.{found[2]}" if found else None


def jetpack_of(l4t: str) -> str | None:
    """Return the JetPack version of an L4T release; None if it is unknown."""
    major, _, rest = l4t.partition(".")
    return _JETPACKS.get(f"{major}.{rest.partition('.')[0]}") or _JETPACKS.get(major)


def parse_power_mode(text: str) -> str | None:
    """Parse the output of ``nvpmodel -q``, name and number on two lines, to a mode such as ``15W (0)``."""
    found = re.search(r"NV Power Mode:\s*(\S+)[ \t]*(?:\n\s*(\d+))?", text)
    if found is None:
        return None
    return f"{found[1]} ({found[2]})" if found[2] else found[1]


def highest_power_mode(configuration: str) -> str | None:
    """Find the mode without a limit or with the most watts in /etc/nvpmodel.conf, such as ``MAXN_SUPER (2)``."""
    modes = re.findall(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>", configuration)

    def power(mode: tuple[str, str]) -> tuple[bool, int]:
        watts = re.search(r"(\d+)W", mode[1])
        return mode[1].startswith("MAXN"), int(watts[1]) if watts else 0

    return "{1} ({0})".format(*max(modes, key=power)) if modes else None


def parse_tegrastats(line: str) -> dict[str, float]:
    """Parse a line of ``tegrastats`` to watts by rail; ``VDD_IN 4836mW/4790mW`` is the present and the mean value."""
    return {name: int(now) / 1000.0 for name, now, _ in _RAIL.findall(line) if name not in {"RAM", "SWAP", "IRAM"}}


def main_rail(names: Sequence[str]) -> str | None:
    """Return the rail that supplies the whole board; None if it is not listed."""
    return next((name for name in MAIN_RAILS if name in names), None)
