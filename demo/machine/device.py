"""Which machine this is: processor, memory, system, board, GPUs, and the versions of what runs on it; no measuring."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

from edgespeech import __version__
from edgespeech.demo.machine.jetson import Run, board_name, describe_jetson, read_text, run_tool
from edgespeech.demo.machine.records import Device

# Distributions that all install the module `onnxruntime`.
ONNXRUNTIME_FLAVOURS = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "onnxruntime-directml",
    "onnxruntime-qnn",
    "onnxruntime-rocm",
    "onnxruntime-migraphx",
    "onnxruntime-silicon",
)
_LIBRARIES = ("numpy", "kenlm", "soxr", "soundfile")
# Arm's processors have no name in /proc/cpuinfo, only a number.
_ARM_PARTS = {
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd09": "Cortex-A73",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse N1",
    "0xd40": "Neoverse V1",
    "0xd41": "Cortex-A78",
    "0xd42": "Cortex-A78AE",
    "0xd44": "Cortex-X1",
    "0xd49": "Neoverse N2",
    "0xd4f": "Neoverse V2",
    "0x004": "Carmel",
}


def describe_device(root: Path = Path("/"), run: Run = run_tool) -> Device:
    """Ask the system; what it does not tell is None.

    Args:
        root: Of the file system.
        run: Runs ``nvidia-smi``, ``nvpmodel``, ``sysctl`` and so on.
    """
    policy = root / "sys/devices/system/cpu/cpufreq"
    policies = sorted(policy.glob("policy*"))
    fastest = max(policies, key=lambda folder: _number(folder / "cpuinfo_max_freq") or 0.0, default=policy / "policy0")
    lowest, highest = _number(fastest / "cpuinfo_min_freq"), _number(fastest / "cpuinfo_max_freq")
    return Device(
        cpu=_cpu_model(root, run),
        architecture=platform.machine(),
        cores=usable_cores(root),
        cores_of_machine=os.cpu_count() or 1,
        mhz_min=None if lowest is None else lowest / 1000.0,
        mhz_max=None if highest is None else highest / 1000.0,
        governor=read_text(fastest / "scaling_governor"),
        memory_mb=_memory(root, run),
        os=_system(root),
        kernel=f"{platform.system()} {platform.release()}",
        board=board_name(root) or _dmi_board(root),
        virtual=_virtual(root),
        gpus=tuple(find_gpus(root, run)),
        jetson=describe_jetson(root, run),
    )


def usable_cores(root: Path = Path("/")) -> int:
    """Processors that this process may use: its affinity, and the limit of a container."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = read_text(root / "sys/fs/cgroup/cpu.max")
    if quota is not None and not quota.startswith("max"):
        share, period = quota.split()
        allowed = min(allowed, max(1, int(share) // int(period)))
    return allowed


def versions() -> dict[str, str]:
    """Of edgespeech, Python and the libraries; onnxruntime by the distributions that hold it."""
    found = {"edgespeech": __version__, "python": platform.python_version()}
    for name in (*ONNXRUNTIME_FLAVOURS, *_LIBRARIES):
        version = installed_version(name)
        if version is not None:
            found[name] = version
    return found


def installed_version(distribution: str) -> str | None:
    """Version of an installed distribution."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def find_gpus(root: Path = Path("/"), run: Run = run_tool) -> Iterator[str]:
    """Names of NVIDIA's GPUs, and of other display devices by their maker."""
    listed = run(("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"))
    for line in (listed or "").splitlines():
        if line.strip():
            name, *rest = (part.strip() for part in line.split(","))
            yield f"{name} ({', '.join(rest)})" if rest else name
    makers = {"0x1002": "AMD", "0x8086": "Intel"}
    for card in sorted((root / "sys/class/drm").glob("card[0-9]")):
        maker = makers.get(read_text(card / "device/vendor") or "")
        if maker:
            yield f"{maker} GPU {read_text(card / 'device/device') or ''}".strip()


def _number(path: Path) -> float | None:
    text = read_text(path)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _cpu_model(root: Path, run: Run) -> str:
    facts: dict[str, list[str]] = {}
    for line in (read_text(root / "proc/cpuinfo") or "").splitlines():
        key, found, value = line.partition(":")
        if found:
            facts.setdefault(key.strip(), []).append(value.strip())
    for key in ("model name", "Hardware", "cpu model"):
        if key in facts:
            return " ".join(facts[key][0].split())
    parts = dict.fromkeys(facts.get("CPU part", []))
    if parts:
        return " + ".join(f"{facts['CPU part'].count(part)} x {_ARM_PARTS.get(part, f'Arm {part}')}" for part in parts)
    named = run(("sysctl", "-n", "machdep.cpu.brand_string"))  # macOS
    return (named or "").strip() or platform.processor() or platform.machine()


def _memory(root: Path, run: Run) -> float | None:
    sizes = []
    found = re.search(r"MemTotal:\s*(\d+) kB", read_text(root / "proc/meminfo") or "")
    if found:
        sizes.append(int(found[1]) * 1024 / 1e6)
    limit = _number(root / "sys/fs/cgroup/memory.max") if sizes else None
    if limit is not None:
        sizes.append(limit / 1e6)
    if not sizes:
        told = (run(("sysctl", "-n", "hw.memsize")) or "").strip()
        return int(told) / 1e6 if told.isdecimal() else None
    return min(sizes)


def _system(root: Path) -> str:
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)', read_text(root / "etc/os-release") or "", re.MULTILINE)
    return found[1] if found else platform.platform(terse=True)


def _dmi_board(root: Path) -> str | None:
    folder = root / "sys/class/dmi/id"
    parts = [read_text(folder / name) for name in ("sys_vendor", "product_name")]
    return " ".join(part for part in parts if part) or None


def _virtual(root: Path) -> str | None:
    if (root / ".dockerenv").exists() or (root / "run/.containerenv").exists():
        return "container"
    flags = re.search(r"^flags\s*:.*\bhypervisor\b", read_text(root / "proc/cpuinfo") or "", re.MULTILINE)
    return "virtual machine" if flags else None
