"""Audio that never came: a device's own count of samples against the clock on the wall."""

from __future__ import annotations

import math

GAP_SECONDS = 0.1
WINDOW_SECONDS = 1.0


class ClockWatch:
    """Detects that a device skipped audio without reporting it, as after a lost USB packet or a suspended machine.

    A late block is not a gap: the blocks behind it come sooner. So the minimum lateness within each second counts, and
    a gap is a jump of this minimum from one second to the next. A sample clock that is slightly off moves it far less.
    """

    def __init__(self) -> None:
        self.gaps = 0
        self.begin()

    def begin(self) -> None:
        """Start again with a device that was just opened; the gaps so far stay counted."""
        self._received = self._window_end = 0.0
        self._min_lateness, self._previous_min = math.inf, math.inf
        self._began = math.nan

    def step(self, seconds: float, arrived: float) -> float:
        """Return the seconds of audio that are missing, nearly always 0, given a block's length and time of arrival."""
        if math.isnan(self._began):
            self._began, self._window_end = arrived, WINDOW_SECONDS
        self._min_lateness = min(self._min_lateness, arrived - self._began - self._received)
        self._received += seconds
        if self._received < self._window_end:
            return 0.0
        jump = self._min_lateness - self._previous_min
        self._previous_min, self._min_lateness = self._min_lateness, math.inf
        self._window_end = self._received + WINDOW_SECONDS
        if jump <= GAP_SECONDS:
            return 0.0
        self.gaps += 1
        return jump
