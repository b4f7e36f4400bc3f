"""Printed text as spoken words with marks and cases."""

from __future__ import annotations

import pytest

from edgespeech.reference.punctuation.printed_text import PrintedWord, printed_words
from edgespeech.runtime.punctuation.tags import Case, Mark


def one_run(line: str) -> list[PrintedWord]:
    (run,) = printed_words(line)
    return run


def marks(line: str) -> str:
    names = {None: "_", Mark.NONE: " ", Mark.COMMA: ",", Mark.PERIOD: ".", Mark.QUESTION: "?", Mark.EXCLAMATION: "!"}
    return "".join(names[word.mark] for word in one_run(line))


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ('"How fresh you look!" she said. "Come in."', "   ! . ."),
        ("Yes; but - he said: no...", ",, ,."),
        ("What? He went -- I think -- home", "? , ,_"),
        ("Mr. Holmes met Dr. J. R. Watson in the U.S. today.", " " * 11 + "."),
        ("It ended with etc.", "   ."),
        ("the end without a mark", "    _"),
    ],
)
def test_marks_follow_the_words(line: str, wanted: str) -> None:
    assert marks(line) == wanted


def test_titles_are_spoken_in_full_and_cases_are_those_printed() -> None:
    run = one_run("Mr. O'Brien of NATO said I can't.")
    assert [word.word for word in run] == ["mister", "o'brien", "of", "nato", "said", "i", "can't"]
    assert [word.case for word in run] == [
        None, Case.CAPITAL, Case.LOWER, Case.CAPITALS, Case.LOWER, Case.CAPITAL, Case.LOWER,
    ]  # fmt: skip


def test_a_word_behind_a_period_has_no_case_of_its_own_but_one_behind_a_question_has() -> None:
    assert [word.case for word in one_run("No. The. What? said he")][1:] == [None, None, Case.LOWER, Case.LOWER]


def test_a_digit_parts_the_text_and_hides_the_mark_before_it() -> None:
    first, second = printed_words("It was in 1890, they say.")
    assert [word.word for word in first] == ["it", "was", "in"] and first[-1].mark is None
    assert [word.word for word in second] == ["they", "say"] and second[0].case is Case.LOWER


def test_headings_and_lines_without_words_have_none() -> None:
    assert list(printed_words("THE OLD WOMAN. CHAPTER ONE")) == list(printed_words(" * * * ")) == []
