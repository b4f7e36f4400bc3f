"""Texts become sentences as they may be read aloud."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgespeech.errors import ManifestError, UsageError
from edgespeech.reference.alignment.script import MAX_WORDS, read_script
from edgespeech.reference.alignment.spelling import spoken_readings
from edgespeech.reference.language_model.text import ENGLISH
from edgespeech.reference.model.labels import CHARACTERS

num2words = pytest.importorskip("num2words", reason="num2words is not installed")


def first_readings(path: Path) -> list[str]:
    return [sentence.readings[0] for sentence in read_script(path, CHARACTERS)]


def test_sentences_of_wrapped_prose(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text('It was\nlate. "Who is there?" asked Mr. Brown!\n\nNobody\nanswered.', encoding="utf-8")
    assert first_readings(path) == ["it was late", "who is there", "asked mister brown", "nobody answered"]


def test_lines_of_a_text_without_punctuation_and_pieces_of_long_ones(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("first line\nsecond line\n" + " ".join(["word"] * (MAX_WORDS + 10)))
    found = read_script(path, CHARACTERS)
    assert [len(one.readings[0].split()) for one in found] == [2, 2, 25, 25]
    assert [one.complete for one in found] == [True, True, False, True]


@pytest.mark.parametrize("ending", ["srt", "vtt"])
def test_subtitles(tmp_path: Path, ending: str) -> None:
    pytest.importorskip("pysubs2", reason="pysubs2 is not installed")
    mark = "," if ending == "srt" else "."
    header = "" if ending == "srt" else "WEBVTT\n\n"
    path = tmp_path / f"talk.{ending}"
    path.write_text(
        f"{header}1\n00:00:01{mark}000 --> 00:00:02{mark}000\n<i>It was</i>\n[music]\n\n"
        f"2\n00:00:02{mark}500 --> 00:00:03{mark}000\nlate. And cold.\n\n"
    )
    assert first_readings(path) == ["it was late", "and cold"]


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("in 1984 he", {"in nineteen eighty four he", "in one thousand nine hundred and eighty four he"}),
        ("the 21st of", {"the twenty first of"}),
        ("1,250 men", {"one thousand two hundred and fifty men", "one thousand two hundred fifty men"}),
        ("$5 or 50%", {"five dollars or fifty percent"}),
        ("Louis XIV came", {"louis fourteen came", "louis the fourteenth came", "louis fourteenth came"}),
        ("bread & butter", {"bread and butter"}),
        ("3.5 miles", {"three point five miles"}),
        ("abc 123x", set()),
    ],
)
def test_numbers(text: str, readings: set[str]) -> None:
    assert readings <= set(spoken_readings(text, ENGLISH, "en"))
    assert bool(readings) == bool(spoken_readings(text, ENGLISH, "en"))


def test_what_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "no.txt"
    with pytest.raises(ManifestError, match="cannot be read"):
        read_script(path, CHARACTERS)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ManifestError, match="not UTF-8"):
        read_script(path, CHARACTERS)
    path.write_text("日本語")
    with pytest.raises(ManifestError, match="no text in the letters"):
        read_script(path, CHARACTERS)
    path.write_text("words")
    with pytest.raises(UsageError, match="num2words cannot spell"):
        read_script(path, CHARACTERS, "xx")
