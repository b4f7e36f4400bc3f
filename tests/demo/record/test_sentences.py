"""The sentences to read: those of the package, those of a file, and the order in which they are chosen."""

from __future__ import annotations

import string
from pathlib import Path

import pytest

from edgespeech.demo.record.sentences import (
    choose_sentences,
    covered_fraction,
    package_sentences,
    read_sentences,
    speaking_seconds,
    units,
)
from edgespeech.errors import UsageError
from edgespeech.runtime.measure.normalisation import scoring_text

OWN = package_sentences()


def test_the_package_has_ten_minutes_of_sentences_without_digits() -> None:
    assert sum(map(speaking_seconds, OWN)) > 9 * 60
    assert all(set(scoring_text(one)) <= set(string.ascii_lowercase + "' ") for one in OWN)
    assert all(5 <= len(one.split()) <= 20 for one in OWN)


def test_units_are_letters_and_pairs_with_the_ends_of_words() -> None:
    assert units("To a T!") == {"t": 2, "o": 1, "a": 1, " t": 2, "to": 1, "o ": 1, " a": 1, "a ": 1, "t ": 1}


def test_six_minutes_have_all_letters_and_more_pairs_than_the_first_sentences_of_the_list() -> None:
    chosen = choose_sentences(OWN, 6.0)
    assert 6.0 <= sum(map(speaking_seconds, chosen)) / 60.0 < 6.2
    assert set(string.ascii_lowercase) <= set("".join(map(scoring_text, chosen)))
    assert covered_fraction(chosen, OWN) > 0.98
    short = choose_sentences(OWN, 2.0)
    assert short == chosen[: len(short)]
    assert covered_fraction(short, OWN) > covered_fraction(OWN[: len(short)], OWN) + 0.05


def test_fewer_sentences_than_wanted_are_all_chosen() -> None:
    assert sorted(choose_sentences(OWN[:4], 60.0)) == sorted(OWN[:4])


def test_a_file_has_one_sentence_a_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("# mine\n\nHello there,  you.\nHello there, you.\nno\n", encoding="utf-8-sig")
    assert read_sentences(path) == ["Hello there, you."]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"one\ntwo\n", "has 2 lines, none of 3 to 25 words"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
        (None, "No such file"),
    ],
)
def test_an_unusable_file_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "mine.txt").write_bytes(content)
    with pytest.raises(UsageError, match=f"--sentences .*mine.txt .*{message}"):
        read_sentences(tmp_path / "mine.txt")
