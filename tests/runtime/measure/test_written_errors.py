"""Scores of written text: marks at the same place, and the case of common words."""

from __future__ import annotations

import pytest

from edgespeech.runtime.measure.written_errors import WrittenScore, written_words


def score(reference: str, hypothesis: str) -> WrittenScore:
    found = WrittenScore()
    found.add(reference, hypothesis)
    return found


def test_equal_texts_are_right() -> None:
    text = "Well, who came? He did; nobody else did. Stop! - and so on."
    found = score(text, text)
    assert found.mean_f1 == 1.0 and found.case == 1.0 and found.words == 12


def test_marks_count_where_they_are() -> None:
    found = score("She came home. He left, too.", "She came. home he left too.")
    assert (found.marks["."].wanted, found.marks["."].found, found.marks["."].right) == (2, 2, 1)
    assert found.marks["."].f1 == pytest.approx(0.5)
    assert (found.marks[","].wanted, found.marks[","].found) == (1, 0) and found.marks[","].f1 == 0.0


def test_the_case_counts_for_words_that_both_have() -> None:
    found = score("Mister Holmes saw London.", "mister Holmes so London.")
    assert (found.words, found.right_case) == (3, 2)
    assert found.marks["."].f1 == 1.0


def test_marks_of_hyphens_quotes_and_dashes_belong_to_the_word_before() -> None:
    found = written_words('"Good-bye," he said -- "my friend!"')
    assert [(one.word, one.mark) for one in found] == [
        ("good", ""), ("bye", ","), ("he", ""), ("said", ""), ("my", ""), ("friend", "!"),
    ]  # fmt: skip


def test_nothing_is_scored_as_nothing() -> None:
    assert score("", "").as_dict()["mean_f1"] == 0.0
