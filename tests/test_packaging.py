"""The shape of the project: what is packaged, what imports what, and what must not be in any file."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgespeech.runtime.decoder.native.library import search_kind
from tests.wheels.check import check_wheel

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]
OURS = ("reference", "export", "quantization", "runtime", "demo")
LONGEST_FILE = 350  # lines

# Folders that exist on one machine only.
MACHINE_PATH = re.compile(r"/(?:work/(?:main|shared)\b|tmp/venv\b|root/)")

WALK_RUNTIME = """
import importlib, pkgutil, sys
import edgespeech.runtime
for module in pkgutil.walk_packages(edgespeech.runtime.__path__, "edgespeech.runtime."):
    importlib.import_module(module.name)
print(*sys.modules, sep="\\n")
"""


def repository_files() -> list[Path]:
    """All files that are tracked or could be."""
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    names = subprocess.run(listing, capture_output=True, check=True, text=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_every_folder_with_an_init_is_packaged() -> None:
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests"}
    assert folders == set(OURS)
    inits = [path.parent for folder in OURS for path in (ROOT / folder).rglob("__init__.py")]
    packages = {"edgespeech", *(f"edgespeech.{'.'.join(path.relative_to(ROOT).parts)}" for path in inits)}
    assert set(SETUPTOOLS["packages"]) == packages, "setuptools' list of packages is not recursive"
    homes = {"edgespeech": "src/edgespeech", **{f"edgespeech.{folder}": folder for folder in OURS}}
    assert SETUPTOOLS["package-dir"] == homes


def test_what_a_device_needs_is_installed_without_a_compiler() -> None:
    """Of our libraries only kenlm has no wheels, so no other extra may bring it, on any Python."""
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    assert [name for name, wanted in extras.items() if any("kenlm" in one for one in wanted)] == ["kenlm"]
    assert not any("kenlm" in one for one in project["dependencies"])


def test_every_module_lies_in_a_package() -> None:
    lost = [
        path for folder in OURS for path in (ROOT / folder).rglob("*.py") if not path.with_name("__init__.py").exists()
    ]
    assert lost == []


def test_runtime_imports_neither_torch_nor_onnx_nor_our_other_folders(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", WALK_RUNTIME], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120
    )
    assert run.returncode == 0, run.stderr
    modules = set(run.stdout.split())
    assert {"edgespeech.runtime.bundle", "edgespeech.runtime.recognizer"} <= modules
    forbidden = {"torch", "onnx", *(f"edgespeech.{folder}" for folder in OURS if folder != "runtime")}
    assert modules & forbidden == set()


def test_the_links_for_type_checkers_resolve() -> None:
    links = {path.name: path for path in (ROOT / ".types" / "edgespeech").iterdir()}
    public = {path.name for path in (ROOT / "src" / "edgespeech").iterdir() if path.name != "__pycache__"}
    assert set(links) == public | set(OURS)
    for name, link in links.items():
        home = ROOT / name if name in OURS else ROOT / "src" / "edgespeech" / name
        assert link.resolve() == home


def test_files_stay_readable_in_one_go() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in repository_files()
        if path.suffix == ".py"
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_file_names_a_folder_of_one_machine() -> None:
    found = []
    for path in repository_files():
        data = path.read_bytes()
        if b"\0" in data[:8192]:
            continue
        for number, line in enumerate(data.decode("utf-8").splitlines(), start=1):
            if MACHINE_PATH.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert found == []


@pytest.mark.slow
def test_the_wheel_holds_edgespeech_and_its_data_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "source"
    for path in repository_files():
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(source)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"edgespeech"}
    wanted = {
        "edgespeech/py.typed",
        "edgespeech/runtime/default_bundle/lm.bin",
        "edgespeech/runtime/sample_clips/clips.jsonl",
    }
    wanted |= {f"edgespeech/{path.relative_to(ROOT)}" for folder in OURS for path in (ROOT / folder).rglob("*.py")}
    wanted |= {f"edgespeech/runtime/default_bundle/{path.name}" for path in (ROOT / "runtime/default_bundle").iterdir()}
    assert wanted - set(names) == set()
    if sys.platform == "linux" and not search_kind().reason:
        with capsys.disabled():
            print(f"\n{check_wheel(wheel)}")
