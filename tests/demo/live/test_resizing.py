"""The live view in a terminal that is resized at any moment: what scrolls up is the finals, whole and nothing else."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from edgespeech.demo.live.screen import LiveScreen
from edgespeech.runtime import audio
from edgespeech.runtime.live.outputs import Meter
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest
from edgespeech.runtime.transcript import Event
from tests.demo.live.emulator import EmulatedConsole, Terminal
from tests.demo.live.tmux import Tmux
from tests.runtime.live.stand_ins import final

ROOT = Path(__file__).resolve().parents[3]
WIDTHS = (30, 45, 80, 120)
SENTENCES = [
    "she felt a little reassured and was free her when she discovered that her pet cat and dog had followed her",
    "yes",
    "the " + "antidisestablishmentarianism" * 3 + " is a long word",
    "音声認識はマイクの音を文字にします" * 3,
    "café naïve 🎤 and a row of words that is long enough to be wrapped at every width that is tried here",
    "a" * 120,
]
TIME = re.compile(r"\d\d:\d\d  ")


def session(sentences: Sequence[str]) -> Iterator[Callable[[LiveScreen], None]]:
    """Steps of a session: each sentence grows word by word, with a meter behind each partial, and becomes a final."""
    for second, text in enumerate(sentences):
        words = text.split(" ")
        for count in range(1, len(words) + 1):
            shown, committed = " ".join(words[:count]), " ".join(words[: count // 2])
            event = Event("partial", shown, committed, shown[len(committed) :], float(second))
            yield partial(LiveScreen.show, event=event)
            yield partial(LiveScreen.show_meter, meter=Meter(-20.0, second, 0.1, 2.4, {"overflows": 3}))
        yield partial(LiveScreen.show, event=final(text, float(second)))


def transcript(rows: Iterable[str]) -> list[str]:
    """Put the wrapped lines of each final together; blanks are left out, because a long word may be divided."""
    found: list[str] = []
    for row in rows:
        if TIME.match(row):
            found.append(row)
        else:
            assert re.match(r" {7}\S", row), f"a wrapped line hangs under the text: {row!r} in {rows}"
            found[-1] += row
    return [text.replace(" ", "") for text in found]


def expected(sentences: Sequence[str]) -> list[str]:
    return [f"00:{second:02d}{text}".replace(" ", "") for second, text in enumerate(sentences)]


@pytest.mark.parametrize("every", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("rows", [6, 24])
def test_the_scroll_back_is_the_finals_however_the_terminal_is_resized(every: int, rows: int) -> None:
    terminal = Terminal(WIDTHS[0], rows)
    screen = LiveScreen(EmulatedConsole(terminal), itertools.count(0.0, 1.0).__next__)
    widths = itertools.cycle([120, 30, 80, 45, 120, 80, 30, 45])
    sentences = SENTENCES * 3
    for number, step in enumerate(session(sentences)):
        if number % every == 0:
            terminal.resize(next(widths), rows + number % 3)
        step(screen)
    screen.close()
    assert transcript(terminal.rows) == expected(sentences)


def test_nothing_is_drawn_while_the_size_changes() -> None:
    terminal, now = Terminal(120), 0.0
    screen = LiveScreen(EmulatedConsole(terminal), lambda: now)
    seen = []
    for step in range(12):
        now = step / 5.0
        if 3 <= step < 8:
            terminal.resize(120 - 5 * step)
        if step == 6:
            screen.show(final("a final", 1.0))
        screen.show_meter(Meter(-20.0, now, 0.1, 0.0))
        seen.append(len(terminal.visible))
    assert seen == [1, 1, 1, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    screen.close()
    assert terminal.rows == ["00:01  a final"]


@pytest.mark.parametrize("width", WIDTHS)
def test_every_line_fits_and_every_figure_is_whole(width: int) -> None:
    terminal = Terminal(width)
    screen = LiveScreen(EmulatedConsole(terminal), itertools.count(0.0, 0.2).__next__)
    for source in ("", "left", "a microphone with a name that is longer than half of the terminal"):
        screen.show(Event("status", "listening to 'a microphone' at 48000 Hz, the mean of 2 channels"), source)
        screen.show(final("one two three", 61.0), source)
        screen.show(Event("partial", SENTENCES[0], "she felt", SENTENCES[0][8:], 70.0), source)
        screen.show_meter(Meter(-20.0, 75.0, 7.5, 3.2, {"overflows": 3, "blocks dropped": 12}), source)
        shown = terminal.visible
        assert max(map(len, shown)) <= width
        for figure in ("01:15", "3 s behind", "overflows 3", "blocks dropped 12"):
            assert any(figure in row for row in shown), shown
        assert not any("real-time" in row and "real-time factor 0.10" not in row for row in shown)
    screen.close()
    assert not any("behind" in row for row in terminal.rows)


@pytest.mark.parametrize(
    ("width", "expected_rows"),
    [
        (
            45,
            [
                "00:01  a final that is longer than one line",
                "       of the terminal",
                "━━━━━━━━━━━━━━━━━━━━  00:05  latency 1200 ms",
            ],
        ),
        (
            30,
            [
                "00:01  a final that is longer",
                "       than one line of the",
                "       terminal",
                "━━━━━  00:05  latency 1200 ms",
            ],
        ),
    ],
)
def test_the_screen_of_a_narrow_terminal(width: int, expected_rows: list[str]) -> None:
    terminal = Terminal(width)
    screen = LiveScreen(EmulatedConsole(terminal), itertools.count(0.0, 0.2).__next__)
    words = final("a final that is longer than one line of the terminal")
    screen.show(Event("final", words.text, start=1.0, words=words.words, word_latency_ms=1200.0))
    screen.show_meter(Meter(-0.0, 5.0, 0.1, 0.0))
    assert terminal.visible == expected_rows


def test_a_terminal_that_narrows_while_the_view_is_drawn() -> None:
    """What is drawn for the old width is cut off instead of wrapped, and erased by the next drawing."""
    terminal = Terminal(120)
    console = EmulatedConsole(terminal)
    screen = LiveScreen(console, itertools.count(0.0, 0.2).__next__)
    screen.show(final("the first final", 1.0))
    terminal.screen.resize(24, 45)
    for columns in (120, 45):
        console.terminal = Terminal(columns)  # gives the size; the file is the narrow terminal
        screen.show(Event("partial", SENTENCES[0], "", SENTENCES[0]))
        screen.show_meter(Meter(-20.0, 75.0, 7.5, 0.0))
    screen.show(final("the second final", 2.0))
    screen.close()
    assert terminal.rows == ["00:01  the first final", "00:02  the second final"]


PLAYER = r"""
import itertools, os, sys, time
from rich.console import Console
from edgespeech.demo.live.screen import LiveScreen
from tests.demo.live.test_resizing import SENTENCES, session
print("\n" * 20)  # of a shell; while the view is at the top of the screen, tmux scrolls it off when it wraps its lines
screen = LiveScreen(Console(highlight=False), itertools.count(0.0, 0.2).__next__)
steps = session(SENTENCES * 3)
with open(sys.argv[1]) as orders, open(sys.argv[2], "w", buffering=1) as answers:
    for order in orders:
        count, columns = map(int, order.split())
        while columns and os.get_terminal_size().columns != columns:
            time.sleep(0.01)
        for step in itertools.islice(steps, count):
            step(screen)
        print("done", file=answers)
