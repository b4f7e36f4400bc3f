"""The live view on a terminal: finals scroll up, below them the partial text and a status line for the audio."""

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
MAX_PARTIAL_LINES = 4  # the newest lines of a long partial
METER_WIDTH = 20
METER_FLOOR_DB = -60.0
TOO_LOUD_DB = -6.0
MIN_SHOWN_DELAY = 1.0  # seconds


def choose_output(as_json: bool = False) -> Output:
    """Choose JSON lines if asked for, the live view on a terminal, plain lines elsewhere; all on standard output."""
    if as_json:
        return JsonLines()
    console = Console(highlight=False)
    if sys.stdout is not None and sys.stdout.isatty() and not console.is_dumb_terminal:
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

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._partials: dict[str, Event] = {}
        self._meters: dict[str, Meter] = {}
        self._latencies: dict[str, float] = {}  # ms; sources in the order of their first events
        self._drawn_at = -REFRESH_SECONDS
        # With redirection rich would replace sys.stdout and sys.stderr.
        self._live = Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )

    def show(self, event: Event, source: str = "") -> None:
        """Print finals and status lines above; keep a partial for the next drawing."""
        before = self._latencies.setdefault(source, 0.0)
        self._latencies[source] = before if event.type == "status" else event.latency_ms
        if event.type == "partial":
            self._partials[source] = event
            return
        speaker = (f"{source}  " if source else "", "magenta")
        if event.type == "final":
            self._partials.pop(source, None)
            line = Text.assemble((f"{clock_time(event.start)}  ", "cyan"), speaker, event.text)
        else:
            line = Text.assemble(speaker, event.text, style="dim italic")
        self._draw()
        self._console.print(line)

    def show_meter(self, meter: Meter, source: str = "") -> None:
        """Draw with the loudest level since the last drawing, unless that was less than 0.1 s ago."""
        before = self._meters.get(source, meter)
        self._meters[source] = replace(meter, level_db=max(meter.level_db, before.level_db))
        now = self._clock()
        if now - self._drawn_at >= REFRESH_SECONDS:
            self._draw()
            self._drawn_at = now
            self._meters = {name: replace(old, level_db=METER_FLOOR_DB) for name, old in self._meters.items()}

    def close(self) -> None:
        """Erase the bottom lines; finals and status lines stay."""
        with contextlib.suppress(OSError):  # the terminal may be gone
            self._live.stop()

    def view(self) -> Group:
        """Return the bottom lines: the partial text and the state of the audio of each source."""
        lines: list[Text] = []
        for source in dict.fromkeys([*self._latencies, *self._meters]):
            if meter := self._meters.get(source):
                lines += [*self._partial_lines(source), self._status_line(source, meter)]
        return Group(*lines)

    def _draw(self) -> None:
        self._live.start()
        self._live.update(self.view(), refresh=True)

    def _partial_lines(self, source: str) -> list[Text]:
        partial = self._partials.get(source)
        if partial is None or not partial.text:
            return []
        speaker = (f"{source}  " if source else "", "magenta")
        text = Text.assemble(speaker, (partial.committed, "bold"), (partial.tentative, "dim"))
        return list(text.wrap(self._console, self._console.width))[-MAX_PARTIAL_LINES:]

    def _status_line(self, source: str, meter: Meter) -> Text:
        full, empty = ("#", "-") if self._console.options.ascii_only else ("━", "─")
        filled = round(METER_WIDTH * min(1.0, max(0.0, 1.0 - meter.level_db / METER_FLOOR_DB)))
        loud = "red" if meter.level_db > TOO_LOUD_DB else "green"
        line = Text.assemble((full * filled, loud), (empty * (METER_WIDTH - filled), "dim"))
        line.append(f"  {clock_time(meter.audio_seconds)}", "dim")
        if meter.delay_seconds > MIN_SHOWN_DELAY:
            line.append(f"  {meter.delay_seconds:.0f} s behind", "yellow")
        for problem, count in meter.problems.items():
            line.append(f"  {problem} {count}", "yellow")
        line.append(f"  real-time factor {meter.rtf:.2f}  latency {self._latencies.get(source, 0.0):.0f} ms", "dim")
        line.truncate(self._console.width)
        return line


def clock_time(seconds: float) -> str:
    """Format a time as minutes and seconds, with hours once there are any."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute:02d}:{second:02d}"
