"""Files of finals: text, subtitles and JSON lines, on the disk before anything is shown."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from edgespeech.errors import UsageError
from edgespeech.runtime.live import save_file
from edgespeech.runtime.live.save_file import SaveFile
from edgespeech.runtime.transcript import Event
from tests.runtime.live.stand_ins import CollectingOutput, FakeSource, final, run

SAVED = {
    ".txt": "hello there\ngood bye\n",
    ".srt": (
        "1\n00:00:01,000 --> 00:00:02,500\nhello there\n\n"
        "2\n01:01:01,000 --> 01:01:02,500\ngood bye\n\n"
    ),
    ".vtt": (
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\nhello there\n\n"
        "01:01:01.000 --> 01:01:02.500\ngood bye\n\n"
    ),
}  # fmt: skip


@pytest.mark.parametrize("suffix", SAVED)
def test_text_and_subtitles_are_saved(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"talk{suffix.upper()}"
    save = SaveFile(path)
    assert [save.add(final("hello there")), save.add(final("good bye", 3661.0)), save.close()] == [""] * 3
    assert path.read_text() == SAVED[suffix]


def test_json_lines_are_saved(tmp_path: Path) -> None:
    save = SaveFile(tmp_path / "talk.jsonl")
    save.add(final("hello there"))
    save.close()
    (line,) = (tmp_path / "talk.jsonl").read_text().splitlines()
    assert json.loads(line)["text"] == "hello there" and len(json.loads(line)["words"]) == 2


@pytest.mark.parametrize("suffix", [".txt", ".srt", ".vtt", ".jsonl"])
def test_a_final_is_on_the_disk_before_it_is_shown(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"talk{suffix}"
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    on_disk: list[bool] = []

    class Looking(CollectingOutput):
        def show(self, event: Event, source: str = "") -> None:
            if event.type == "final":
                on_disk.append(event.text in path.read_text() and synced[-1] == path.stat().st_size)

    run(FakeSource(0.5, 0.5, 0.5, 0.5), Looking(), SaveFile(path))
    assert on_disk == [True, True, True]


def save_again(path: Path, **how: bool) -> str:
    save = SaveFile(path, **how)
    save.add(final("again"))
    save.close()
    return path.read_text()


@pytest.mark.parametrize("suffix", [".txt", ".srt", ".vtt", ".jsonl"])
def test_a_file_that_exists_is_kept_unless_it_may_be_overwritten(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"old{suffix}"
    path.write_text("kept\n")
    with pytest.raises(UsageError, match="exists; give --overwrite to replace it"):
        SaveFile(path)
    assert path.read_text() == "kept\n"
    assert save_again(path, overwrite=True) == save_again(tmp_path / f"new{suffix}") != ""
    path.write_text("")  # as mktemp makes it
    assert save_again(path) == (tmp_path / f"new{suffix}").read_text()


def test_text_can_be_appended_and_subtitles_cannot(tmp_path: Path) -> None:
    assert [save_again(tmp_path / "notes.txt", append=True) for _ in range(2)] == ["again\n", "again\nagain\n"]
    assert save_again(tmp_path / "new.srt", append=True).startswith("1\n00:00:01,000")
    for suffix in (".srt", ".vtt"):
        (tmp_path / f"old{suffix}").write_text("kept")
        with pytest.raises(UsageError, match="cannot append to .*: subtitle times begin at zero"):
            SaveFile(tmp_path / f"old{suffix}", append=True)
        assert (tmp_path / f"old{suffix}").read_text() == "kept"


@pytest.mark.parametrize("name", ["talk", "talk.docx", ".srt", "missing/talk.srt", "folder.txt"])
def test_files_that_cannot_be_saved_to(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(UsageError, match="^cannot save to .*") as caught:
        SaveFile(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a device of Linux")
def test_a_full_disk_does_not_end_the_session(tmp_path: Path) -> None:
    (tmp_path / "full.txt").symlink_to("/dev/full")
    (tmp_path / "full.vtt").symlink_to("/dev/full")
    output = run(FakeSource(0.5, 0.5, 0.5, 0.5), save=SaveFile(tmp_path / "full.txt"))
    assert output.texts("final") == ["part 1", "part 2", "the end"]
    messages = [text for text in output.texts("status") if "save" in text]
    assert len(messages) == 2
    assert "No space left on device" in messages[0] and "22 bytes of text could not be saved" in messages[1]
    with pytest.raises(UsageError, match="No space left on device"):
        SaveFile(tmp_path / "full.vtt")


def test_pending_text_is_written_once_there_is_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Crowded(io.FileIO):
        room = 0

        def write(self, data: Any) -> int:
            if not self.room:
                raise OSError(28, "No space left on device")
            taken, Crowded.room = min(self.room, len(data)), max(0, self.room - len(data))
            return super().write(bytes(data[:taken]))

    monkeypatch.setattr(save_file, "open", lambda path, *_, **__: Crowded(path, "ab"), raising=False)
    save = SaveFile(tmp_path / "a.txt")
    Crowded.room = 2
    assert "No space left" in save.add(final("one"))
    assert save.add(final("two")) == ""
    Crowded.room = 100
    assert save.add(final("three")) == f"saving to {str(tmp_path / 'a.txt')!r} again"
    assert save.close() == ""
    assert (tmp_path / "a.txt").read_text() == "one\ntwo\nthree\n"


def test_a_line_torn_by_a_crash_is_ended_first(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("good by")
    assert save_again(tmp_path / "notes.txt", append=True) == "good by\nagain\n"


def test_finals_of_several_sources_carry_the_source_name(tmp_path: Path) -> None:
    for suffix in (".srt", ".jsonl"):
        save = SaveFile(tmp_path / f"talk{suffix}")
        save.add(final("hello there"), "left")
        save.close()
    assert "\nleft: hello there\n" in (tmp_path / "talk.srt").read_text()
    assert json.loads((tmp_path / "talk.jsonl").read_text())["source"] == "left"
