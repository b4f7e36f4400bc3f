"""Tables as text and Markdown, and text between the marks of a document."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgespeech.errors import UsageError
from edgespeech.runtime.measure.tables import find_marks, insert_between_marks, markdown_table, text_table

HEADINGS = ("speech", "WER %")
ROWS = [("books", "9.5"), ("a | b", "10.0")]


def test_text_columns_are_aligned() -> None:
    assert text_table(HEADINGS, ROWS).splitlines() == [
        "speech  WER %",
        "books     9.5",
        "a | b    10.0",
    ]
    assert text_table(HEADINGS, ROWS, left=2).splitlines() == [
        "speech  WER %",
        "books   9.5",
        "a | b   10.0",
    ]


def test_a_title_is_one_line_however_narrow_the_table_is() -> None:
    title = "a title that is far longer than the table below it"
    assert text_table(HEADINGS, ROWS, title=title).splitlines()[:2] == [title, "speech  WER %"]


def test_cells_are_neither_cut_nor_read_as_markup() -> None:
    long = "x" * 500
    lines = text_table(("name", "value"), [(long, "[bold]1[/bold]"), (":warning:", "2")]).splitlines()
    assert lines[1] == f"{long}  [bold]1[/bold]"
    assert lines[2].startswith(":warning: ")


def test_markdown_columns_are_padded_and_bars_escaped() -> None:
    assert markdown_table(HEADINGS, ROWS).splitlines() == [
        "| speech | WER % |",
        "|--------|------:|",
        "| books  |   9.5 |",
        "| a \\| b |  10.0 |",
    ]


def test_markdown_without_rows_is_valid() -> None:
    assert markdown_table(["a", "b"], []) == "| a   |   b |\n|-----|----:|"
    assert markdown_table(["a", "b"], [["x|y", "z"]], left=2).splitlines()[-1] == "| x\\|y | z   |"


def test_a_document_changes_between_its_marks_only(tmp_path: Path) -> None:
    document = tmp_path / "card.md"
    document.write_text(
        "# Größe\n<!-- a: begin -->\nold\n<!-- a: end -->\n<!-- b: begin --><!-- b: end -->\nend\n", "utf-8"
    )
    for _ in range(2):
        insert_between_marks(document, "a", "new")
    insert_between_marks(document, "b", "other")
    assert document.read_text("utf-8") == (
        "# Größe\n<!-- a: begin -->\nnew\n<!-- a: end -->\n<!-- b: begin -->\nother\n<!-- b: end -->\nend\n"
    )
    with pytest.raises(UsageError, match="has no <!-- c: begin -->"):
        insert_between_marks(document, "c", "x")
    assert os.listdir(tmp_path) == ["card.md"]


def test_a_place_names_a_document_and_its_marks(tmp_path: Path) -> None:
    document = tmp_path / "a#b.md"
    document.write_text("<!-- c: begin --><!-- c: end -->")
    assert find_marks(f"{document}#c") == (document, "c")
    for place, message in (
        ("card.md", "wanted FILE#NAME"),
        ("#name", "wanted FILE#NAME"),
        (f"{tmp_path}/lost.md#a", "cannot read .*lost.md"),
        (f"{document}#d", "has no <!-- d: begin -->"),
    ):
        with pytest.raises(UsageError, match=message):
            find_marks(place)
