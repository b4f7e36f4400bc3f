"""Evaluations as text, as Markdown and for JSON."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgespeech.demo.evaluation.report import (
    confusion_lines,
    confusions,
    difference_line,
    evaluations_markdown,
    evaluations_text,
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
    lines = evaluations_text(both).splitlines()
    assert len(lines) == 3 and len({len(line) for line in lines}) == 1
    assert lines[2].split()[:5] == ["learners/dev.jsonl", "noise,", "5", "dB", "44.4"]
    rows = evaluations_markdown(both).splitlines()
    assert [row.count("|") for row in rows] == [9, 9, 9, 9, 0, 0]
    cells = [cell.strip() for cell in rows[2].split("|")]
    assert cells[1:4] == ["books/dev.jsonl", "as recorded", "44.4"] and cells[6:9] == ["11.1", "72", "0.0250"]
    assert rows[-1] == ("Intervals: bootstrap over the speakers of learners/dev.jsonl; utterances of books/dev.jsonl.")


def test_the_most_frequent_errors() -> None:
    assert confusions(evaluation(), 5) == {
        "substituted": [("cat", "bat", 16)],
        "deleted": [("the", 8)],
        "inserted": [("down", 8)],
    }
    assert list(confusion_lines(evaluation(), 5)) == [
        "books/dev.jsonl, as recorded, substituted: cat -> bat 16",
        "  deleted: the 8",
        "  inserted: down 8",
    ]