screen.close()
"""


@pytest.mark.parametrize("waits", [True, False], ids=["drawn at once", "drawn late"])
def test_a_terminal_that_wraps_its_lines_again(tmp_path: Path, waits: bool) -> None:
    """The program draws after each change of the size, or only after several, so that old lines were wrapped before."""
    (tmp_path / "play.py").write_text(PLAYER)
    orders, answers = tmp_path / "orders", tmp_path / "answers"
    os.mkfifo(orders)
    os.mkfifo(answers)
    command = [sys.executable, str(tmp_path / "play.py"), str(orders), str(answers)]
    terminal = Tmux(command, 120, 24, {"PYTHONPATH": str(ROOT)})
    try:
        with open(orders, "w", buffering=1) as give, open(answers) as get:
            for number in range(20):
                columns = (120, 30, 80, 45)[number % 4]
                terminal.resize(columns, 24 - number % 3)
                if waits or number % 4 == 3:
                    print(30, columns, file=give)
                    assert get.readline() == "done\n"
            print(10_000, 0, file=give)
            assert get.readline() == "done\n"
        code, lines = terminal.wait()
        assert (code, terminal.ask("cursor_flag"), terminal.ask("wrap_flag")) == (0, "1", "1")
    finally:
        terminal.close()
    assert transcript(filter(None, lines)) == expected(SENTENCES * 3)


@pytest.mark.slow
def test_the_command_in_a_terminal_whose_border_is_dragged(tmp_path: Path) -> None:
    pause = np.zeros(24000, np.float32)
    clips = [audio.read(utterance.path) for utterance in read_manifest(SAMPLE_CLIPS)][:4]
    soundfile.write(tmp_path / "clips.wav", np.concatenate([part for clip in clips for part in (clip, pause)]), 16000)
    command = [sys.executable, "-m", "edgespeech.demo.cli", "live", "--replay", "clips.wav", "--save", "saved.txt"]
    terminal = Tmux(["sh", "-c", f"cd {tmp_path}; yes '' | head -n 20; exec {shlex.join(command)}"], 120, 24)
    try:
        for number in range(15):
            for columns in range(100 - number, 40, -7) if number % 2 else (60, 100):
                terminal.resize(columns, 24 - number % 3)
                time.sleep(0.05)
            if number % 4 == 2:
                terminal.type("Space")
            time.sleep(1.0)
        code, lines = terminal.wait()
    finally:
        terminal.close()
    saved = (tmp_path / "saved.txt").read_text().splitlines()
    assert code == 0 and len(saved) > 4
    begin = next(number for number, line in enumerate(lines) if TIME.match(line))
    end = next(number for number, line in enumerate(lines) if line.startswith("end: "))
    assert "".join(lines[:begin]) == "replaying clips.wav in real time"
    shown = transcript(lines[begin:end])
    assert [text[5:] for text in shown] == [text.replace(" ", "") for text in saved]
