"""A terminal without a window: pyte, with a scroll-back, at a size that changes."""

# ruff: noqa: D102  (methods override those of pyte or rich)

from __future__ import annotations

import io

import pyte
from rich.console import Console, ConsoleDimensions


class Terminal(io.StringIO):
    """What a program writes, as rows of text, scrolled-off rows first.

    Like xterm it does not wrap lines again when it becomes narrower: it stops to show their ends, but keeps them.
    """

    def __init__(self, columns: int, rows: int = 24) -> None:
        super().__init__()
        self.screen = _Screen(columns, rows, history=10_000, ratio=0.5)
        self._stream = pyte.Stream(self.screen)

    def write(self, text: str) -> int:
        self._stream.feed(text.replace("\n", "\r\n"))
        return len(text)

    def isatty(self) -> bool:
        return True

    def resize(self, columns: int, rows: int | None = None) -> None:
        """Change the size as a user who drags the window's border does."""
        self.screen.resize(rows or self.screen.lines, columns)

    @property
    def scrolled_off(self) -> list[str]:
        """Rows above the visible ones."""
        return [_text(row, self.screen.columns) for row in self.screen.history.top]

    @property
    def visible(self) -> list[str]:
        """Rows of the screen, up to the last one with text."""
        rows = [_text(self.screen.buffer[row], self.screen.columns) for row in range(self.screen.lines)]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    @property
    def rows(self) -> list[str]:
        """All rows, from the first one written."""
        return self.scrolled_off + self.visible


class EmulatedConsole(Console):
    """A console of rich whose size is that of the terminal at every moment."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(file=terminal, force_terminal=True, legacy_windows=False, highlight=False)
        self.terminal = terminal

    @property
    def size(self) -> ConsoleDimensions:
        return ConsoleDimensions(self.terminal.screen.columns, self.terminal.screen.lines)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        raise AttributeError("the terminal decides")


class _Screen(pyte.HistoryScreen):
    def resize(self, lines: int | None = None, columns: int | None = None) -> None:
        """Keep the cells outside; take rows from the bottom, or from the top if the cursor would be lost."""
        lines, columns = lines or self.lines, columns or self.columns
        while self.cursor.y >= lines:
            self.history.top.append(self.buffer[0])
            for row in range(self.lines):
                self.buffer[row] = self.buffer[row + 1]
            self.cursor.y -= 1
        for row in [row for row in self.buffer if row >= lines]:
            del self.buffer[row]
        self.lines, self.columns = lines, columns
        self.cursor.x = min(self.cursor.x, columns - 1)
        self.margins = None

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:
        """Erase the cells outside too."""
        super().erase_in_line(how, private)
        if how != 1:
            row = self.buffer[self.cursor.y]
            for column in [column for column in row if column >= self.columns]:
                del row[column]


def _text(row: dict[int, pyte.screens.Char], columns: int) -> str:
    cells = [row[column].data if column in row else " " for column in range(max(row, default=-1) + 1)]
    return "".join(cells).rstrip()
