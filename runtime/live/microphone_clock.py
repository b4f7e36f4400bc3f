"""Sound that never came: a device's own count of samples against the clock on the wall."""

from __future__ import annotations

import math

GAP_SECONDS = 0.1
WINDOW_SECONDS = 1.0


class ClockWatch:
    """Notices when a device skips sound without saying so, as after a lost USB packet or a suspended machine.

    A block that is late is no gap: the ones behind it come sooner. So the least lateness within each second counts, and
    a gap is a jump of it from one second to the next. A sample clock that is a little off moves it by far less.
    """

    def __init__(self) -> None:
        """No gaps yet."""
        self.gaps = 0
        self.begin()

    def begin(self) -> None:
        """A device was opened: what came before says nothing about it."""
        self._heard = self._window_end = 0.0
        self._least, self._before = math.inf, math.inf
        self._began = math.nan

    def step(self, seconds: float, arrived: float) -> float:
        """Note a block.

        Args:
            seconds: Its length.
            arrived: When it came, in seconds of a rising clock.

        Returns:
            Seconds of sound that turned out to be missing; 0 nearly always.
        """
        if math.isnan(self._began):
            self._began, self._window_end = arrived, WINDOW_SECONDS
        self._least = min(self._least, arrived - self._began - self._heard)
        self._heard += seconds
        if self._heard < self._window_end:
            return 0.0
        jump = self._least - self._before
        self._before, self._least = self._least, math.inf
        self._window_end = self._heard + WINDOW_SECONDS
        if jump <= GAP_SECONDS:
            return 0.0
        self.gaps += 1
        return jump
