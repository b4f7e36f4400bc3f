"""The lines of the live view for a terminal of any width: text with a hanging indent, and the state of a source."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from edgespeech.runtime.formats import clock_time
from edgespeech.runtime.live.outputs import Meter
from edgespeech.runtime.transcript import Event

MAX_PARTIAL_LINES = 4  # the newest lines of a long partial
MAX_METER_WIDTH, MIN_METER_WIDTH = 20, 5
METER_FLOOR_DB = -60.0
TOO_LOUD_DB = -6.0
MIN_SHOWN_DELAY = 1.0  # seconds
MIN_TEXT_WIDTH = 0.5  # of the terminal; what stands before the text gets its own line if it leaves less
_GAP = "  "
_FIGURES_WIDTH = 25  # of the time and the latency, beside the meter


@dataclass(frozen=True)
class Layout:
    """Lines no wider than the terminal at this moment; a figure is never cut."""

    console: Console

    def final(self, event: Event, source: str = "") -> list[Text]:
        """Return a final with the time of its first word; wrapped lines hang under the text."""
        before = Text.assemble((f"{padded_time(event.start)}{_GAP}", "cyan"), _speaker(source))
        return self._hang(before, Text(event.text))

    def partial(self, event: Event, source: str = "") -> list[Text]:
        """Return the newest lines of a partial, where the text of its final will stand."""
        if not event.text:
            return []
        before = Text.assemble(" " * len(padded_time(event.start)) + _GAP, _speaker(source))
        text = Text.assemble((event.committed, "bold"), (event.tentative, "dim"))
        return self._hang(before, text)[-MAX_PARTIAL_LINES:]

    def status(self, event: Event, source: str = "") -> list[Text]:
        """Return a status message; wrapped lines of a message that begins with blanks are indented like it."""
        text = event.text.lstrip(" ")
        before = Text.assemble(_speaker(source), " " * (len(event.text) - len(text)))
        lines = self._hang(before, Text(text))
        for line in lines:
            line.stylize("dim italic")
        return lines

    def meter(self, meter: Meter, latency_ms: float | None, source: str = "") -> list[Text]:
        """Return the level, the time, problems and figures of a source, divided between two figures if necessary."""
        width = self.console.width
        speaker = [Text(source, "magenta")] if source else []
        room = width - _FIGURES_WIDTH - sum(name.cell_len + len(_GAP) for name in speaker)
        figures = [*speaker, self.level(meter.level_db, room), Text(padded_time(meter.audio_seconds), "dim")]
        if meter.delay_seconds > MIN_SHOWN_DELAY:
            figures.append(Text(f"{meter.delay_seconds:.0f} s behind", "yellow"))
        figures += [Text(f"{problem} {count}", "yellow") for problem, count in meter.problems.items()]
        if latency_ms is not None:
            figures.append(Text(f"latency {latency_ms:.0f} ms", "dim"))
        lines: list[Text] = []
        for figure in figures:
            longer = Text(_GAP).join([*lines[-1:], figure])
            if lines and longer.cell_len <= width:
                lines[-1] = longer
            else:
                lines += figure.wrap(self.console, width)
        real_time_factor = Text(f"{_GAP}real-time factor {meter.rtf:.2f}", "dim")
        if lines[-1].cell_len + real_time_factor.cell_len <= width:  # left out first
            lines[-1].append_text(real_time_factor)
        return lines

    def level(self, level_db: float, room: int) -> Text:
        """Draw a level as a bar of at most 20 columns, red where it is nearly at full scale."""
        full, empty = ("#", "-") if self.console.options.ascii_only else ("━", "─")
        width = min(MAX_METER_WIDTH, max(MIN_METER_WIDTH, room))
        filled = round(width * min(1.0, max(0.0, 1.0 - level_db / METER_FLOOR_DB)))
        loud = "red" if level_db > TOO_LOUD_DB else "green"
        return Text.assemble((full * filled, loud), (empty * (width - filled), "dim"))

    def _hang(self, before: Text, text: Text) -> list[Text]:
        """Wrap text behind what stands before it, so that the other lines begin under the text."""
        width = self.console.width
        if width - before.cell_len < MIN_TEXT_WIDTH * width:
            heading = before.copy()
            heading.rstrip()
            return [*heading.wrap(self.console, width), *text.wrap(self.console, width)]
        indent = Text(" " * before.cell_len)
        lines = text.wrap(self.console, width - before.cell_len)
        return [Text.assemble(indent if number else before, line) for number, line in enumerate(lines)]


def padded_time(seconds: float) -> str:
    """Format a time with two digits for the minutes, so that the text behind it begins in one column."""
    return clock_time(seconds).zfill(len("00:00"))


def _speaker(source: str) -> Text:
    return Text(f"{source}{_GAP}" if source else "", "magenta")
