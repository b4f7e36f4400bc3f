"""How far many recordings are: hours of audio, speed, and the time that is left."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType

from rich.progress import BarColumn, TimeRemainingColumn

from edgespeech.runtime.measure.progress import BAR_WIDTH, Progress, describe_duration

log = logging.getLogger(__name__)

LINE_SECONDS = 60.0  # between two lines, where standard error is not a terminal


class HoursProgress:
    """A bar over the seconds of all recordings on a terminal, elsewhere a log line each minute; a context manager.

    Args:
        count: Number of recordings.
        seconds: Seconds of audio in all of them, as far as known.
        clock: Function that returns the present time in seconds.
    """

    def __init__(self, count: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._count, self._total, self._clock = count, seconds, clock
        self._began = self._logged = clock()
        self._files, self._seconds = 0, 0.0
        self._stack = ExitStack()
        self._bar = Progress("", round(seconds) or None, (BarColumn(BAR_WIDTH), TimeRemainingColumn()))

    def advance(self, seconds: float) -> None:
        """Count a recording that has ended."""
        self._files += 1
        self._seconds += seconds
        self._bar.update(round(self._seconds), round(max(self._total, self._seconds)), self.line)
        now = self._clock()
        if not self._bar.visible and now - self._logged >= LINE_SECONDS and self._files < self._count:
            self._logged = now
            log.info("%s; %s left", self.line, describe_duration(self._left))

    @property
    def line(self) -> str:
        """How many recordings and hours are done, and how many hours of audio an hour takes."""
        elapsed = max(1e-3, self._clock() - self._began)
        hours = f"{self._seconds / 3600.0:.2f} of {self._total / 3600.0:.2f} h"
        return f"{self._files} of {self._count} files, {hours}, {self._seconds / elapsed:.0f} hours per hour"

    @property
    def _left(self) -> float:
        elapsed = self._clock() - self._began
        return elapsed * max(0.0, self._total - self._seconds) / max(1.0, self._seconds)

    def __enter__(self) -> HoursProgress:
        self._stack.enter_context(self._bar)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)
