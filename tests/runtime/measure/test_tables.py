"""Tables and pages on a terminal and as Markdown, and text between the marks of a document."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import click
import pytest

from edgespeech.errors import UsageError
from edgespeech.runtime.measure.tables import (
    Bullets,
    Caution,
    Facts,
    Heading,
    Page,
    Part,
    Table,
    find_marks,
    insert_between_marks,
    markdown_text,
    output_text,
)

HEADINGS = ("speech", "WER %")
ROWS = [("books", "9.5"), ("a | b", "10.0")]
FIGURES = Table(
    ("configuration", "part", "chunk p50, ms", "p98, ms", "real-time factor", "peak memory, MB"),
    [(f"int8 fused, {threads}", part, "5.75 (5.52 to 5.98)", "11.87 (11.10 to 12.64)", "0.0197", "125")
     for threads in ("1 thread", "2 threads") for part in ("decoder", "all")],
    left=2,
)  # fmt: skip


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make standard output a terminal of 80 columns."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("FORCE_COLOR", raising=False)


def drawn(*page: str | Part) -> list[str]:
    return [line.rstrip() for line in click.unstyle(output_text(page)).splitlines()]


def test_a_path_that_is_longer_than_the_terminal_is_folded_not_cut(terminal: None) -> None:
    path = "/".join(["", *(f"folder{number}" for number in range(20))])
    first, *rest = drawn(Facts([("folder", path), ("size", "22.0 MB")]))
    assert first.startswith("folder  /folder0/") and rest.pop() == "size    22.0 MB"
    assert first.removeprefix("folder  ") + "".join(line.strip() for line in rest) == path


def test_columns_of_a_log_are_aligned() -> None:
    assert Table(HEADINGS, ROWS).text().splitlines() == [
        "speech  WER %",
        "─────────────",
        "books     9.5",
        "a | b    10.0",
    ]
    assert Table(HEADINGS, ROWS, left=2).text().splitlines()[2:] == [
        "books   9.5",
        "a | b   10.0",
    ]


def test_a_title_is_one_line_however_narrow_the_table_is() -> None:
    title = "a title that is far longer than the table below it"
    assert Table(HEADINGS, ROWS, title=title).text().splitlines()[:2] == [title, "speech  WER %"]


def test_cells_are_neither_cut_nor_read_as_markup() -> None:
    long = "x" * 500
    lines = Table(("name", "value"), [(long, "[bold]1[/bold]"), (":warning:", "2")]).text().splitlines()
    assert lines[2] == f"{long}  [bold]1[/bold]"
    assert lines[3].startswith(":warning: ")


def test_markdown_columns_are_padded_and_bars_escaped() -> None:
    assert Table(HEADINGS, ROWS).markdown().splitlines() == [
        "| speech | WER % |",
        "|--------|------:|",
        "| books  |   9.5 |",
        "| a \\| b |  10.0 |",
    ]
    assert Table(HEADINGS, ROWS, title="Errors").markdown().splitlines()[:3] == ["Errors", "", "| speech | WER % |"]


def test_markdown_without_rows_is_valid() -> None:
    assert Table(["a", "b"], []).markdown() == "| a   |   b |\n|-----|----:|"
    assert Table(["a", "b"], [["x|y", "z"]], left=2).markdown().splitlines()[-1] == "| x\\|y | z   |"


PAGE: Page = [
    Heading("a machine", 1), Bullets(["fast", "quiet"]), Caution("It is hot."), Heading("Time"), Table(HEADINGS, ROWS),
    "Figures are medians.",
]  # fmt: skip


def test_a_page_is_markdown_where_no_terminal_is() -> None:
    text = output_text(PAGE)
    assert text == markdown_text(PAGE)
    assert text.split("\n\n") == [
        "# a machine", "- fast\n- quiet", "> **It is hot.**", "## Time", Table(HEADINGS, ROWS).markdown(),
        "Figures are medians.",
    ]  # fmt: skip


@pytest.mark.usefixtures("terminal")
def test_a_page_is_drawn_on_a_terminal_unless_markdown_is_asked_for() -> None:
    assert drawn(*PAGE) == [
        "a machine", "", "- fast", "- quiet", "", "It is hot.", "", "Time", "", "speech  WER %", "─────────────",
        "books     9.5", "a | b    10.0", "", "Figures are medians.",
    ]  # fmt: skip
    assert output_text(PAGE, markdown=True) == markdown_text(PAGE)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_a_table_that_is_too_wide_is_divided(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = drawn(FIGURES)
    assert max(map(len, lines)) <= width
    parts = "\n".join(lines).split("\n\n")
    assert len(parts) == {60: 3, 80: 2, 100: 1, 140: 1}[width]
    for part in parts:
        rows = part.splitlines()[-4:]
        assert [re.split(r"  +", row)[:2] for row in rows] == [list(row[:2]) for row in FIGURES.rows]
    for cell in FIGURES.rows[0]:
        assert cell in "\n".join(lines), "no cell is cut or wrapped"


@pytest.mark.usefixtures("terminal")
def test_each_part_of_a_divided_table_tells_the_rows_apart() -> None:
    rows = [("a bundle", "cpu", str(threads), str(chunk), "0.0339 (0.0331 to 0.0345)", "0.0109 (0.0100 to 0.0120)")
            for threads in (1, 2) for chunk in (60, 300)]  # fmt: skip
    first, second = "\n".join(drawn(Table(("bundle", "on", "threads", "chunk", "factor", "CPU"), rows, 2))).split(
        "\n\n"
    )
    for part in (first, second):
        assert [line.split()[:5] for line in part.splitlines()[2:]] == [["a", "bundle", *row[1:4]] for row in rows]


@pytest.mark.usefixtures("terminal")
def test_long_cells_and_texts_are_wrapped_in_the_width() -> None:
    path = "/home/someone/recordings/" + "long-name-" * 12 + ".wav"
    lines = drawn(Table(("file", "words"), [(path, "7")]), Bullets(["word " * 30]), "word " * 40)
    assert max(map(len, lines)) <= 80
    assert path in "".join(line[:78].split("  ")[0].strip() for line in lines)
    assert [line[:6] for line in lines if line.startswith("-")] == ["- word"]
    assert any(line.startswith("  word") for line in lines), "hangs under the text"


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
