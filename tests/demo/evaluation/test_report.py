"""Evaluations as text, as Markdown and for JSON."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgespeech.demo.evaluation.report import (
    HEADINGS_OF_CHARACTERS,
    confusion_lines,
    confusions,
    difference_line,
    evaluations_table,
    explain_intervals,
    summary,
)
from edgespeech.runtime.measure.evaluation import Evaluation
from edgespeech.runtime.measure.word_errors import align_and_count, wer_interval


def evaluation(corpus: str = "books/dev.jsonl", condition: str = "as recorded", speakers: int = 2) -> Evaluation:
    references = ["the cat sat", "the cat ran", "on the mat"] * 8
    hypotheses = ["the bat sat down", "the bat ran", "on mat"] * 8
    errors = align_and_count(references, hypotheses)
    by = tuple(f"speaker {index % speakers}" for index in range(len(references)))
    interval = wer_interval(errors, by)
    names = tuple(f"{index}.wav" for index in range(len(references)))
    return Evaluation(corpus, condition, names, tuple(references), tuple(hypotheses), by, errors, interval, 48.0, 1.2)


def test_the_summary_of_one_evaluation() -> None:
    lines = summary(evaluation()).splitlines()
    assert lines[0] == "WER 44.44%   (16 substitutions, 8 deletions, 8 insertions in 72 words)"
    assert lines[1].endswith(" % in 95 of 100 draws of other utterances")
    assert lines[3] == "24 utterances, 48.0 s of audio in 1.2 s: real-time factor 0.0250"


def test_the_rate_of_characters_is_the_only_one_without_spaces() -> None:
    one = replace(evaluation(), by_characters=True)
    lines = summary(one).splitlines()
    assert lines[0] == "CER 44.44%   (16 substitutions, 8 deletions, 8 insertions in 72 characters)"
    assert len(lines) == 3 and "WER" not in "".join(lines)
    table = evaluations_table([one])
    assert table.headings == HEADINGS_OF_CHARACTERS and len(table.rows[0]) == len(HEADINGS_OF_CHARACTERS)
    assert table.rows[0][2] == "44.4" and table.rows[0][4:] == ("11.1", "72", "0.0250")


def test_the_difference_of_two_bundles() -> None:
    one = evaluation()
    perfect = replace(one, errors=align_and_count(one.references, one.references))
    assert difference_line(one, perfect, Path("perfect")).startswith(
        "books/dev.jsonl, as recorded: +44.44 points against 0.00% of perfect, +"
    )
    assert difference_line(one, perfect, Path("perfect")).endswith(": more than noise")
    assert difference_line(one, one, Path("same")).endswith(
        " +0.00 to +0.00 in 95 of 100 draws of other utterances: within noise"
    )


def test_tables_have_a_row_per_evaluation() -> None:
    both = [evaluation(), evaluation("learners/dev.jsonl", "noise, 5 dB", speakers=12)]
    first, second = evaluations_table(both).rows
    assert first[:3] == ("books/dev.jsonl", "as recorded", "44.4") and first[5:] == ("11.1", "72", "0.0250")
    assert second[:3] == ("learners/dev.jsonl", "noise, 5 dB", "44.4")
    assert explain_intervals(both) == (
        "Intervals: bootstrap over the speakers of learners/dev.jsonl; utterances of books/dev.jsonl."
    )


def test_the_most_frequent_errors() -> None:
    assert confusions(evaluation(), 5) == {
        "substituted": [("cat", "bat", 16)],
        "deleted": [("the", 8)],
        "inserted": [("down", 8)],
    }
    assert list(confusion_lines(evaluation(), 5)) == [
        "books/dev.jsonl, as recorded, substituted: cat -> bat 16",
        "deleted: the 8",
        "inserted: down 8",
    ]
