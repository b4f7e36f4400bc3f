"""Which files a command line means, and where their texts go."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgespeech.demo.transcribe.recordings import Job, plan
from edgespeech.demo.transcribe.request import TranscribeRequest
from edgespeech.errors import UsageError
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest

CLIP = read_manifest(SAMPLE_CLIPS)[3].path
NOT_UTF8 = os.fsdecode(b"caf\xe9.opus")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the current folder, with ``talks`` in it: recordings of all kinds of names, and other files."""
    talks = tmp_path / "talks"
    (talks / "2024" / "may").mkdir(parents=True)
    (talks / ".trash").mkdir()
    for name in ("a.opus", "b.OPUS", "noname", "2024/a.opus", "2024/may/c.x.opus", ".trash/old.opus", ".hidden.opus"):
        shutil.copy(CLIP, talks / name)
    (talks / "notes.txt").write_text("not a recording, but text of more than a line\n")
    (talks / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (talks / "samples.raw").write_bytes(bytes(range(256)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def outputs(*audio: str, **settings: Any) -> dict[str, str]:
    """Return where the text of each recording goes."""
    jobs = plan(TranscribeRequest(audio, output_dir=Path("out"), **settings))
    return {job.file: os.path.relpath(str(job.output), "out") for job in jobs}


def test_folders_are_searched_for_audio_and_mirrored(folder: Path) -> None:
    assert outputs("talks", recursive=True, output_format="srt") == {
        "talks/a.opus": "a.srt",
        "talks/b.OPUS": "b.srt",
        "talks/noname": "noname.srt",
        "talks/2024/a.opus": "2024/a.srt",
        "talks/2024/may/c.x.opus": "2024/may/c.x.srt",
    }
    assert (folder / "out" / "2024" / "may").is_dir()
    found = plan(TranscribeRequest(("talks",), recursive=True, raw="s16le:8000:1"))
    assert Job("talks/samples.raw") in found and len(found) == 6
    with pytest.raises(UsageError, match="out has no audio file in it"):
        plan(TranscribeRequest(("out",), recursive=True))


def test_files_whose_outputs_would_have_the_same_name_keep_their_endings(folder: Path) -> None:
    shutil.copy(CLIP, folder / "talks" / "a.mp3")
    shutil.copy(CLIP, folder / "talks" / "B.wav")
    files = ("talks/a.opus", "talks/a.mp3", "talks/b.OPUS", "talks/B.wav", "talks/noname")
    assert list(outputs(*files).values()) == ["a.opus.txt", "a.mp3.txt", "b.OPUS.txt", "B.wav.txt", "noname.txt"]


def test_two_recordings_are_never_written_to_one_file(folder: Path) -> None:
    with pytest.raises(UsageError, match="talks/a.opus and talks/2024/a.opus would both be written to out/a.opus.txt"):
        outputs("talks/a.opus", "talks/2024/a.opus")
    assert not (folder / "out").exists()


def test_names_that_are_not_utf8_are_kept(folder: Path) -> None:
    try:
        shutil.copy(CLIP, folder / NOT_UTF8)
    except OSError:
        pytest.skip("the file system wants UTF-8 names")
    (job,) = plan(TranscribeRequest((NOT_UTF8,), output_dir=Path("out")))
    assert os.fsencode(str(job.output)) == b"out/caf\xe9.txt"


def test_outputs_that_exist_are_refused_before_anything_is_made(folder: Path) -> None:
    (folder / "a.txt").write_text("kept")
    (folder / "a.srt").write_text("kept")
    with pytest.raises(UsageError, match=r"a.txt exists; give --overwrite to replace it, --append to add to it, or"):
        plan(TranscribeRequest(("talks/a.opus",), output=Path("a.txt")))
    with pytest.raises(UsageError, match=r"a.srt exists; give --overwrite to replace it, or another file"):
        plan(TranscribeRequest(("talks/b.OPUS", "talks/a.opus"), "srt", output_dir=Path(".")))
    with pytest.raises(UsageError, match="cannot append to a.srt: subtitle times begin at zero"):
        plan(TranscribeRequest(("talks/a.opus",), output=Path("a.srt"), append=True))
    allowed: tuple[dict[str, Any], ...] = ({"overwrite": True}, {"append": True})
    for settings in allowed:
        assert plan(TranscribeRequest(("talks/a.opus",), output=Path("a.txt"), **settings)) == [Job("talks/a.opus")]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"output": Path("talks/a.opus"), "overwrite": True}, "talks/a.opus is one of the recordings"),
        ({"output": Path("link.txt"), "overwrite": True}, "link.txt is one of the recordings"),
        ({"output": Path("no/a.txt")}, "cannot write no/a.txt: No such file or directory"),
        ({"output_dir": Path("talks/a.opus")}, "cannot create talks/a.opus: File exists"),
        ({"output_dir": Path("talks/a.opus/x")}, "cannot create talks/a.opus/x: Not a directory"),
    ],
)
def test_outputs_that_cannot_be_written(folder: Path, settings: dict[str, Any], words: str) -> None:
    (folder / "link.txt").symlink_to("talks/a.opus")
    with pytest.raises(UsageError, match=words):
        plan(TranscribeRequest(("talks/a.opus",), **settings))


@pytest.mark.parametrize("output_format", ["srt", "vtt"])
def test_subtitles_of_several_recordings_need_a_folder(folder: Path, output_format: str) -> None:
    both = ("talks/a.opus", "talks/b.OPUS")
    one_output: tuple[dict[str, Any], ...] = ({}, {"output": Path("both.out")})
    for settings in one_output:
        with pytest.raises(UsageError, match="2 recordings and --format .* give --output-dir for one file each"):
            plan(TranscribeRequest(both, output_format, **settings))
    assert list(outputs(*both, output_format=output_format).values()) == [f"a.{output_format}", f"b.{output_format}"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"output": Path("a"), "output_dir": Path("b")}, "--output and --output-dir exclude each other"),
        ({"overwrite": True, "append": True}, "--overwrite and --append exclude each other"),
        ({"output": Path("/")}, "is a folder; give a file, or --output-dir /"),
        ({"audio": ("-", "a.wav", "-")}, "standard input .* can be read only once"),
        ({"audio": ("-",), "rate": 8000, "raw": "s16le:8000:1"}, "--raw and --rate exclude each other"),
        ({"raw": "s16le:8000:1"}, "--raw is for standard input"),
    ],
)
def test_settings_that_exclude_each_other(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        TranscribeRequest(**{"audio": ("a.wav",), **settings})


@pytest.mark.parametrize(
    ("given", "output", "expected"),
    [
        (None, None, "txt"),
        ("text", None, "txt"),
        (None, "a.srt", "srt"),
        (None, "a.JSONL", "jsonl"),
        (None, "a.doc", "txt"),
        ("json", "a.srt", "json"),
    ],
)
def test_the_format_follows_the_ending_of_the_output(given: str | None, output: str | None, expected: str) -> None:
    request = TranscribeRequest(("a.wav",), given, output=Path(output) if output else None)
    assert request.format == expected
