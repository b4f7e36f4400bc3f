"""Files that are written atomically, and targets that cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgespeech.errors import UsageError
from edgespeech.runtime.files import cache_folder, make_folder, replacing, require_writable


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    path.write_text("old")
    with pytest.raises(ValueError, match="broken"), replacing(path) as file:
        file.write(b"half")
        raise ValueError("broken")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_a_target_that_cannot_be_written_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write .*: No such file or directory"), replacing(tmp_path / "a/b"):
        pass


def test_checking_a_target_writes_nothing(tmp_path: Path) -> None:
    require_writable(tmp_path / "new.json")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="cannot write .*: it is a folder; give a file"):
        require_writable(tmp_path)
    with pytest.raises(UsageError, match="cannot write .*: No such file or directory; give a file in a folder"):
        require_writable(tmp_path / "a" / "new.json")
    require_writable(tmp_path / "a" / "new.json", create=True)
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_folder_is_created_with_those_above_it(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("text")
    with pytest.raises(UsageError, match="cannot create .*; give another folder"):
        make_folder(tmp_path / "file" / "b")


@pytest.mark.parametrize(
    ("system", "folder"),
    [("linux", "cache"), ("darwin", "home/Library/Caches"), ("win32", "home/AppData/Local")],
)
def test_the_cache_folder_is_the_users(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: str, folder: str
) -> None:
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    assert cache_folder() == tmp_path / folder / "edgespeech"
