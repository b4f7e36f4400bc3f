"""Whether a machine is virtual, on x86 and on Arm."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgespeech.demo.machine.virtual import find_virtual

VIRTUAL, CONTAINER = "virtual machine", "container"


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({}, None),
        ({"proc/cpuinfo": "flags\t: fpu avx2\n"}, None),
        ({"proc/cpuinfo": "flags\t: fpu hypervisor avx2\n"}, VIRTUAL),
        ({"proc/device-tree/hypervisor/compatible": "linux,kvm\0"}, VIRTUAL),
        ({"proc/device-tree/fw-cfg@9020000/compatible": "qemu,fw-cfg-mmio\0"}, VIRTUAL),
        ({"proc/device-tree/compatible": "linux,dummy-virt\0"}, VIRTUAL),
        ({"proc/device-tree/compatible": "raspberrypi,5-model-b\0brcm,bcm2712\0"}, None),
        ({"proc/device-tree/compatible": "nvidia,p3768-0000+p3767-0005\0nvidia,tegra234\0"}, None),
        ({"sys/hypervisor/type": "xen\n"}, VIRTUAL),
        ({"sys/hypervisor/type": "xen\n", "proc/xen/capabilities": "control_d\n"}, None),
        ({"sys/class/dmi/id/sys_vendor": "QEMU\n"}, VIRTUAL),
        ({"sys/class/dmi/id/product_name": "KVM Virtual Machine\n"}, VIRTUAL),
        ({"sys/class/dmi/id/sys_vendor": "Amazon EC2\n", "sys/class/dmi/id/product_name": "m7g.large\n"}, VIRTUAL),
        ({"sys/class/dmi/id/sys_vendor": "Amazon EC2\n", "sys/class/dmi/id/product_name": "m7g.metal\n"}, None),
        ({"sys/class/dmi/id/product_name": "Google Compute Engine\n"}, VIRTUAL),
        ({"sys/class/dmi/id/product_name": "Apple Virtualization Generic Platform\n"}, VIRTUAL),
        ({"sys/class/dmi/id/sys_vendor": "LENOVO\n", "sys/class/dmi/id/product_name": "21CBCTO1WW\n"}, None),
        ({"sys/class/dmi/id/sys_vendor": "Microsoft Corporation\n", "sys/class/dmi/id/product_name": "Surface"}, None),
        ({"proc/sys/kernel/osrelease": "5.15.153.1-microsoft-standard-WSL2\n"}, VIRTUAL),
        ({".dockerenv": ""}, CONTAINER),
        ({"run/.containerenv": ""}, CONTAINER),
        ({"run/systemd/container": "lxc\n", "sys/hypervisor/type": "xen\n"}, CONTAINER),
    ],
)
def test_virtual_machines_are_known_by_their_files(tmp_path: Path, files: dict[str, str], kind: str | None) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert find_virtual(tmp_path) == kind
