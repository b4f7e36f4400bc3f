"""Finds out from files whether a machine is virtual: what the container, the kernel, the device tree and DMI report."""

from __future__ import annotations

import re
from pathlib import Path

from edgespeech.demo.machine.host import read_text

_CONTAINER_FILES = (".dockerenv", "run/.containerenv", "run/systemd/container", "run/host/container-manager")
# Makers and products of virtual machines in DMI. Clouds rent whole machines too, and call those metal.
_PRODUCTS = re.compile(
    r"\b(KVM|QEMU|Bochs|VMware|VirtualBox|innotek|Xen|HVM|bhyve|OpenStack|OpenNebula|Parallels|Firecracker|"
    r"Virtual Machine|Virtualization|Amazon EC2|Google Compute Engine|Cloud Server|Droplet)\b",
    re.IGNORECASE,
)
_DMI = ("sys_vendor", "product_name", "board_vendor", "bios_vendor", "product_version")


def find_virtual(root: Path) -> str | None:
    """Return ``container`` or ``virtual machine``; None where nothing shows either."""
    if any((root / name).exists() for name in _CONTAINER_FILES):
        return "container"
    return "virtual machine" if _guest(root) else None


def _guest(root: Path) -> bool:
    flags = re.search(r"^flags\s*:.*\bhypervisor\b", read_text(root / "proc/cpuinfo") or "", re.MULTILINE)
    if "control_d" in (read_text(root / "proc/xen/capabilities") or ""):
        return False  # the domain that manages Xen's guests is the machine itself
    if flags or read_text(root / "sys/hypervisor/type"):
        return True
    if "microsoft" in (read_text(root / "proc/sys/kernel/osrelease") or "").lower():
        return True  # Windows Subsystem for Linux
    return _in_device_tree(root / "proc/device-tree") or _in_dmi(root / "sys/class/dmi/id")


def _in_device_tree(tree: Path) -> bool:
    if (tree / "hypervisor/compatible").exists() or any(tree.glob("fw-cfg*")):
        return True
    return "dummy-virt" in (read_text(tree / "compatible") or "")


def _in_dmi(folder: Path) -> bool:
    facts = " ".join(text for name in _DMI if (text := read_text(folder / name)))
    return bool(_PRODUCTS.search(facts)) and not re.search(r"metal\b", facts, re.IGNORECASE)
