"""The live view of a terminal: finals, partials, the meter, several sources."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest
from rich.console import Console
from rich.text import Text

from edgespeech.demo.live.layout import padded_time
from edgespeech.demo.live.screen import LiveScreen, choose_output
from edgespeech.runtime.live.outputs import JsonLines, Meter, PlainLines
from edgespeech.runtime.transcript import Event
from tests.runtime.live.stand_ins import final


def screen(clock: Callable[[], float], width: int = 60) -> tuple[LiveScreen, io.StringIO]:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=width, height=10, legacy_windows=False, highlight=False)
    return LiveScreen(console, clock), stream


def test_the_screen_shows_finals_partials_and_the_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    shown, stream = screen(lambda: 0.0)
    shown.show(Event("status", "listening"))
    shown.show(final("hello there", 61.0))
    shown.show(Event("partial", "good by", "good", " by", latency_ms=41.4))
    shown.show_meter(Meter(-30.0, 75.0, 7.5, 3.2))
    shown.close()
    drawn = stream.getvalue()
    assert "01:01" in drawn and "hello there" in drawn and "listening" in drawn
    assert "\x1b[1mgood\x1b[0m\x1b[2m by\x1b[0m" in drawn
    assert "━" * 10 + "\x1b[0m" in drawn and "01:15" in drawn and "3 s behind" in drawn
    assert "\x1b[?1049h" not in drawn


def test_the_screen_draws_at_intervals_and_shows_the_loudest_level_since() -> None:
    now = 0.0
    shown, stream = screen(lambda: now, width=120)
    drawings = []
    for block in range(30):
        now = 0.03 * block
        before = stream.tell()
        shown.show_meter(Meter(0.0 if block == 2 else -60.0, block / 10, block / 100, 0.0))
        if stream.tell() > before:
            drawings.append((block, "━" * 20 in stream.getvalue()[before:]))
    shown.close()
    assert len(drawings) <= 10
    assert drawings[:3] == [(0, False), (4, True), (8, False)]
    assert "real-time factor 0.10" in stream.getvalue()


def test_the_newest_lines_of_a_long_partial_are_shown() -> None:
    shown, stream = screen(lambda: 0.0, width=20)
    text = " ".join(f"word{number}" for number in range(100))
    shown.show(Event("partial", text, "", text))
    shown.show_meter(Meter(-60.0, 1.0, 0.0, 0.0))
    shown.close()
    assert "word99" in stream.getvalue() and "word89" not in stream.getvalue()


def test_the_output_depends_on_the_kind_of_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(choose_output(as_json=True), JsonLines)
    assert isinstance(choose_output(), PlainLines)
    monkeypatch.setattr(sys, "stdout", None)  # closed by the shell
    assert isinstance(choose_output(), PlainLines)
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    output = choose_output()
    output.close()
    assert isinstance(output, LiveScreen)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(choose_output(), PlainLines)


def test_times_have_hours_once_there_are_any() -> None:
    assert [padded_time(s) for s in (0.0, 59.99, 61.0, 3661.5)] == ["00:00", "00:59", "01:01", "1:01:01"]


def test_problems_and_clipping_stay_in_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    shown, stream = screen(lambda: 0.0, width=120)
    shown.show_meter(Meter(-1.0, 1.0, 0.1, 0.0, {"overflows": 3, "clipped": 12}))
    shown.close()
    assert "\x1b[31m" in stream.getvalue()
    assert "\x1b[33moverflows 3\x1b[0m  \x1b[33mclipped 12\x1b[0m" in stream.getvalue()


def test_every_source_has_its_own_lines() -> None:
    shown, stream = screen(lambda: 0.0, width=100)
    for name in ("left", "right"):
        shown.show(Event("status", f"listening to {name}"), name)
    for name, text in (("right", "hello"), ("left", "good morning")):  # right was faster, and stays below
        shown.show(Event("partial", text, text, ""), name)
        shown.show_meter(Meter(-20.0, 5.0, 0.1, 0.0), name)
    assert list(map(str, shown.view())) == [
        "       left  good morning",
        "left  ━━━━━━━━━━━━━───────  00:05  real-time factor 0.02",
        "       right  hello",
        "right  ────────────────────  00:05  real-time factor 0.02",  # not loud since the last drawing
    ]
    shown.show(final("good morning all"), "left")
    assert [str(line)[:12] for line in shown.view()] == ["left  ━━━━━━", "       right", "right  ─────"]
    shown.close()
    assert "00:01  left  good morning all" in Text.from_ansi(stream.getvalue()).plain
