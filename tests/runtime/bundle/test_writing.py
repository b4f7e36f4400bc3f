"""Writing: a bundle is complete or not there, and nothing else is replaced."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgespeech.errors import UsageError
from edgespeech.runtime.bundle import (
    ACOUSTIC,
    LANGUAGE_MODEL,
    MANIFEST,
    PUNCTUATION,
    Bundle,
    FileEntry,
    Manifest,
    load_bundle,
    require_bundle_folder,
    write_bundle,
)

Writer = Callable[..., Bundle]


@pytest.fixture
def write(tiny_bundle: Bundle) -> Writer:
    """Writes the tiny bundle, under another name if one is given."""

    def describe(files: dict[str, FileEntry], name: str) -> Manifest:
        return msgspec.structs.replace(tiny_bundle.manifest, files=files, name=name)

    def run(folder: Path, name: str = "tiny", **more: Any) -> Bundle:
        return write_bundle(folder, {ACOUSTIC: tiny_bundle.acoustic_path}, lambda files: describe(files, name), **more)

    return run


def test_a_copy_has_the_files_of_the_bundle(tmp_path: Path) -> None:
    bundle = load_bundle()
    without = {name: path for name, path in bundle.paths.items() if name != LANGUAGE_MODEL}
    copy = write_bundle(tmp_path / "copy", without, lambda files: msgspec.structs.replace(bundle.manifest, files=files))
    entries = {name: entry for name, entry in bundle.manifest.files.items() if name != LANGUAGE_MODEL}
    assert copy.manifest == msgspec.structs.replace(bundle.manifest, files=entries)
    assert copy.paths == {name: tmp_path / "copy" / name for name in without}
    assert copy.language_model_path is None and copy.punctuation_path == tmp_path / "copy" / PUNCTUATION


def test_writing_creates_the_folder_and_nothing_else(write: Writer, tmp_path: Path) -> None:
    seen: list[Bundle] = []
    written = write(tmp_path / "new" / "bundle", check=seen.append)
    assert seen[0].manifest == written.manifest
    assert load_bundle(tmp_path / "new" / "bundle") == written
    assert os.listdir(tmp_path / "new") == ["bundle"]
    assert (tmp_path / "new" / "bundle").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failing_check_changes_nothing(write: Writer, tmp_path: Path, error: type[BaseException]) -> None:
    def fail(bundle: Bundle) -> None:
        raise error

    with pytest.raises(error):
        write(tmp_path / "bundle", check=fail)
    assert os.listdir(tmp_path) == []
    write(tmp_path / "bundle", "old")
    with pytest.raises(error):
        write(tmp_path / "bundle", "new", check=fail)
    assert os.listdir(tmp_path) == ["bundle"]
    assert load_bundle(tmp_path / "bundle").manifest.name == "old"


def test_an_old_bundle_is_replaced(write: Writer, tmp_path: Path) -> None:
    write(tmp_path / "bundle", "old")
    (tmp_path / "bundle" / "lm.bin").write_text("no longer part of it")
    write(tmp_path / "bundle", "new")
    assert load_bundle(tmp_path / "bundle").manifest.name == "new"
    assert sorted(os.listdir(tmp_path / "bundle")) == [ACOUSTIC, MANIFEST]
    assert os.listdir(tmp_path) == ["bundle"]


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_an_old_bundle_stays_if_the_new_one_cannot_replace_it(
    write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    write(tmp_path / "bundle", "old")
    rename = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if target == tmp_path / "bundle" and path.name != ".bundle.old":
            raise error
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    monkeypatch.setattr("edgespeech.runtime.storage.folders.exchange", lambda one, other: False)
    with pytest.raises((UsageError, KeyboardInterrupt)):
        write(tmp_path / "bundle", "new")
    assert os.listdir(tmp_path) == ["bundle"]
    assert load_bundle(tmp_path / "bundle").manifest.name == "old"


def test_an_empty_folder_is_used(write: Writer, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    write(tmp_path / "bundle")
    assert os.listdir(tmp_path) == ["bundle"]
    assert load_bundle(tmp_path / "bundle").manifest.name == "tiny"


@pytest.mark.parametrize("content", ["", "{}", '{"name": "of another program", "version": 3}', '{"format": "x"}'])
def test_another_folder_is_not_changed(write: Writer, tmp_path: Path, content: str) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("years")
    if content:
        (tmp_path / "work" / MANIFEST).write_text(content)
    before = sorted(os.listdir(tmp_path / "work"))
    for target in (tmp_path / "work", tmp_path / "work" / "thesis.txt"):
        with pytest.raises(UsageError, match="exists and is not a bundle"):
            write(target)
    assert sorted(os.listdir(tmp_path / "work")) == before
    assert os.listdir(tmp_path) == ["work"]


def test_a_target_that_cannot_be_written_is_refused(write: Writer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    for target in (tmp_path / "file" / "bundle", tmp_path / "file" / "deeper" / "bundle", tmp_path / ("x" * 5000)):
        with pytest.raises(UsageError, match="cannot write .*; give another folder"):
            write(target)
    assert os.listdir(tmp_path) == ["file"]


def test_a_target_is_checked_before_the_work_without_a_trace(tmp_path: Path, tiny_bundle: Bundle) -> None:
    (tmp_path / "file").write_text("text")
    for target in (tmp_path / "new", tmp_path / "new" / "deeper", tiny_bundle.folder):
        require_bundle_folder(target)
    (tmp_path / "empty").mkdir()
    require_bundle_folder(tmp_path / "empty", overwrite=False)
    (tmp_path / "empty").rmdir()
    with pytest.raises(UsageError, match="is a bundle; give --overwrite to replace all of its files"):
        require_bundle_folder(tiny_bundle.folder, overwrite=False)
    for target, words in ((tmp_path, "is not a bundle"), (tmp_path / "file" / "new" / "bundle", "cannot write")):
        with pytest.raises(UsageError, match=words):
            require_bundle_folder(target)
    assert os.listdir(tmp_path) == ["file"]
