"""Describes the machine: processor, memory, operating system, board, GPUs, and the versions of the software."""

from __future__ import annotations

import importlib.metadata
import platform
import re
from collections.abc import Iterator
from pathlib import Path

from edgespeech import __version__
from edgespeech.demo.machine.host import THIS_HOST, Host, Run, read_number, read_text
from edgespeech.demo.machine.instructions import find_instructions
from edgespeech.demo.machine.jetson import board_name, describe_jetson
from edgespeech.demo.machine.records import Device
from edgespeech.demo.machine.virtual import find_virtual

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
# /proc/cpuinfo has the part numbers of Arm processors instead of their names.
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


def describe_device(host: Host = THIS_HOST) -> Device:
    """Describe the machine; facts that it does not report are None."""
    frequencies = host.system.frequencies()
    fastest = max(frequencies, key=lambda one: one.max or 0.0, default=None)
    return Device(
        cpu=_cpu_model(host.root, host.run),
        architecture=platform.machine(),
        cores=usable_cores(host),
        cores_of_machine=host.system.cores(),
        mhz_min=fastest.min if fastest else None,
        mhz_max=fastest.max if fastest else None,
        governor=_governor(host.root),
        memory_mb=_memory(host),
        os=_system(host.root),
        kernel=f"{platform.system()} {platform.release()}",
        board=_board(host.root),
        virtual=find_virtual(host.root),
        gpus=tuple(find_gpus(host)),
        jetson=describe_jetson(host.root, host.run),
        instructions=find_instructions(host),
    )


def identify_device(host: Host = THIS_HOST) -> str:
    """Return a key for this kind of machine: its board or processor, and the number of usable cores."""
    return f"{_board(host.root) or _cpu_model(host.root, host.run)} {usable_cores(host)}"


def usable_cores(host: Host = THIS_HOST) -> int:
    """Count the cores that this process may use: its affinity mask, limited by the quota of a container."""
    allowed = host.system.allowed_cores()
    quota = read_text(host.root / "sys/fs/cgroup/cpu.max")
    if quota is not None and not quota.startswith("max"):
        time, period = quota.split()
        allowed = min(allowed, max(1, int(time) // int(period)))
    return allowed


def versions() -> dict[str, str]:
    """Return the versions of edgespeech, Python and the libraries; onnxruntime by the names of its distributions."""
    found = {"edgespeech": __version__, "python": platform.python_version()}
    for name in (*ONNXRUNTIME_FLAVOURS, *_LIBRARIES):
        version = installed_version(name)
        if version is not None:
            found[name] = version
    return found


def installed_version(distribution: str) -> str | None:
    """Return the version of a distribution; None if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def find_gpus(host: Host = THIS_HOST) -> Iterator[str]:
    """Yield the names of NVIDIA GPUs, and the makers of other display devices."""
    yield from _nvidia_gpus(host)
    makers = {"0x1002": "AMD", "0x8086": "Intel"}
    for card in sorted((host.root / "sys/class/drm").glob("card[0-9]")):
        maker = makers.get(read_text(card / "device/vendor") or "")
        if maker:
            yield f"{maker} GPU {read_text(card / 'device/device') or ''}".strip()


def _nvidia_gpus(host: Host) -> list[str]:
    found = host.system.nvidia_gpus()
    if found is not None:
        return found
    listed = host.run(("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")) or ""
    rows = [[part.strip() for part in line.split(",")] for line in listed.splitlines() if line.strip()]
    return [f"{name} ({', '.join(rest)})" if rest else name for name, *rest in rows]


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


def _governor(root: Path) -> str | None:
    policies = sorted((root / "sys/devices/system/cpu/cpufreq").glob("policy*"))
    if not policies:
        return None
    return read_text(max(policies, key=lambda one: read_number(one / "cpuinfo_max_freq") or 0.0) / "scaling_governor")


def _memory(host: Host) -> float | None:
    limit = read_number(host.root / "sys/fs/cgroup/memory.max")  # "max" without a limit
    sizes = [host.system.memory_mb(), None if limit is None else limit / 1e6]
    return min((size for size in sizes if size is not None), default=None)


def _system(root: Path) -> str:
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)', read_text(root / "etc/os-release") or "", re.MULTILINE)
    return found[1] if found else platform.platform(terse=True)


def _board(root: Path) -> str | None:
    folder = root / "sys/class/dmi/id"
    parts = [read_text(folder / name) for name in ("sys_vendor", "product_name")]
    return board_name(root) or " ".join(part for part in parts if part) or None
