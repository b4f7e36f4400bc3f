"""Temporary files and folders: removed at the end, locked meanwhile, and removed by the next writer after a crash."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edgespeech.runtime.files import replacing
from edgespeech.runtime.storage import temporaries
from edgespeech.runtime.storage.folders import FolderKind, replacing_folder
from edgespeech.runtime.storage.temporaries import exclusive, temporary_file, temporary_folder

posix = pytest.mark.skipif(os.name != "posix", reason="locks of POSIX")
_DIES = """
import os, signal, sys
from pathlib import Path
from edgespeech.runtime.storage.temporaries import temporary_file, temporary_folder
target = Path(sys.argv[1])
with temporary_file(target) as (path, file), temporary_folder(target) as folder:
    file.write(b"half"), file.flush(), (folder / "a").mkdir(), (folder / "a" / "b").write_text("half")
    print("ready", flush=True)
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@posix
def test_what_a_killed_process_left_is_removed_by_the_next_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    target = tmp_path / "model.pt"
    process = subprocess.Popen([sys.executable, "-c", _DIES, target], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    with temporary_file(target), temporary_folder(target):
        assert len(list(tmp_path.iterdir())) == 4
    assert len(list(tmp_path.iterdir())) == 2
    process.communicate()
    assert len(list(tmp_path.iterdir())) == 2
    with replacing(target) as file:
        file.write(b"whole")
    assert list(tmp_path.iterdir()) == [target] and target.read_bytes() == b"whole"


@posix
def test_files_with_similar_names_are_left_alone(tmp_path: Path) -> None:
    others = [".a.txt.1", ".a.txt.1-2-3", ".a.txt.x-1", ".b.txt.1-2", "a.txt.1-2", ".a.txt.1-2.bak"]
    for name in others:
        (tmp_path / name).write_text("of somebody else")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".a.txt.1-1").symlink_to(tmp_path / "elsewhere")
    with replacing(tmp_path / "a.txt") as file:
        file.write(b"text")
    assert sorted(os.listdir(tmp_path)) == sorted([*others, ".a.txt.1-1", "elsewhere", "a.txt"])


@posix
@pytest.mark.parametrize("is_folder", [False, True])
def test_a_name_that_another_process_took_away_before_it_was_locked_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_folder: bool
) -> None:
    lock = temporaries._lock
    removed: list[Path] = []

    def remove_first(descriptor: int) -> None:
        if not removed:
            removed.extend(tmp_path.iterdir())
            removed[0].rmdir() if is_folder else removed[0].unlink()
        lock(descriptor)

    monkeypatch.setattr(temporaries, "_lock", remove_first)
    if is_folder:
        with temporary_folder(tmp_path / "a") as path:
            assert path.is_dir() and path not in removed
    else:
        with temporary_file(tmp_path / "a") as (path, _):
            assert path.is_file() and path not in removed
    assert removed and list(tmp_path.iterdir()) == []


def test_two_writers_of_one_file_and_of_one_folder_leave_what_one_of_them_wrote(tmp_path: Path) -> None:
    kind, barrier = FolderKind("thing", "thing.json", "thing"), threading.Barrier(4)
    errors: list[Exception] = []

    def write(number: int) -> None:
        try:
            for _ in range(20):
                barrier.wait(60)
                with replacing(tmp_path / "file") as file:
                    file.write(str(number).encode() * 1000)
                with replacing_folder(tmp_path / "folder", kind) as folder:
                    (folder / "thing.json").write_text('{"format": "thing"}')
                    (folder / "a").write_text(str(number))
                    (folder / "b").write_text(str(number))
        except Exception as error:
            errors.append(error)
            barrier.abort()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(set((tmp_path / "file").read_text())) == 1
    assert (tmp_path / "folder" / "a").read_text() == (tmp_path / "folder" / "b").read_text()
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


@posix
def test_one_process_after_the_other_changes_what_it_has_read(tmp_path: Path) -> None:
    inside, done = threading.Event(), []

    def second() -> None:
        inside.wait(30)
        with exclusive(tmp_path):
            done.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with exclusive(tmp_path):
        inside.set()
        thread.join(0.2)
        done.append("first")
    thread.join()
    assert done == ["first", "second"]
