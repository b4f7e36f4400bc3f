"""Instructions of the processor, and what follows from them for integer bundles."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgespeech.demo.machine.host import Host
from edgespeech.demo.machine.instructions import consequence, find_instructions
from tests.demo.machine.recorded_machines import bare_host, system_of

A72 = "fp asimd evtstrm crc32 cpuid"
A76 = "fp asimd evtstrm aes crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"


@pytest.mark.parametrize(
    ("key", "listed", "architecture", "instructions", "words"),
    [
        ("flags", "fpu sse4_2", "x86_64", (), "may be slower than float32"),
        ("flags", "fpu avx avx2", "x86_64", ("AVX2",), "without VNNI"),
        ("flags", "avx2 avx512f", "x86_64", ("AVX2", "AVX-512"), "without VNNI"),
        ("flags", "avx2 avx_vnni", "AMD64", ("AVX2", "VNNI"), "one instruction"),
        ("flags", "avx2 avx512f avx512_vnni amx_int8", "x86_64", ("AVX2", "AVX-512", "VNNI", "AMX"), "one instruction"),
        ("Features", A72, "aarch64", (), "int4 computes in float32"),
        ("Features", A76, "aarch64", ("dot product", "fp16"), "int4 computes with int8 activations"),
        ("Features", f"{A76} sve i8mm", "aarch64", ("dot product", "i8mm", "fp16", "SVE"), "matrix instructions"),
    ],
)
def test_instructions_are_read_from_cpuinfo(
    tmp_path: Path, key: str, listed: str, architecture: str, instructions: tuple[str, ...], words: str
) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(f"processor\t: 0\n{key}\t\t: {listed}\n")
    found = find_instructions(bare_host(tmp_path))
    assert found == instructions
    follows = consequence(architecture, found)
    assert follows is not None and words in follows.text
    assert follows.compare is (not instructions)


def test_clusters_of_cores_share_what_all_of_them_have(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(f"Features\t: {A72}\n\nFeatures\t: {A76}\n")
    assert find_instructions(bare_host(tmp_path)) == ()


def test_instructions_of_a_mac_are_read_by_sysctl(tmp_path: Path) -> None:
    answer = "hw.optional.arm.FEAT_DotProd: 1\nhw.optional.arm.FEAT_I8MM: 0\nhw.optional.arm.FEAT_FP16: 1\n"
    mac = Host(tmp_path, lambda command: answer if command[0] == "sysctl" else None, system_of({}))
    assert find_instructions(mac) == ("dot product", "fp16")


def test_nothing_follows_from_instructions_that_are_unknown(tmp_path: Path) -> None:
    assert find_instructions(bare_host(tmp_path)) is None
    assert consequence("x86_64", None) is None
    assert consequence("riscv64", ()) is None
