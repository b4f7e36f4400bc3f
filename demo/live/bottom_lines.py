"""Lines at the bottom of a terminal that are drawn in place, below text that scrolls up."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType, Segment
from rich.text import Text

SETTLE_SECONDS = 0.3  # without another change of the size
_ERASE_BELOW = "\x1b[J"
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


class BottomLines:
    """Draws lines and leaves the cursor at the beginning of the first one, where it can erase them at any width.

    A terminal that is resized may wrap what is on it or cut it off, but the cursor stays where it is in the text. A
    cursor below the lines would have to move up by a number of rows that only the terminal knows.

    While the size changes, nothing is drawn: tmux scrolls off as many rows as it needs to wrap the lines, and the one
    with the cursor may be among them.

    Args:
        console: Console on a terminal that understands escape sequences.
        clock: Monotonic time in seconds.
    """

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console, self._clock = console, clock
        self._is_drawn = False
        self._size, self._resized_at = console.size, -SETTLE_SECONDS

    def draw(self, lines: Sequence[Text], above: Sequence[Text] = ()) -> None:
        """Replace the lines, in one write, after printing what scrolls up; no line may be wider than the terminal.

        The last lines are drawn if the terminal has fewer rows. Wrapping is off meanwhile, so that the lines have as
        many rows as expected even if the terminal has just become narrower.
        """
        size, now = self._console.size, self._clock()
        if size != self._size:
            self._size, self._resized_at = size, now
        lines = lines[-max(1, size.height - 1) :] if now - self._resized_at >= SETTLE_SECONDS else []
        with self._console:
            self._control(_HIDE_CURSOR, "\r", _ERASE_BELOW)
            for line in above:
                self._console.print(line, soft_wrap=True)
            self._control(_NO_WRAP)
            for number, line in enumerate(lines):
                self._console.print(line, soft_wrap=True, end="\n" if number + 1 < len(lines) else "")
            self._control("\r", f"\x1b[{len(lines) - 1}A" if len(lines) > 1 else "", _WRAP)
        self._is_drawn = True

    def erase(self) -> None:
        """Erase the lines and show the cursor again; what scrolled up stays."""
        if self._is_drawn:
            self._is_drawn = False
            with self._console:
                self._control("\r", _ERASE_BELOW, _SHOW_CURSOR)

    def erase_at_once(self) -> None:
        """Erase the lines and show the cursor from a signal handler, which may have interrupted a drawing."""
        if self._is_drawn:
            with contextlib.suppress(OSError, ValueError):
                os.write(self._console.file.fileno(), f"{_WRAP}\r{_ERASE_BELOW}{_SHOW_CURSOR}".encode())

    def _control(self, *codes: str) -> None:
        self._console.print(_Codes("".join(codes)), end="")


class _Codes(Control):
    """Escape sequences for which rich has no name."""

    def __init__(self, codes: str) -> None:
        super().__init__()
        self.segment = Segment(codes, None, [(ControlType.CARRIAGE_RETURN,)])
