"""Progress of long work: a bar on standard error if it is a terminal, otherwise nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sized
from contextlib import suppress
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.errors import LiveError
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

log = logging.getLogger(__name__)

Item = TypeVar("Item")


# Consoles of the bars that are drawn now; a bar within another one must share its console.
_consoles: list[Console] = []


class Progress:
    """A bar, drawn while it is used as a context manager and then removed; ``total`` is None while it is unknown."""

    def __init__(self, title: str, total: int | None = None) -> None:
        self._console = _consoles[-1] if _consoles else Console(stderr=True, highlight=False, soft_wrap=True)
        columns = (
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}", markup=False),
        )
        hidden = not self._console.is_terminal
        self._bar = Bar(*columns, console=self._console, disable=hidden, transient=True)
        self._task = self._bar.add_task(title, total=total)

    @property
    def visible(self) -> bool:
        """Whether standard error is a terminal, which shows the bar."""
        return not self._bar.disable

    def advance(self, steps: int = 1, title: str | None = None) -> None:
        """Add steps that are done, and replace the title if one is given."""
        self._bar.update(self._task, advance=steps, description=title)

    def update(self, done: int, total: int, title: str | None = None) -> None:
        """Set how many steps of how many are done, and replace the title if one is given."""
        self._bar.update(self._task, completed=done, total=total, description=title)

    def log_step(self, line: str) -> None:
        """Add one step and report its result: beside the bar, or as a log message without a terminal."""
        if not self.visible:
            log.info("%s", line)
        self.advance(title=line)

    def __enter__(self) -> Progress:
        _consoles.append(self._console)
        if self.visible:  # before rich 14.3 a bar that is disabled still prints an empty line
            with suppress(LiveError):  # before rich 14.1 a bar within another bar cannot be drawn
                self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.visible:
            self._bar.stop()
        _consoles.pop()


def track(items: Iterable[Item], title: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items while a bar counts them; ``total`` is ``len(items)`` by default, if there is a length."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Progress(title, total) as progress:
        for item in items:
            yield item
            progress.advance()
