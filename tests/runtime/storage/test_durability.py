"""What is written is on the disk before it gets its name, and two folders change places in one step."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgespeech.errors import UsageError
from edgespeech.runtime import files
from edgespeech.runtime.files import replacing
from edgespeech.runtime.storage import folders
from edgespeech.runtime.storage.durability import exchange, sync_file, sync_folder, sync_tree
from edgespeech.runtime.storage.folders import FolderKind, replacing_folder

KIND = FolderKind("thing", "thing.json", "thing")


@pytest.mark.skipif(os.name != "posix", reason="renaming in one step is for POSIX")
def test_two_folders_change_places(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "name").write_text(name)
    if not exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this system cannot exchange two folders")
    assert (tmp_path / "a" / "name").read_text() == "b" and (tmp_path / "b" / "name").read_text() == "a"
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "missing")


def test_content_is_synced_before_it_is_renamed_and_its_name_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, calls = tmp_path / "file", []
    path.write_bytes(b"old")
    for name in ("sync_file", "sync_folder"):
        monkeypatch.setattr(files, name, lambda target, name=name: calls.append((name, path.read_bytes())))
    with replacing(path) as file:
        file.write(b"new")
    assert calls == [("sync_file", b"old"), ("sync_folder", b"new")]
    with replacing(path, sync=False) as file:
        file.write(b"newer")
    assert len(calls) == 2


@pytest.mark.parametrize("number", [5, 28, 122])
def test_a_disk_that_fails_when_it_is_synced_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / "file").write_text("old")
    write_thing(tmp_path / "folder", "old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UsageError, match=f"cannot write .*: {os.strerror(number)}"), replacing(tmp_path / "file"):
        pass
    with pytest.raises(UsageError, match=f"cannot write .*: {os.strerror(number)}"):
        write_thing(tmp_path / "folder", "new")
    assert (tmp_path / "file").read_text() == "old" == (tmp_path / "folder" / "text").read_text()
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_what_has_no_disk_is_not_synced(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    sync_file(writer)
    os.close(reader)
    os.close(writer)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("text")
    sync_tree(tmp_path)
    sync_folder(tmp_path)


def test_a_process_that_died_between_two_renames_has_its_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "exchange", lambda one, other: False)
    folder = tmp_path / "folder"
    for text in ("first", "second"):
        write_thing(folder, text)
        assert (folder / "text").read_text() == text and os.listdir(tmp_path) == ["folder"]
    folder.rename(tmp_path / ".folder.old")
    with pytest.raises(ValueError, match="broken"), replacing_folder(folder, KIND):
        assert (folder / "text").read_text() == "second"
        raise ValueError("broken")
    assert (folder / "text").read_text() == "second" and os.listdir(tmp_path) == ["folder"]


def write_thing(folder: Path, text: str) -> None:
    with replacing_folder(folder, KIND) as temporary:
        (temporary / "thing.json").write_text('{"format": "thing"}')
        (temporary / "text").write_text(text)
