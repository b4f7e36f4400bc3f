"""Manifests of tiny folders laid out like LibriSpeech and Common Voice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.runtime.manifest import read_manifest

Command = Callable[..., Any]


def write_sound(path: Path, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.ones(round(seconds * 16000)), 16000)


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """Write a LibriSpeech folder with two parts."""
    folder = tmp_path / "LibriSpeech"
    write_sound(folder / "train-clean-100" / "19" / "198" / "19-198-0000.flac", 1.5)
    write_sound(folder / "train-clean-100" / "19" / "198" / "19-198-0001.flac", 0.5)
    write_sound(folder / "dev-clean" / "84" / "7" / "84-7-0000.flac", 1.0)
    (folder / "train-clean-100" / "19" / "198" / "19-198.trans.txt").write_text(
        "19-198-0000 THE BOYS' DAY\n19-198-0001 IT'S\n19-198-0002 A LOST ONE\n"
    )
    (folder / "dev-clean" / "84" / "7" / "84-7.trans.txt").write_text("84-7-0000 GO  ON\n")
    return folder


def test_librispeech_becomes_a_manifest(edgespeech: Command, books: Path, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    output = tmp_path / "lists" / "train.jsonl"
    outcome = edgespeech("data", "librispeech", books / "train-clean-100", "-o", output)
    assert (outcome.code, outcome.out) == (0, f"{output}: 2 recordings, 1 speakers, 0.00 h\n")
    assert outcome.err == "left out 1 of 3: missing file\n"
    found = read_manifest(output, check_files=True)
    assert [(one.text, one.duration, one.speaker) for one in found] == [
        ("the boys' day", 1.5, "ls19"),
        ("it's", 0.5, "ls19"),
    ]
    assert found[0].audio_filepath == "../LibriSpeech/train-clean-100/19/198/19-198-0000.flac"
    assert edgespeech("data", "librispeech", tmp_path, "-o", output, "--overwrite").code == 0
    assert [one.text for one in read_manifest(output)] == ["go on", "the boys' day", "it's"]


@pytest.fixture
def voices(tmp_path: Path) -> Path:
    """Write one language of Common Voice."""
    folder = tmp_path / "en"
    for name, seconds in (("a.mp3", 1.0), ("b.mp3", 2.0), ("d.mp3", 1.0), ("e.mp3", 1.0)):
        write_sound(folder / "clips" / name, seconds)
    (folder / "clips" / "c.mp3").write_bytes(b"no sound")
    rows = [
        ("client_id", "path", "sentence", "up_votes"),
        ("0123456789abcdef", "a.mp3", "“Well-known,” said Mr. Søren? No: Zoë!", "2"),
        ("0123456789abcdef", "b.mp3", 'He said "go', "2"),
        ("fedc", "c.mp3", "Damaged", "2"),
        ("fedc", "d.mp3", "In 1984.", "2"),
        ("fedc", "e", "Without a suffix’s dot", "2"),
        ("fedc", "e.mp3", "...", "2"),
        ("fedc", "lost.mp3", "Lost", "2"),
    ]
    (folder / "train.tsv").write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "test.tsv").write_text("a\tb\n1\t2\n")
    (folder / "dev.tsv").write_text("client_id\tpath\tsentence\n")
    return folder


def test_common_voice_becomes_a_manifest(edgespeech: Command, voices: Path) -> None:
    output = voices / "train.jsonl"
    outcome = edgespeech("data", "common-voice", voices, "--split", "train", "-o", output)
    assert outcome.code == 0
    assert sorted(outcome.err.splitlines()) == [
        "left out 1 of 7: missing file",
        "left out 1 of 7: no text",
        "left out 1 of 7: unreadable file",
        "left out 2 of 7: a text with digits, Roman numerals or foreign letters",
    ]
    found = read_manifest(output, check_files=True)
    assert [(one.audio_filepath, one.text, one.speaker) for one in found] == [
        ("clips/b.mp3", "he said go", "cv_0123456789ab"),
        ("clips/e.mp3", "without a suffix's dot", "cv_fedc"),
    ]
    assert [one.duration for one in found] == pytest.approx([2.0, 1.0], abs=0.1)


def test_folders_of_other_layouts_are_rejected(edgespeech: Command, voices: Path, books: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    for command, message in (
        (("librispeech", voices), "has no *.trans.txt below it"),
        (("librispeech", tmp_path / "nowhere"), "has no *.trans.txt below it"),
        (("common-voice", books), "has no .tsv file"),
        (("common-voice", voices, "--split", "validated"), "has dev, test, train"),
        (("common-voice", voices, "--split", "test"), "has no column client_id, path, sentence"),
        (("common-voice", voices, "--split", "dev"), "lists no recording"),
    ):
        outcome = edgespeech("data", *command, "-o", output)
        assert outcome.code == 2 and message in outcome.err and outcome.err.count("\n") == 1
        assert not output.exists()
    assert "cannot write" in edgespeech("data", "librispeech", books, "-o", tmp_path / "no" / "m.jsonl").err
    transcript = books / "dev-clean" / "84" / "7" / "84-7.trans.txt"
    transcript.write_text("\nHELLO THERE\n")
    assert (
        "84-7.trans.txt:2: 'HELLO' is not SPEAKER-CHAPTER-NUMBER"
        in edgespeech("data", "librispeech", books, "-o", output).err
    )
    transcript.write_bytes(b"84-7-0000 \xff\n")
    assert "is not UTF-8" in edgespeech("data", "librispeech", books, "-o", output).err


def test_a_corpus_without_a_usable_recording_is_an_error(edgespeech: Command, tmp_path: Path) -> None:
    (tmp_path / "1-1.trans.txt").write_text("1-1-0000 ONE\n")
    outcome = edgespeech("data", "librispeech", tmp_path, "-o", tmp_path / "m.jsonl")
    assert outcome.code == 2 and "none of 1 recordings can be used: missing file" in outcome.err
    assert not (tmp_path / "m.jsonl").exists()
