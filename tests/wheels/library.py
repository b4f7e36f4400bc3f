"""What the compiled search of a wheel needs: libraries, versions of glibc's symbols, and instructions."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

Version = tuple[int, ...]

# The assemblers of GNU binutils and the option that allows the baseline's instructions alone.
ASSEMBLERS = {"x86_64": ("x86_64-linux-gnu-", "-march=generic64"), "aarch64": ("aarch64-linux-gnu-", "-march=armv8-a")}
MACHINES = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64"}
# Called only where the processor has them, which the functions find out (GCC's and LLVM's "outline atomics").
CHECKED_AT_RUN_TIME = re.compile(r"__aarch64_(?:cas|swp|ld\w+?)\d+_\w+|init_have_lse_atomics")
# Older processors execute them as instructions without effect, or tzcnt as bsf, which LLVM relies on for operands that
# are not zero.
ALSO_ON_OLDER = re.compile(r"(?:endbr64|data16|tzcnt|bti|paciasp|autiasp|xpaclri)\b")
# LLVM's unwinder, which zig links in, reads registers of SVE and SME only for frames of functions that use them.
UNWINDER = re.compile(r"(?:addsvl|cntd|smstop +za|stg|str +za\[w15, 0\],|m[rs][rs] .*tpidr2_el0)")


@dataclass(frozen=True)
class Needs:
    """What the dynamic loader must find for a library."""

    machine: str
    libraries: frozenset[str]  # DT_NEEDED
    versions: dict[str, Version]  # highest one of the symbols, by its name, such as GLIBC

    def __str__(self) -> str:
        versions = [f"{name} {'.'.join(map(str, version))}" for name, version in sorted(self.versions.items())]
        return f"{self.machine}, {', '.join(sorted(self.libraries))}; {', '.join(versions) or 'no versions'}"


def read_needs(path: Path) -> Needs:
    """Read the dynamic section and the version requirements of an ELF library."""
    elf_file: Any = import_module("elftools.elf.elffile").ELFFile
    with path.open("rb") as stream:
        elf = elf_file(stream)
        dynamic, required = elf.get_section_by_name(".dynamic"), elf.get_section_by_name(".gnu.version_r")
        libraries = frozenset(tag.needed for tag in dynamic.iter_tags("DT_NEEDED"))
        names = [one.name for _, versions in required.iter_versions() for one in versions] if required else []
        versions: dict[str, Version] = {}
        for name, _, number in (one.partition("_") for one in names):
            if number[:1].isdigit():
                versions[name] = max(versions.get(name, ()), tuple(map(int, number.split("."))))
        return Needs(MACHINES[elf.header.e_machine], libraries, versions)


def binutils(machine: str) -> tuple[str, str] | None:
    """Return disassembler and assembler for a machine, or None if they are not installed."""
    found = [shutil.which(ASSEMBLERS[machine][0] + name) for name in ("objdump", "as")]
    return (found[0], found[1]) if found[0] and found[1] else None


def beyond_baseline(path: Path, machine: str) -> list[str]:
    """Return the instructions of a library that the first processors of its architecture do not have.

    The disassembled instructions are given to the assembler, which rejects those that its baseline does not contain.

    Raises:
        FileNotFoundError: GNU binutils for the machine are not installed.
    """
    tools = binutils(machine)
    if tools is None:
        raise FileNotFoundError(f"objdump and as for {machine}; install binutils-{machine.replace('_', '-')}-linux-gnu")
    disassemble = [tools[0], "--disassemble", "--no-show-raw-insn", str(path)]
    listing = subprocess.run(disassemble, capture_output=True, text=True, check=True).stdout
    instructions = sorted(set(_instructions(listing)))
    if not instructions:
        raise ValueError(f"{path} has no instructions")
    command = [tools[1], ASSEMBLERS[machine][1], "-o", "/dev/null", "-"]
    done = subprocess.run(command, input="\n".join(instructions) + "\n", capture_output=True, text=True, check=False)
    lines = {int(number) for number in re.findall(r"^[^:\n]*:(\d+): Error:", done.stderr, re.MULTILINE)}
    return [instructions[line - 1] for line in sorted(lines)]


def _instructions(listing: str) -> Iterator[str]:
    checked = False
    for line in listing.splitlines():
        if title := re.fullmatch(r"[0-9a-f]+ <(.+)>:", line):
            checked = CHECKED_AT_RUN_TIME.match(title[1]) is not None
        elif not checked and (found := re.match(r"\s*[0-9a-f]+:\t(.+)", line)):
            # Without comments, and with the place itself instead of addresses.
            text = re.sub(r"\s+(?:#|//)\s.*", "", found[1])
            text = re.sub(r"\b(?:0x)?[0-9a-f]+ <[^>]*>", ".", text).replace("\t", " ").strip()
            if not ALSO_ON_OLDER.match(text) and not UNWINDER.match(text):
                yield text
