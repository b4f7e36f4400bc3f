"""Manifests are read line by line; a bad line is named by file and number."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgespeech.errors import ManifestError, UsageError
from edgespeech.runtime.manifest import Utterance, is_manifest, read_manifest, read_texts, write_manifest


def manifest(folder: Path, content: str | bytes) -> Path:
    path = folder / "manifest.jsonl"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path, check_files: bool = False) -> str:
    with pytest.raises(ManifestError) as caught:
        read_manifest(path, check_files)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_fields_are_read_and_have_defaults(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        '{"audio_filepath": "a.wav", "text": "hello", "duration": 1.5, "speaker": "ann", "offset": 2, "lang": "en"}\n'
        "\n"
        '{"audio_filepath": "b.wav"}',
    )
    assert read_manifest(path) == [
        Utterance("a.wav", tmp_path / "a.wav", "hello", 1.5, "ann", 2.0),
        Utterance("b.wav", tmp_path / "b.wav", "", None, None, 0.0),
    ]


def test_paths_are_relative_to_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lists").mkdir()
    elsewhere = str(tmp_path / "x.wav").replace("\\", "/")
    manifest(tmp_path / "lists", f'{{"audio_filepath": "../a.wav"}}\n{{"audio_filepath": "{elsewhere}"}}\n')
    monkeypatch.chdir(tmp_path)
    first, second = read_manifest("lists/manifest.jsonl")
    assert first.path.is_absolute() and os.path.normpath(first.path) == str(tmp_path / "a.wav")
    assert second.path == tmp_path / "x.wav"


def test_windows_line_ends_and_a_byte_order_mark_are_accepted(tmp_path: Path) -> None:
    path = manifest(tmp_path, b'\xef\xbb\xbf{"audio_filepath": "a.wav"}\r\n\r\n{"audio_filepath": "b.wav"}\r\n')
    assert [utterance.audio_filepath for utterance in read_manifest(path)] == ["a.wav", "b.wav"]


@pytest.mark.parametrize(
    ("line", "part"),
    [
        (b'{"audio_filepath": "a.wav"', "invalid JSON"),
        (b"a.wav hello", "invalid JSON"),
        (b'{"audio_filepath": "\xff.wav"}', "invalid JSON"),
        (b'{"audio_filepath": "a.wav", "duration": NaN}', "invalid JSON"),
        (b'["a.wav"]', "Expected `object`"),
        (b'{"text": "hello"}', "audio_filepath"),
        (b'{"audio_filepath": ""}', "audio_filepath is empty"),
        (b'{"audio_filepath": 7}', "$.audio_filepath"),
        (b'{"audio_filepath": "a.wav", "text": 7}', "$.text"),
        (b'{"audio_filepath": "a.wav", "text": null}', "$.text"),
        (b'{"audio_filepath": "a.wav", "speaker": 7}', "$.speaker"),
        (b'{"audio_filepath": "a.wav", "duration": "long"}', "$.duration"),
        (b'{"audio_filepath": "a.wav", "duration": -1}', "duration is -1.0"),
        (b'{"audio_filepath": "a.wav", "offset": -0.5}', "offset is -0.5"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: bytes, part: str) -> None:
    path = manifest(tmp_path, b'{"audio_filepath": "first.wav"}\n\n' + line + b"\n")
    message = refusal(path)
    assert message.startswith(f"{path}:3: ") and part in message


def test_a_missing_manifest_is_reported(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.jsonl")
    assert str(tmp_path) in refusal(tmp_path)


def test_an_unreadable_manifest_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert "Permission denied" in refusal(tmp_path / "secret.jsonl")


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_manifest_is_refused(tmp_path: Path, content: str) -> None:
    assert "is empty" in refusal(manifest(tmp_path, content))


def test_missing_audio_is_counted(tmp_path: Path) -> None:
    path = manifest(tmp_path, "".join(f'{{"audio_filepath": "{name}.wav"}}\n\n' for name in "abc"))
    (tmp_path / "a.wav").touch()
    assert len(read_manifest(path)) == 3
    message = refusal(path, check_files=True)
    assert message.startswith(f"{path}:3: audio file 'b.wav'") and "2 of 3 are missing" in message
    for name in "bc":
        (tmp_path / f"{name}.wav").touch()
    assert len(read_manifest(path, check_files=True)) == 3


def test_a_written_manifest_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "sound").mkdir()
    (tmp_path / "lists").mkdir()
    path = tmp_path / "lists" / "m.jsonl"
    utterances = [
        Utterance("x", tmp_path / "sound" / "a.wav", "größe", 1.25, "ann", 0.5),
        Utterance("y", tmp_path / "lists" / "b.wav"),
    ]
    assert write_manifest(path, utterances) == 2
    first, second = read_manifest(path)
    assert (first.audio_filepath, second.audio_filepath) == ("../sound/a.wav", "b.wav")
    assert [first.path.resolve(), second.path.resolve()] == [one.path.resolve() for one in utterances]
    assert (first.text, first.duration, first.speaker, first.offset) == ("größe", 1.25, "ann", 0.5)
    assert (second.text, second.duration, second.speaker, second.offset) == ("", None, None, 0.0)


def test_a_manifest_is_written_atomically(tmp_path: Path) -> None:
    def broken() -> Iterator[Utterance]:
        yield Utterance("a.wav", tmp_path / "a.wav")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_manifest(tmp_path / "m.jsonl", broken())
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="cannot write"):
        write_manifest(tmp_path / "no" / "m.jsonl", [])


LINES = '{"audio_filepath": "a.wav", "text": "hello"}\n'


@pytest.mark.parametrize("name", ["m.json", "m.jsonl", "m.txt", "m.manifest", "m"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_manifest_may_have_any_name_and_a_byte_order_mark(tmp_path: Path, name: str, encoding: str) -> None:
    (tmp_path / name).write_bytes(("\n" + LINES).encode(encoding))
    assert [one.text for one in read_manifest(tmp_path / name)] == ["hello"]
    assert is_manifest(tmp_path / name, LINES)


@pytest.mark.parametrize(
    ("name", "line", "expected"),
    [
        ("text.txt", "a sentence\n", False),
        ("text.txt", "{curly} brackets in a sentence\n", False),
        ("text", '"audio_filepath" in quotes\n', False),
        ("text.txt", ' { "text": "a" }\n', True),
        ("text.txt", "{\n", True),
        ("dev.json", "no JSON at all\n", True),
        ("dev.JSONL.gz", "no JSON at all\n", True),
    ],
)
def test_a_manifest_is_told_by_its_content(name: str, line: str, expected: bool) -> None:
    assert is_manifest(Path(name), line) == expected


def test_a_text_may_be_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffhello\n  world\n".encode())
    path = manifest(tmp_path, '{"audio_filepath": "a.wav", "text_filepath": "a.txt"}\n{"audio_filepath": "b.wav"}\n')
    assert [(one.text, one.has_text) for one in read_manifest(path)] == [("hello world", True), ("", False)]
    assert list(read_texts(['{"text_filepath": "a.txt"}'], path)) == ["hello world"]


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file"), (b"\xff", "not UTF-8 text")])
def test_an_unreadable_text_file_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    if content is not None:
        (tmp_path / "a.txt").write_bytes(content)
    message = refusal(manifest(tmp_path, '{"audio_filepath": "a.wav", "text_filepath": "a.txt"}'))
    assert "'a.txt'" in message and reason in message


def test_paths_are_looked_up_beside_the_manifest_then_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lists, home = tmp_path / "lists", tmp_path / "home"
    for folder in (lists, home):
        folder.mkdir()
    for place in (lists / "both.wav", tmp_path / "both.wav", tmp_path / "here.wav", home / "mine.wav"):
        place.touch()
    (lists / "linked.wav").symlink_to(tmp_path / "here.wav")
    (tmp_path / "linked.wav").symlink_to(tmp_path / "here.wav")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(home))
    names = ["both.wav", "here.wav", "~/mine.wav", str(tmp_path / "here.wav"), "nowhere.wav", "linked.wav"]
    manifest(lists, "".join(f'{{"audio_filepath": "{name}"}}\n' for name in names))
    wanted = [lists / "both.wav", tmp_path / "here.wav", home / "mine.wav", tmp_path / "here.wav"]
    assert [one.path for one in read_manifest("lists/manifest.jsonl")] == [
        *wanted,
        lists / "nowhere.wav",
        lists / "linked.wav",
    ]
    (message,) = [record.getMessage() for record in caplog.records]
    assert "1 files such as 'both.wav' are in its folder and also in the working folder" in message


def test_a_file_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"udce9\.wav' is not UTF-8"):
        write_manifest(tmp_path / "m.jsonl", [Utterance("x", tmp_path / os.fsdecode(b"caf\xe9.wav"))])
    assert list(tmp_path.iterdir()) == []
