"""Where the files of onnxruntime-web come from, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgespeech.demo.web.onnxruntime_web import SCRIPT, WASM, find_onnxruntime_web
from edgespeech.errors import MissingDependencyError, UsageError
from tests.demo.web.conftest import CONTENTS, write_package


def unpacked(package: Path) -> Path:
    return package.with_suffix(".content") / "package"


def npm(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """Put a program npm in place of the real one; returns the file in which it counts its calls."""
    folder.mkdir()
    (folder / "npm").write_text(f'#!/bin/sh\necho "$@" >> "{folder}/calls"\n{script}\n')
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder / "calls"


@pytest.mark.parametrize("place", ["", "dist", "package/dist", "node_modules/onnxruntime-web/dist"])
def test_a_folder_may_be_the_package_or_hold_it(package: Path, tmp_path: Path, place: str) -> None:
    shutil.copytree(unpacked(package) / "dist", tmp_path / "given" / place)
    found = find_onnxruntime_web(tmp_path / "given")
    assert {name: path.read_bytes() for name, path in found.items()} == CONTENTS
    assert not (tmp_path / "cache").exists()


def test_a_package_is_unpacked_once(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = find_onnxruntime_web(package)
    assert {name: path.read_bytes() for name, path in found.items()} == CONTENTS
    monkeypatch.setenv("PATH", "")
    assert find_onnxruntime_web() == found


def test_npm_downloads_it_once(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = npm(tmp_path / "bin", monkeypatch, f'cp "{package}" "$4/onnxruntime-web-1.30.0.tgz"')
    first, second = find_onnxruntime_web(), find_onnxruntime_web()
    assert first == second and first[WASM].read_bytes() == CONTENTS[WASM]
    assert len(calls.read_text().splitlines()) == 1 and "onnxruntime-web@1.30.0" in calls.read_text()
    first[SCRIPT].write_text("damaged")
    assert find_onnxruntime_web()[SCRIPT].read_bytes() == CONTENTS[SCRIPT]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'npm error code ENOTFOUND' >&2; exit 1", "cannot download .* ENOTFOUND; check the network"),
        ("exit 1", "no reason given"),
        ("exit 0", "no reason given"),
        ('echo nonsense > "$4/x.tgz"', "is not a package of npm"),
    ],
)
def test_what_npm_can_do_wrong(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    npm(tmp_path / "bin", monkeypatch, script)
    with pytest.raises(UsageError, match=f"{words}.*--ort"):
        find_onnxruntime_web()
    assert not list((tmp_path / "cache").rglob("*.*js"))


def test_without_npm_the_way_around_it_is_named(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingDependencyError, match="install Node.js, or give --ort the folder of onnxruntime-web@1"):
        find_onnxruntime_web()


def test_other_folders_and_versions_are_refused(package: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not contain ort.wasm.bundle.min.mjs"):
        find_onnxruntime_web(tmp_path)
    (unpacked(package) / "dist" / WASM).write_bytes(b"\0asm of another version")
    with pytest.raises(UsageError, match="wasm is not the file of onnxruntime-web@1.30.0: its SHA-256 differs"):
        find_onnxruntime_web(unpacked(package))


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        ({SCRIPT: CONTENTS[SCRIPT]}, "does not contain"),
        ({**CONTENTS, WASM: b"another version"}, "its SHA-256 differs"),
    ],
)
def test_other_packages_are_refused(package: Path, tmp_path: Path, contents: dict[str, bytes], words: str) -> None:
    other = write_package(tmp_path / "other.tgz", contents)
    with pytest.raises(UsageError, match=words):
        find_onnxruntime_web(other)
    assert not list((tmp_path / "cache").rglob("*.wasm"))


def test_a_path_that_does_not_exist_is_an_error(package: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere.tgz is not a package of npm: .*No such file"):
        find_onnxruntime_web(tmp_path / "nowhere.tgz")
