"""Instructions of the processor that decide how fast integer bundles are, and what follows from them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgespeech.demo.machine.host import Host, read_text

# Names in /proc/cpuinfo ("flags" on x86, "Features" on Arm) and of macOS (sysctl); any one of a row is enough.
_X86 = {
    "AVX2": ("avx2",),
    "AVX-512": ("avx512f",),
    "VNNI": ("avx512_vnni", "avx_vnni"),
    "AMX": ("amx_int8",),
}
_ARM = {
    "dot product": ("asimddp", "FEAT_DotProd"),
    "i8mm": ("i8mm", "FEAT_I8MM"),
    "fp16": ("asimdhp", "FEAT_FP16"),
    "SVE": ("sve",),
}
_MAC = "hw.optional.arm.FEAT_"


@dataclass(frozen=True)
class Consequence:
    """What the instructions mean for integer bundles.

    Attributes:
        text: Sentence for people.
        compare: Whether int8 should be compared with float32 on this machine.
    """

    text: str
    compare: bool = False


def find_instructions(host: Host) -> tuple[str, ...] | None:
    """Name the instructions for neural networks that the processor has; None if the system does not list any."""
    listed = re.findall(r"^(?:flags|Features)\s*:(.*)$", read_text(host.root / "proc/cpuinfo") or "", re.MULTILINE)
    if listed:
        # Clusters of cores may differ; a program must expect the least of them.
        names = set.intersection(*(set(line.split()) for line in listed))
    else:
        answers = host.run(("sysctl", "hw.optional.arm")) or ""
        names = {f"FEAT_{name}" for name in re.findall(rf"^{re.escape(_MAC)}(\w+): 1$", answers, re.MULTILINE)}
    if not names:
        return None
    return tuple(name for name, keys in {**_X86, **_ARM}.items() if not names.isdisjoint(keys))


def consequence(architecture: str, instructions: tuple[str, ...] | None) -> Consequence | None:
    """Return what onnxruntime makes of the instructions; None for unknown instructions or processors."""
    if instructions is None:
        return None
    if architecture.lower() in {"x86_64", "amd64"}:
        return _on_x86(instructions)
    if architecture.lower() in {"aarch64", "arm64"}:
        return _on_arm(instructions)
    return None


def _on_x86(instructions: tuple[str, ...]) -> Consequence:
    if "VNNI" in instructions or "AMX" in instructions:
        return Consequence("int8 products take one instruction; int4 computes with int8 activations")
    if "AVX2" in instructions:
        return Consequence("without VNNI, int8 products take three instructions; int4 computes with int8 activations")
    return Consequence("without AVX2, int8 and int4 may be slower than float32", compare=True)


def _on_arm(instructions: tuple[str, ...]) -> Consequence:
    if "i8mm" in instructions:
        return Consequence("int8 products are matrix instructions; int4 computes with int8 activations")
    if "dot product" in instructions:
        return Consequence("int8 products take one instruction; int4 computes with int8 activations")
    text = "without dot product, int8 products take several instructions, and int4 computes in float32"
    return Consequence(text, compare=True)
