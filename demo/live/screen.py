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

from edgespeech.runtime.live.outputs import JsonLines, Meter, Output, PlainLines
from edgespeech.runtime.transcript import Event

REFRESH_SECONDS = 0.1
PARTIAL_LINES = 4  # the newest of a long partial
METER_WIDTH = 20
METER_FLOOR = -60.0  # dB below full scale
TOO_LOUD = -6.0


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

    Text that will not change any more is bold, the rest of a partial dim. Each source has its own partial and meter.

    Args:
        console: A terminal.
        clock: Seconds, rising.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the bottom lines of the terminal."""
        self._console, self._clock = console, clock
        self._partials: dict[str, Event] = {}
        self._meters: dict[str, Meter] = {}
        self._latencies: dict[str, float] = {}  # ms; sources in the order in which they announced themselves
        self._drawn_at = -REFRESH_SECONDS
        # With redirection rich would take over sys.stdout and sys.stderr, which are not ours.
        self._live = Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()

    def show(self, event: Event, source: str = "") -> None:
        """Print finals and remarks above, keep a partial for the next drawing."""
        before = self._latencies.setdefault(source, 0.0)
        self._latencies[source] = before if event.type == "status" else event.latency_ms
        if event.type == "partial":
            self._partials[source] = event
            return
        said_by = (f"{source}  " if source else "", "magenta")
        if event.type == "final":
            self._partials.pop(source, None)
            line = Text.assemble((f"{clock_time(event.start)}  ", "cyan"), said_by, event.text)
        else:
            line = Text.assemble(said_by, event.text, style="dim italic")
        self._draw()
        self._console.print(line)

    def measure(self, meter: Meter, source: str = "") -> None:
        """Draw, unless that was done a moment ago; the loudest block since then is shown."""
        before = self._meters.get(source, meter)
        self._meters[source] = replace(meter, level=max(meter.level, before.level))
        now = self._clock()
        if now - self._drawn_at >= REFRESH_SECONDS:
            self._draw()
            self._drawn_at = now
            self._meters = {name: replace(old, level=METER_FLOOR) for name, old in self._meters.items()}

    def close(self) -> None:
        """Wipe the bottom lines; finals and remarks stay."""
        with contextlib.suppress(OSError):  # the terminal may be gone
            self._live.stop()

    def view(self) -> Group:
        """The bottom lines: for each source the text in the making and the state of its sound."""
        lines: list[Text] = []
        for source in dict.fromkeys([*self._latencies, *self._meters]):
            if meter := self._meters.get(source):
                lines += [*self._partial_lines(source), self._status_line(source, meter)]
        return Group(*lines)

    def _draw(self) -> None:
        self._live.update(self.view(), refresh=True)

    def _partial_lines(self, source: str) -> list[Text]:
        partial = self._partials.get(source)
        if partial is None or not partial.text:
            return []
        said_by = (f"{source}  " if source else "", "magenta")
        text = Text.assemble(said_by, (partial.committed, "bold"), (partial.tentative, "dim"))
        return list(text.wrap(self._console, self._console.width))[-PARTIAL_LINES:]

    def _status_line(self, source: str, meter: Meter) -> Text:
        full, empty = ("#", "-") if self._console.options.ascii_only else ("━", "─")
        filled = round(METER_WIDTH * min(1.0, max(0.0, 1.0 - meter.level / METER_FLOOR)))
        loud = "red" if meter.level > TOO_LOUD else "green"
        line = Text.assemble((full * filled, loud), (empty * (METER_WIDTH - filled), "dim"))
        line.append(f"  {clock_time(meter.heard)}", "dim")
        if meter.behind > 1.0:
            line.append(f"  {meter.behind:.0f} s behind", "yellow")
        for what, count in meter.troubles.items():
            line.append(f"  {what} {count}", "yellow")
        line.append(f"  real-time factor {meter.rtf:.2f}  latency {self._latencies.get(source, 0.0):.0f} ms", "dim")
        line.truncate(self._console.width)
        return line


def clock_time(seconds: float) -> str:
    """Minutes and seconds, with hours once there are any."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute:02d}:{second:02d}"
