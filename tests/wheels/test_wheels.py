"""What a wheel must be, and that the compiled search has no instruction that an old processor lacks."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgespeech.runtime.decoder.native.library import FILE, search_kind
from tests.wheels.check import LIBRARY, check_wheel
from tests.wheels.library import ASSEMBLERS, Needs, beyond_baseline, binutils, read_needs

pytest.importorskip("elftools", reason="pyelftools reads libraries")

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "runtime" / "decoder" / "native").glob("*.cpp"))
LOOP = "void add(float *a, const float *b) { for (int i = 0; i < 64; ++i) a[i] += b[i]; }"
DOT = "#include <arm_neon.h>\nint32x4_t dot(int32x4_t a, int8x16_t b, int8x16_t c) { return vdotq_s32(a, b, c); }"

compiled = pytest.mark.skipif(
    sys.platform != "linux" or bool(search_kind().reason), reason="no compiled search for Linux here"
)


def flags() -> list[str]:
    """The options of setup.py for GCC and Clang."""
    for node in ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "UNIX":
            return list(ast.literal_eval(node.value))
    raise AssertionError("setup.py has no UNIX")


def compile_library(machine: str, sources: list[Path], path: Path, *options: str) -> Path:
    compiler = shutil.which(f"{ASSEMBLERS[machine][0]}g++")
    if compiler is None or binutils(machine) is None:
        pytest.skip(f"no g++ and binutils for {machine}")
    subprocess.run([compiler, *flags(), *options, "-fPIC", "-shared", *sources, "-o", path], check=True)
    return path


def pack(folder: Path, tags: str, names: tuple[str, ...] = (LIBRARY,)) -> Path:
    path = folder / f"edgespeech-1.0-{tags}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.write(FILE, name)
    return path


def test_no_option_chooses_a_processor() -> None:
    assert [one for one in flags() if one.startswith(("-m", "-Ofast", "-ffast", "-funsafe"))] == []
    assert "-ffp-contract=off" in flags()


@compiled
def test_the_installed_search_has_instructions_of_the_baseline_only() -> None:
    machine = read_needs(FILE).machine
    if binutils(machine) is None:
        pytest.skip(f"no binutils for {machine}")
    assert beyond_baseline(FILE, machine) == []


@pytest.mark.slow
@pytest.mark.parametrize("machine", ASSEMBLERS)
def test_compilers_for_both_processors_write_the_baseline_only(machine: str, tmp_path: Path) -> None:
    library = compile_library(machine, SOURCES, tmp_path / "search.so")
    assert beyond_baseline(library, machine) == []
    needs = read_needs(library)
    assert needs.machine == machine and "libc.so.6" in needs.libraries


@pytest.mark.parametrize(
    ("machine", "source", "option", "instruction"),
    [("x86_64", LOOP, "-mavx2", "vaddps"), ("aarch64", DOT, "-march=armv8.2-a+dotprod", "sdot")],
)
def test_newer_instructions_are_found(machine: str, source: str, option: str, instruction: str, tmp_path: Path) -> None:
    (tmp_path / "one.cpp").write_text(source)
    library = compile_library(machine, [tmp_path / "one.cpp"], tmp_path / "one.so", option)
    assert any(one.startswith(instruction) for one in beyond_baseline(library, machine))


@compiled
@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ("cp311-cp311-linux_x86_64", "tagged for some Pythons"),
        ("py3-none-any", "does not name the machine"),
        ("py3-none-linux_riscv64", "does not name the machine"),
        ("py3-none-manylinux_2_17_{machine}", r"does not promise libgcc_s.so.1, libstdc\+\+.so.6"),
        ("py3-none-musllinux_1_2_{machine}", "does not promise .*libc.so.6"),
    ],
)
def test_wheels_whose_tags_promise_too_much_are_refused(tags: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=problem):
        check_wheel(pack(tmp_path, tags.format(machine=read_needs(FILE).machine)))


@compiled
@pytest.mark.parametrize("names", [(), (LIBRARY, "edgespeech.libs/libgomp.so.1")])
def test_a_wheel_holds_the_search_and_no_other_library(names: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="alone"):
        check_wheel(pack(tmp_path, "py3-none-linux_x86_64", names))


@compiled
def test_versions_of_symbols_are_held_against_the_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = read_needs(FILE).machine
    for version, allowed in (((2, 17), True), ((2, 18), False)):
        needs = Needs(machine, frozenset({"libc.so.6", "libm.so.6"}), {"GLIBC": version})
        monkeypatch.setattr("tests.wheels.check.read_needs", lambda _, needs=needs: needs)
        for name in ("manylinux_2_17", "manylinux2014"):
            wheel = pack(tmp_path, f"py3-none-{name}_{machine}")
            if allowed:
                assert "GLIBC 2.17" in check_wheel(wheel)
            else:
                with pytest.raises(ValueError, match="does not promise the symbols"):
                    check_wheel(wheel)
