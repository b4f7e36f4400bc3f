"""The live view on a terminal: finals scroll up, below them the text in the making and a line about the sound."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import replace

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from edgespeech.demo.live_output import JsonLines, Meter, Output, PlainLines
from edgespeech.runtime.transcript import Event

REFRESH_SECONDS = 0.1
PARTIAL_LINES = 4  # the newest of a long partial
METER_WIDTH = 20
METER_FLOOR = -60.0  # dB below full scale


def choose_output(as_json: bool = False) -> Output:
    """JSON lines if asked for, the live view on a terminal, plain lines anywhere else; all on standard output."""
    if as_json:
        return JsonLines()
    console = Console(highlight=False)
    if sys.stdout is not None and sys.stdout.isatty() and not console.is_dumb_terminal:
        return LiveScreen(console)
    return PlainLines()


class LiveScreen(Output):
    """Draws in place at the bottom of the terminal, on its normal screen, at most ten times a second.

    Args:
        console: A terminal.
        clock: Seconds, rising.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the bottom lines of the terminal."""
        self._console, self._clock = console, clock
        self._partial: Event | None = None
        self._meter = Meter(METER_FLOOR, 0.0, 0.0, 0.0)
        self._latency_ms = 0.0
        self._drawn_at = -REFRESH_SECONDS
        # With redirection rich would take over sys.stdout and sys.stderr, which are not ours.
        self._live = Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()

    def show(self, event: Event) -> None:
        """Print finals and remarks above, keep a partial for the next drawing."""
        if event.type == "partial":
            self._partial, self._latency_ms = event, event.latency_ms
            return
        if event.type == "final":
            self._partial, self._latency_ms = None, event.latency_ms
            line = Text.assemble((f"{clock_time(event.start)}  ", "cyan"), event.text)
        else:
            line = Text(event.text, style="dim italic")
        self._draw()
        self._console.print(line)

    def measure(self, meter: Meter) -> None:
        """Draw, unless that was done a moment ago; the loudest block since then is shown."""
        self._meter = replace(meter, level=max(meter.level, self._meter.level))
        now = self._clock()
        if now - self._drawn_at >= REFRESH_SECONDS:
            self._draw()
            self._drawn_at = now
            self._meter = replace(meter, level=METER_FLOOR)

    def close(self) -> None:
        """Wipe the bottom lines; finals and remarks stay."""
        with contextlib.suppress(OSError):  # the terminal may be gone
            self._live.stop()

    def _draw(self) -> None:
        self._live.update(Group(*self._partial_lines(), self._status_line()), refresh=True)

    def _partial_lines(self) -> list[Text]:
        if self._partial is None:
            return []
        text = Text.assemble((self._partial.committed, "bold"), (self._partial.tentative, "dim"))
        return list(text.wrap(self._console, self._console.width))[-PARTIAL_LINES:]

    def _status_line(self) -> Text:
        full, empty = ("#", "-") if self._console.options.ascii_only else ("━", "─")
        filled = round(METER_WIDTH * min(1.0, max(0.0, 1.0 - self._meter.level / METER_FLOOR)))
        line = Text.assemble((full * filled, "green"), (empty * (METER_WIDTH - filled), "dim"))
        line.append(f"  {clock_time(self._meter.heard)}", "dim")
        if self._meter.behind > 1.0:
            line.append(f"  {self._meter.behind:.0f} s behind", "yellow")
        line.append(f"  real-time factor {self._meter.rtf:.2f}  latency {self._latency_ms:.0f} ms", "dim")
        line.truncate(self._console.width)
        return line


def clock_time(seconds: float) -> str:
    """Minutes and seconds, with hours once there are any."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute:02d}:{second:02d}"
