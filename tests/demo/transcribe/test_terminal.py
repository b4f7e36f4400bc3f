"""`edgespeech transcribe` in a terminal: text above a bar, and Ctrl-C; and in a pipe."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pty = pytest.importorskip("pty", reason="terminals of Unix")
fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
pyte = pytest.importorskip("pyte")

COMMAND = [sys.executable, "-m", "edgespeech.demo.cli", "transcribe", "--plain", "--beam-width", "16"]
TIMEOUT = 120.0  # seconds


class Program:
    """The command line in a terminal of 100 columns; standard output is the terminal too unless a file is given."""

    def __init__(self, *arguments: object, output: int | None = None) -> None:
        self.screen = pyte.Screen(100, 30)
        self._stream = pyte.ByteStream(self.screen)
        self._terminal, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, b"\x1e\0\x64\0\0\0\0\0")
        environment = {**os.environ, "TERM": "xterm-256color"}
        for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdin=inside,
            stdout=inside if output is None else output,
            stderr=inside,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env=environment,
        )
        os.close(inside)

    @property
    def lines(self) -> list[str]:
        """Lines of the screen that are not empty."""
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Read what the program writes until a condition holds."""
        end = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < end and self._read(), self.lines

    def finish(self) -> int:
        """Read to the end, and return the exit code."""
        while self._read():
            pass
        return self.process.wait(TIMEOUT)

    def type(self, keys: bytes) -> None:
        """Send keys as the terminal does."""
        os.write(self._terminal, keys)

    def _read(self) -> bool:
        try:
            received = os.read(self._terminal, 65536)
        except OSError:  # the other side is closed
            return False
        self._stream.feed(received)
        return bool(received)

    def close(self) -> None:
        """End the program if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._terminal)


@pytest.fixture
def start() -> Iterator[Callable[..., Program]]:
    with contextlib.ExitStack() as stack:
        yield lambda *arguments, **settings: stack.enter_context(contextlib.closing(Program(*arguments, **settings)))


def test_text_stands_above_a_bar_that_goes_at_the_end(
    start: Callable[..., Program], long_talk: Path, lines: list[str]
) -> None:
    program = start(long_talk)
    program.wait_for(lambda: lines[0] in program.lines and " of 10:00  long.wav" in program.lines[-1])
    assert "━" in program.lines[-1] and not any("━" in line for line in program.lines[:-1])
    assert program.finish() == 0
    assert not any("━" in line or "long.wav" in line for line in program.lines)


def test_text_goes_to_a_file_while_the_bar_is_on_the_terminal(
    start: Callable[..., Program], long_talk: Path, lines: list[str], tmp_path: Path
) -> None:
    with (tmp_path / "out.txt").open("wb") as file:
        program = start(long_talk, output=file.fileno())
        program.wait_for(lambda: any("of 10:00  long.wav" in line for line in program.lines))
        program.wait_for(lambda: (tmp_path / "out.txt").stat().st_size > 0)
        program.type(b"\x03")
        assert program.finish() == 130
    text = (tmp_path / "out.txt").read_text()
    assert text.startswith(f"{lines[0]}\n") and "━" not in text
    assert not any(lines[0] in line for line in program.lines)


def test_ctrl_c_completes_the_text_and_tells_how_far_it_came(
    start: Callable[..., Program], long_talk: Path, lines: list[str], tmp_path: Path
) -> None:
    program = start(long_talk, "-o", tmp_path / "out.srt")
    program.wait_for(lambda: any(" of 10:00  long.wav" in line and "0:00 of" not in line for line in program.lines))
    program.type(b"\x03")
    assert program.finish() == 130
    screen = "".join(program.screen.display)  # the terminal wraps long lines
    assert "edgespeech: stopped at " in screen and " of 10:00 in " in screen and "up to there is complete" in screen
    assert lines[0].split()[0] in (tmp_path / "out.srt").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["out.srt"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_pipe_gets_each_segment_at_once(long_talk: Path, lines: list[str], number: int, code: int) -> None:
    command = [*COMMAND, str(long_talk)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert process.poll() is None
        process.send_signal(number)
        rest, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == code and first == f"{lines[0]}\n"
    assert (first + rest).endswith("\n") and not rest.endswith("\n\n")
    (line,) = err.splitlines()
    assert line.startswith("edgespeech: stopped at ") and " of 10:00 in " in line


def test_ctrl_c_while_standard_input_is_silent(lines: list[str], talk: Path) -> None:
    command = [*COMMAND, "-", "--raw", "s16le:16000:1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(talk.read_bytes()[44:])  # and then nothing, but no end
        process.stdin.flush()
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        code = process.wait(TIMEOUT)
        rest, err = process.stdout.read(), process.stderr.read() if process.stderr else b""
    assert code == 130 and (first + rest).decode().splitlines()[0] == lines[0]
    assert b"standard input; the text up to there is complete" in err
