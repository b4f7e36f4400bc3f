"""Numbers: a table of phrases, of which those that stay in words are as important as the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgespeech.errors import MissingDependencyError
from edgespeech.runtime.punctuation.numerals import load_numerals

PHRASES = [
    tuple(line.split("\t")) for line in Path(__file__).with_name("phrases.tsv").read_text(encoding="utf-8").splitlines()
]


def written(phrase: str) -> str:
    words = phrase.split()
    for first, behind, text in reversed(load_numerals()(words)):
        words[first:behind] = [text]
    return " ".join(words)


def test_the_phrases_are_written_as_people_write_them() -> None:
    pytest.importorskip("text_to_num", reason="text2num is not installed")
    wrong = [(spoken, written(spoken)) for spoken, wanted in PHRASES if written(spoken) != wanted]
    assert len(PHRASES) >= 200
    assert len(wrong) <= 0.05 * len(PHRASES), wrong


def test_no_phrase_is_made_wrong_that_is_right_in_words() -> None:
    pytest.importorskip("text_to_num", reason="text2num is not installed")
    assert [written(spoken) for spoken, wanted in PHRASES if spoken == wanted and written(spoken) != wanted] == []


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "text_to_num", None)
    with pytest.raises(MissingDependencyError, match=r"edgespeech\[numerals\]"):
        load_numerals()
