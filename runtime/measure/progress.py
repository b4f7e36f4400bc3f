"""Progress of long work: a bar on standard error if it is a terminal, otherwise nothing."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import suppress
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.errors import LiveError
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.progress_bar import ProgressBar
from rich.table import Column
from rich.text import Text

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Self = TypeVar("Self", bound="Progress")

BAR_WIDTH = 20
# Fraction of the estimated time that counts as finished at the estimated pace, so that one step does not change much.
TRUST = 0.1

# Consoles of the bars that are drawn now; a bar within another one must share its console.
_consoles: list[Console] = []


class Progress:
    """A bar, drawn while it is used as a context manager and then removed; ``total`` is None while it is unknown."""

    def __init__(self, title: str, total: int | None = None, columns: Sequence[ProgressColumn] = ()) -> None:
        self._console = _consoles[-1] if _consoles else Console(stderr=True, highlight=False, soft_wrap=True)
        counted = columns or (BarColumn(BAR_WIDTH), MofNCompleteColumn(), TimeRemainingColumn())
        named = TextColumn("{task.description}", markup=False)
        hidden = not self._console.is_terminal
        # Otherwise what is printed meanwhile would go to standard error, although it is meant for a file or a pipe.
        redirect = _is_one_terminal()
        self._bar = Bar(
            *counted, named, console=self._console, disable=hidden, transient=True, redirect_stdout=redirect
        )
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

    def __enter__(self: Self) -> Self:
        _consoles.append(self._console)
        if self.visible:  # before rich 14.3 a bar that is disabled still prints an empty line
            with suppress(LiveError):  # before rich 14.1 a bar within another bar cannot be drawn
                self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.visible:
            self._bar.stop()
        _consoles.pop()


def _is_one_terminal() -> bool:
    """Decide whether standard output and standard error are the same terminal."""
    try:
        out, err = (os.fstat(stream.fileno()) for stream in (sys.stdout, sys.stderr))
        return sys.stdout.isatty() and out.st_rdev == err.st_rdev
    except (AttributeError, OSError, ValueError):  # closed, or replaced by something without a file
        return False


def track(items: Iterable[Item], title: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items while a bar counts them; ``total`` is ``len(items)`` by default, if there is a length."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Progress(title, total) as progress:
        for item in items:
            yield item
            progress.advance()


class Countdown:
    """The time that is left of steps with estimated durations, corrected by what the finished ones really took.

    Args:
        total: Estimated seconds of all steps together.
        clock: Function that returns the present time in seconds.
    """

    def __init__(self, total: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._total, self._clock = total, clock
        self._began = self._step_began = clock()
        self._finished = self._step = 0.0

    def begin(self, seconds: float) -> None:
        """End the step before, and begin one that will probably take ``seconds``."""
        self._finished += self._step
        self._step, self._step_began = seconds, self._clock()

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning of the first step."""
        return self._clock() - self._began

    @property
    def left(self) -> float:
        """Seconds until all steps will probably be finished."""
        trust = max(TRUST * self._total, 1e-9)
        pace = (self._step_began - self._began + trust) / (self._finished + trust)
        later = max(0.0, self._total - self._finished - self._step)
        return max(0.0, self._step * pace - (self._clock() - self._step_began)) + later * pace


class TimedSteps(Progress):
    """Steps of estimated durations: a bar with the time left on a terminal, elsewhere a log line for each step."""

    def __init__(self, total: float) -> None:
        self._countdown = Countdown(total)
        super().__init__("", None, (_TimedBar(self._countdown), _TimeLeft(self._countdown)))

    def begin(self, title: str, seconds: float) -> None:
        """End the step before, and begin one that will probably take ``seconds``."""
        self._countdown.begin(seconds)
        self.advance(0, title)
        if not self.visible:
            log.info("%s; %s left", title, describe_duration(self._countdown.left))

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning of the first step."""
        return self._countdown.elapsed


class _TimedBar(ProgressColumn):
    def __init__(self, countdown: Countdown) -> None:
        super().__init__()
        self._countdown = countdown

    def render(self, task: Task) -> ProgressBar:
        elapsed = self._countdown.elapsed
        return ProgressBar(total=elapsed + self._countdown.left, completed=elapsed, width=BAR_WIDTH)


class _TimeLeft(ProgressColumn):
    def __init__(self, countdown: Countdown) -> None:
        super().__init__(Column(no_wrap=True))
        self._countdown = countdown

    def render(self, task: Task) -> Text:
        return Text(f"{describe_duration(self._countdown.left)} left")


def describe_duration(seconds: float) -> str:
    """Describe an estimated duration with two digits at most, such as ``40 seconds`` or ``12 minutes``."""
    if seconds < 120.0:
        return f"{max(5, 5 * round(seconds / 5.0))} seconds"
    if seconds < 100.0 * 60.0:
        return f"{int(seconds / 60.0 + 0.5)} minutes"
    return f"{seconds / 3600.0:.1f} hours"
