"""The live view on a terminal: finals scroll up, below them the partial text and a status line for the audio."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from rich.console import Console
from rich.text import Text

from edgespeech.demo.live.bottom_lines import BottomLines
from edgespeech.demo.live.layout import METER_FLOOR_DB, Layout
from edgespeech.runtime.live.outputs import JsonLines, Meter, Output, PlainLines
from edgespeech.runtime.transcript import Event

REFRESH_SECONDS = 0.1


def choose_output(as_json: bool = False) -> Output:
    """Choose JSON lines if asked for, the live view on a terminal, plain lines elsewhere; all on standard output."""
    if as_json:
        return JsonLines()
    console = Console(highlight=False)
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    if is_terminal and not console.is_dumb_terminal and not console.legacy_windows:
        return LiveScreen(console)
    return PlainLines()


class LiveScreen(Output):
    """Draws in place at the bottom of the terminal, on its normal screen, at most ten times a second.

    Committed text is bold, tentative text dim. Each source has its own partial and meter. Nothing is drawn before the
    first event, so that an error before it stays readable.

    Args:
        console: Console on a terminal.
        clock: Monotonic time in seconds.
    """

    meter_seconds = REFRESH_SECONDS / 2.0  # what comes early waits for the next one

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._bottom, self._layout, self._clock = BottomLines(console, clock), Layout(console), clock
        self._partials: dict[str, Event] = {}
        self._meters: dict[str, Meter] = {}
        self._latencies: dict[str, float | None] = {}  # ms; sources in the order of their first events
        self._meters_drawn_at = self._partial_drawn_at = -REFRESH_SECONDS

    def show(self, event: Event, source: str = "") -> None:
        """Print finals and status lines above; draw a partial at once, unless another was drawn less than 0.1 s ago."""
        self._latencies.setdefault(source, None)
        if event.type == "partial":
            self._partials[source] = event
            now = self._clock()
            if now - self._partial_drawn_at >= REFRESH_SECONDS:
                self._partial_drawn_at = now
                self._draw()
        elif event.type == "final":
            self._partials.pop(source, None)
            self._latencies[source] = event.word_latency_ms
            self._draw(self._layout.final(event, source))
        else:
            self._draw(self._layout.status(event, source))

    def show_meter(self, meter: Meter, source: str = "") -> None:
        """Draw with the loudest level since the last drawing, unless that was less than 0.1 s ago."""
        before = self._meters.get(source, meter)
        self._meters[source] = replace(meter, level_db=max(meter.level_db, before.level_db))
        now = self._clock()
        if now - self._meters_drawn_at >= REFRESH_SECONDS:
            self._draw()
            self._meters_drawn_at = now
            self._meters = {name: replace(old, level_db=METER_FLOOR_DB) for name, old in self._meters.items()}

    def close(self) -> None:
        """Erase the bottom lines; finals and status lines stay."""
        with contextlib.suppress(OSError):  # the terminal may be gone
            self._bottom.erase()

    def suspend(self) -> None:
        """Erase the bottom lines before a signal ends or suspends the process."""
        self._bottom.erase_at_once()

    def view(self) -> list[Text]:
        """Return the bottom lines: the partial text and the state of the audio of each source."""
        lines: list[Text] = []
        names = list(dict.fromkeys([*self._latencies, *self._meters]))
        for source in names:
            if partial := self._partials.get(source):
                lines += self._layout.partial(partial, source)
            if meter := self._meters.get(source):
                name = source if len(names) > 1 else ""
                lines += self._layout.meter(meter, self._latencies.get(source), name)
        return lines

    def _draw(self, above: Sequence[Text] = ()) -> None:
        self._bottom.draw(self.view(), above)
