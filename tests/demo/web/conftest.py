"""A stand-in for onnxruntime-web, whose real files are 14 MB and come by npm."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import pytest

from edgespeech.demo.web import onnxruntime_web

CONTENTS = {onnxruntime_web.SCRIPT: b"export const env = {};\n" * 50, onnxruntime_web.WASM: b"\0asm" + bytes(4096)}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of npm with small files, whose hashes are the ones that are wanted; the cache folder is empty."""
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENTS.items()}
    monkeypatch.setattr(onnxruntime_web, "SHA256", hashes)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return write_package(tmp_path / "onnxruntime-web.tgz", CONTENTS)


def write_package(path: Path, contents: dict[str, bytes]) -> Path:
    """Write a package of npm."""
    folder = path.with_suffix(".content")
    for name, content in contents.items():
        target = folder / "package" / "dist" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder / "package", "package")
    return path
