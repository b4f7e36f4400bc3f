"""Pages of tables and text: drawn on a terminal, Markdown elsewhere, or put between two marks of a document."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, JustifyMethod, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from edgespeech.errors import UsageError
from edgespeech.runtime.files import replacing

_GAP = 2  # spaces between two columns on a terminal
_MAX_NAMES = 0.7  # fraction of the width for the columns that name a row
_WIDTH_OF_A_LOG = 1000  # tables in logs are never divided


class Part(Protocol):
    """A part of a page in its two forms: Markdown, and what rich prints."""

    def markdown(self) -> str:
        """Write the part as Markdown."""

    def drawn(self, width: int) -> Iterator[RenderableType]:
        """Yield what rich prints on a terminal of this width."""


Page: TypeAlias = Sequence[str | Part]  # a text is a paragraph, or several lines


@dataclass(frozen=True)
class Heading:
    """The title of a page (level 1) or of a section."""

    text: str
    level: int = 2

    def markdown(self) -> str:  # noqa: D102
        return f"{'#' * self.level} {self.text}"

    def drawn(self, width: int) -> Iterator[RenderableType]:  # noqa: D102
        yield Text(self.text, style="bold underline" if self.level == 1 else "bold")


@dataclass(frozen=True)
class Bullets:
    """Short texts that belong together, such as facts about a machine."""

    lines: Sequence[str]

    def markdown(self) -> str:  # noqa: D102
        return "\n".join(f"- {line}" for line in self.lines)

    def drawn(self, width: int) -> Iterator[RenderableType]:  # noqa: D102
        grid = Grid.grid(padding=(0, 1, 0, 0))
        for line in self.lines:
            grid.add_row("-", line)
        yield grid


@dataclass(frozen=True)
class Facts:
    """Names with texts, aligned on a terminal so that long texts hang below their beginning."""

    rows: Sequence[tuple[str, str]]

    def markdown(self) -> str:  # noqa: D102
        return "\n".join(f"- {name}: {text}" for name, text in self.rows)

    def drawn(self, width: int) -> Iterator[RenderableType]:  # noqa: D102
        grid = Grid.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")  # a path must not lose its end
        for name, text in self.rows:
            grid.add_row(name, text)
        yield grid


@dataclass(frozen=True)
class Caution:
    """A paragraph that readers must not overlook."""

    text: str

    def markdown(self) -> str:  # noqa: D102
        return f"> **{self.text}**"

    def drawn(self, width: int) -> Iterator[RenderableType]:  # noqa: D102
        yield Text(self.text, style="bold yellow")


@dataclass(frozen=True)
class Table:
    """Headings and rows of text, with a title; the first ``left`` columns are aligned left, the others right."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    title: str = ""

    def markdown(self) -> str:
        """Write Markdown, padded so that the source reads as a table too."""
        lines = [[cell.replace("|", "\\|") for cell in line] for line in (self.headings, *self.rows)]
        widths = [max(3, *map(cell_len, column)) for column in zip(*lines, strict=True)]

        def pad(cell: str, at: int) -> str:
            spaces = " " * (widths[at] - cell_len(cell))
            return cell + spaces if at < self.left else spaces + cell

        written = [f"| {' | '.join(pad(cell, at) for at, cell in enumerate(line))} |" for line in lines]
        rulers = ("-" * (width + 1) + ("-" if at < self.left else ":") for at, width in enumerate(widths))
        written.insert(1, f"|{'|'.join(rulers)}|")
        return "\n".join([*([f"{self.title}\n"] if self.title else []), *written])

    def text(self) -> str:
        """Lay out the table for a log: plain text of any width."""
        return _print(self.drawn(_WIDTH_OF_A_LOG), _console(width=_WIDTH_OF_A_LOG, color_system=None))

    def drawn(self, width: int) -> Iterator[RenderableType]:
        """Yield the title and one table, or several if one is too wide, each with the columns that name a row."""
        if self.title:
            yield Text(self.title, style="bold")
        for number, columns in enumerate(self._divide(width)):
            if number:
                yield Text()
            yield self._draw(columns, width)

    def _draw(self, columns: Sequence[int], width: int) -> RenderableType:
        grid = Grid(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
        widths = self._widths(whole_headings=True)
        if _total(widths, columns) > width:
            widths = self._widths(whole_headings=False)
        fits = _total(widths, columns) <= width
        for at in columns:
            justify: JustifyMethod = "left" if at < self.left else "right"
            grid.add_column(
                self.headings[at], justify=justify, overflow="fold", width=widths[at] if fits else None
            )  # fmt: skip
        for row in self.rows:
            grid.add_row(*(row[at] for at in columns))
        return grid

    def _divide(self, width: int) -> list[list[int]]:
        """Divide the columns among as few tables as fit the width, which become about equally wide."""
        columns = list(range(len(self.headings)))
        widths = self._widths(whole_headings=False)
        if _total(widths, columns) <= width:
            return [columns]
        names = columns[: self._name_columns(widths, width)]

        def fill(limit: int) -> list[list[int]]:
            parts = [[*names]]
            for at in columns[len(names) :]:
                if len(parts[-1]) > len(names) and _total(widths, [*parts[-1], at]) > limit:
                    parts.append([*names])
                parts[-1].append(at)
            return parts

        fewest = len(fill(width))
        return next(parts for limit in range(width + 1) if len(parts := fill(limit)) == fewest)

    def _name_columns(self, widths: Sequence[int], width: int) -> int:
        """Return how many of the first columns it takes to tell the rows apart, if that leaves room for others."""
        for count in range(1, len(self.headings)):
            if _total(widths, range(count)) > _MAX_NAMES * width:
                break
            if len({tuple(row[:count]) for row in self.rows}) == len(self.rows):
                return count
        return max(1, self.left)

    def _widths(self, whole_headings: bool) -> list[int]:
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.headings)
        return [
            max(map(cell_len, [*([heading] if whole_headings else heading.split()), "", *cells]))
            for heading, cells in zip(self.headings, columns, strict=True)
        ]


def _total(widths: Sequence[int], columns: Sequence[int]) -> int:
    return sum(widths[at] for at in columns) + _GAP * (len(columns) - 1)


def markdown_text(page: Page) -> str:
    """Write a page as Markdown, with an empty line between its parts."""
    return "\n\n".join(part if isinstance(part, str) else part.markdown() for part in page)


def output_text(page: Page, markdown: bool = False) -> str:
    """Lay out a page for standard output: drawn in the width of a terminal; elsewhere, or on request, as Markdown."""
    if markdown or sys.stdout is None or not sys.stdout.isatty():
        return markdown_text(page)
    console = _console()
    return "\n\n".join(_print([part] if isinstance(part, str) else part.drawn(console.width), console) for part in page)


def _console(**settings: Any) -> Console:
    return Console(highlight=False, markup=False, emoji=False, **settings)


def _print(parts: Iterable[RenderableType], console: Console) -> str:
    """Return what a console prints, without trailing spaces."""
    with console.capture() as printed:
        for part in parts:
            console.print(part)
    return "\n".join(line.rstrip() for line in printed.get().splitlines())


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
