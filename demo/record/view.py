"""What a recording session shows: the sentence with the level below it on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from edgespeech.demo.live.bottom_lines import BottomLines
from edgespeech.demo.live.layout import Layout
from edgespeech.demo.live.screen import REFRESH_SECONDS

READING, ASKING = "Enter ends · r repeats the last · s skips · q quits", "Enter repeats · k keeps · s skips · q quits"


class PlainView:
    """Prints one line for each sentence and each result."""

    def __init__(self, echo: Callable[[str], None] = print) -> None:
        self._echo = echo

    def announce(self, text: str) -> None:
        """Show a text that stays."""
        self._echo(text)

    def ask_to_read(self, sentence: str, place: str) -> None:
        """Show the next sentence; ``place`` is how far the session is."""
        self._echo(f"{place}  {sentence}")

    def level(self, level_db: float) -> None:
        """Show the level of the last block."""

    def report(self, text: str, good: bool, asks: bool = False) -> None:
        """Show the result of a take, and the keys if the user has to choose one."""
        self._echo(text)

    def close(self) -> None:
        """Remove what is drawn in place."""

    def suspend(self) -> None:
        """Remove what is drawn in place before a signal ends or suspends the process."""


class ScreenView(PlainView):
    """Draws the sentence, the level and the keys at the bottom of the terminal; results scroll up above them."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._bottom, self._layout = BottomLines(console, clock), Layout(console)
        self._sentence = self._place = ""
        self._keys, self._level_db, self._drawn_at = READING, -90.0, -REFRESH_SECONDS

    def announce(self, text: str) -> None:  # noqa: D102
        self._console.print(Text(text, style="dim italic"))

    def ask_to_read(self, sentence: str, place: str) -> None:  # noqa: D102
        self._sentence, self._place, self._keys = sentence, place, READING
        self._draw()

    def level(self, level_db: float) -> None:  # noqa: D102
        self._level_db = max(self._level_db, level_db)
        if self._clock() - self._drawn_at >= REFRESH_SECONDS:
            self._draw()
            self._drawn_at, self._level_db = self._clock(), -90.0

    def report(self, text: str, good: bool, asks: bool = False) -> None:  # noqa: D102
        self._keys = ASKING if asks else READING
        line = Text(text, style="green" if good else "yellow")
        self._bottom.draw(self._lines(), list(line.wrap(self._console, self._console.width)))

    def close(self) -> None:  # noqa: D102
        with contextlib.suppress(OSError):  # the terminal may be gone
            self._bottom.erase()

    def suspend(self) -> None:  # noqa: D102
        self._bottom.erase_at_once()

    def _lines(self) -> list[Text]:
        width = self._console.width
        keys = self._keys.replace("·", "-") if self._console.options.ascii_only else self._keys
        bar = self._layout.level(self._level_db, width - len(self._place) - 2)
        state = Text.assemble(bar, ("  " + self._place, "dim"))
        lines: list[Text] = [Text(""), *Text(self._sentence, style="bold").wrap(self._console, width), Text("")]
        return [*lines, *state.wrap(self._console, width), *Text(keys, style="dim").wrap(self._console, width)]

    def _draw(self) -> None:
        self._bottom.draw(self._lines())


def choose_view() -> PlainView:
    """Choose the view on a terminal, plain lines elsewhere."""
    console = Console(highlight=False)
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    if is_terminal and not console.is_dumb_terminal and not console.legacy_windows:
        return ScreenView(console)
    return PlainView()
