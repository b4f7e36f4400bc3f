"""Tables as text and as Markdown, and text that replaces what stands between two marks of a document."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from edgespeech.errors import UsageError
from edgespeech.runtime.files import replacing

_WIDTH = 1000  # tables are never cut or wrapped; a terminal may do so


def text_table(headings: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1, title: str = "") -> str:
    """Lay out a table for a terminal or a log; the first ``left`` columns are aligned left, the others right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="left" if index < left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return f"{title}\n{render_text(table)}".lstrip("\n")


def render_text(renderable: Any, width: int = _WIDTH) -> str:
    """Render a rich object as plain text without trailing spaces."""
    from rich.console import Console

    paper = StringIO()
    Console(file=paper, width=width, color_system=None, highlight=False, markup=False, emoji=False).print(renderable)
    return "\n".join(line.rstrip() for line in paper.getvalue().splitlines()).rstrip("\n")


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Write a Markdown table; columns as in `text_table`, padded so that the source reads as a table too."""
    lines = [[cell.replace("|", "\\|") for cell in line] for line in (headings, *rows)]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]

    def write(cells: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join(padded)} |"

    ruler = "|".join("-" * (width + 2) if at < left else "-" * (width + 1) + ":" for at, width in enumerate(widths))
    return "\n".join([write(lines[0]), f"|{ruler}|", *map(write, lines[1:])])


def find_marks(place: str) -> tuple[Path, str]:
    """Parse ``FILE#NAME`` and check that the document has the marks.

    Raises:
        UsageError: The file or the lines ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->`` in it are missing.
    """
    path, _, name = place.rpartition("#")
    if not path or not name:
        raise UsageError(f"{place!r} is not a place in a document; wanted FILE#NAME")
    _cut(Path(path), name)
    return Path(path), name


def insert_between_marks(path: Path, name: str, text: str) -> None:
    """Replace the text between the marks of a document; raise UsageError if they are missing or writing fails."""
    before, after = _cut(path, name)
    with replacing(path) as file:
        file.write(f"{before}\n{text}\n{after}".encode())


def _cut(path: Path, name: str) -> tuple[str, str]:
    begin, end = (f"<!-- {name}: {edge} -->" for edge in ("begin", "end"))
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path} ({error}); give a document in UTF-8") from None
    before, found, rest = content.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise UsageError(f"{path} has no {begin} and {end}; add both where the table belongs")
    return before + begin, end + after
