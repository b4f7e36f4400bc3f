"""Files that are written atomically, and targets that cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgespeech.errors import UsageError
from edgespeech.runtime.files import (
    cache_folder,
    ends_within_a_line,
    make_folder,
    replacing,
    require_new,
    require_writable,
)


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


def test_a_file_that_came_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    with (
        pytest.raises(UsageError, match="notes.txt exists; give --overwrite"),
        replacing(path, overwrite=False) as file,
    ):
        file.write(b"mine")
        path.write_text("theirs")
    assert path.read_text() == "theirs" and list(tmp_path.iterdir()) == [path]
    path.write_text("")  # as mktemp makes it
    with replacing(path, overwrite=False) as file:
        file.write(b"mine")
    assert path.read_text() == "mine"


def test_a_file_keeps_its_mode_and_a_link_its_target(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "private.txt"
    path.write_text("old")
    path.chmod(0o600)
    (tmp_path / "link.txt").symlink_to(path)
    with replacing(tmp_path / "link.txt") as file:
        file.write(b"new")
    assert (tmp_path / "link.txt").is_symlink() and path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600


def test_names_as_long_as_the_system_allows_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".txt")
    with replacing(path) as file:
        file.write(b"new")
    assert path.read_text() == "new"
    with pytest.raises(UsageError, match="File name too long"), replacing(tmp_path / ("x" * 252 + ".txt")):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a device of Linux")
def test_devices_are_written_directly(tmp_path: Path) -> None:
    for device in (Path("/dev/null"), tmp_path / "link"):
        if device.name == "link":
            device.symlink_to("/dev/null")
        require_new(device)
        require_writable(device)
        with replacing(device, overwrite=False) as file:
            file.write(b"x")
        assert device.is_char_device()
    with pytest.raises(UsageError, match="cannot write /dev/full: No space left"), replacing(Path("/dev/full")) as file:
        file.write(b"x")
    assert Path("/dev/full").is_char_device()


def test_only_a_file_that_holds_something_is_refused(tmp_path: Path) -> None:
    full, empty = tmp_path / "full.txt", tmp_path / "empty.txt"
    full.write_text("text")
    empty.write_text("")
    for path in (tmp_path / "new.txt", empty, tmp_path / ("x" * 5000)):
        require_new(path)
    require_new(full, overwrite=True)
    with pytest.raises(UsageError, match=r"full.txt exists; give --overwrite to replace it, or another file$"):
        require_new(full)
    with pytest.raises(UsageError, match="to replace it, --append to add to it, or another file"):
        require_new(full, can_append=True)


@pytest.mark.parametrize(("content", "expected"), [("", False), ("a", True), ("a\n", False), ("a\n\nb", True)])
def test_a_last_line_without_an_end_is_found(tmp_path: Path, content: str, expected: bool) -> None:
    (tmp_path / "file.txt").write_bytes(content.encode())
    assert ends_within_a_line(tmp_path / "file.txt") is expected
    assert not ends_within_a_line(tmp_path) and not ends_within_a_line(tmp_path / "none.txt")


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
