"""The key that ends a segment, in real terminals: what it takes from them, and that it gives everything back."""

# ruff: noqa: D102  (the terminal does what its methods are called)

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgespeech.demo.live.keyboard import segment_key
from tests.demo.live.test_resizing import ROOT
from tests.demo.live.tmux import TIMEOUT, Tmux

WAITING = """
import sys, time
from edgespeech.demo.live.keyboard import segment_key
with segment_key(lambda: print("restored", flush=True)) as pressed:
    pressed()
    print("ready", flush=True)
    while True:
        if pressed():
            print("pressed", flush=True)
            {then}
        time.sleep(0.01)
"""


class Program:
    """A program in a terminal of its own."""

    def __init__(self, code: str) -> None:
        self.master, self.terminal = pty.openpty()
        self.before = termios.tcgetattr(self.terminal)
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=self.terminal,
            stdout=self.terminal,
            stderr=self.terminal,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            cwd=ROOT,
        )
        self.output = b""

    def until(self, text: bytes) -> None:
        """Read until the program has written a text."""
        end = time.monotonic() + TIMEOUT
        while text not in self.output:
            assert time.monotonic() < end, self.output
            self.output += os.read(self.master, 1000)

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        return self._process.wait(TIMEOUT)

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.terminal)[3] & termios.ECHO)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self.master)
        os.close(self.terminal)


@pytest.fixture
def start() -> Iterator[Callable[[str], Program]]:
    with contextlib.ExitStack() as stack:

        def run(code: str) -> Program:
            program = Program(code)
            stack.callback(program.close)
            program.until(b"ready")
            return program

        yield run


@pytest.mark.parametrize("key", [b" ", b"\r", b"\n", b"x \x1b[A"])
def test_enter_and_space_are_read_without_being_shown(start: Callable[[str], Program], key: bytes) -> None:
    program = start(WAITING.format(then="pass"))
    program.type(b"other keys: none".replace(b" ", b"_"))
    program.type(key)
    program.until(b"pressed")
    assert b"none" not in program.output and b"^[[A" not in program.output
    assert not program.echoes


@pytest.mark.parametrize(
    ("then", "leave", "code"),
    [
        ("break", lambda program: program.type(b" "), 0),
        ("raise ValueError", lambda program: program.type(b" "), 1),
        ("sys.exit(3)", lambda program: program.type(b" "), 3),
        ("", lambda program: program.type(b"\x03"), -signal.SIGINT),
        ("", lambda program: program.type(b"\x1c"), -signal.SIGQUIT),
        ("", lambda program: program.send(signal.SIGTERM), -signal.SIGTERM),
        ("", lambda program: program.send(signal.SIGHUP), -signal.SIGHUP),
    ],
    ids=["the end", "an exception", "exit", "Ctrl-C", "Ctrl-backslash", "SIGTERM", "SIGHUP"],
)
def test_the_terminal_is_restored_on_every_way_out(
    start: Callable[[str], Program], then: str, leave: Callable[[Program], Any], code: int
) -> None:
    program = start(WAITING.format(then=then or "pass"))
    assert not program.echoes
    leave(program)
    assert program.wait() == code
    assert termios.tcgetattr(program.terminal) == program.before
    if code < 0 and code != -signal.SIGINT:
        program.until(b"restored")


def test_without_a_terminal_nothing_is_read() -> None:
    with segment_key() as pressed:
        assert not pressed()  # the standard input of a test
    code = "from edgespeech.demo.live.keyboard import segment_key\nwith segment_key() as p: print(p())"
    for given in ({"input": "\n \n"}, {"stdin": subprocess.DEVNULL}):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, **given)
        assert done.stdout == "False\n"
    closed = subprocess.run(
        ["sh", "-c", f"{sys.executable} -c '{code}' <&-"], capture_output=True, text=True, check=True
    )
    assert closed.stdout == "False\n"


def test_a_shell_that_suspends_the_program_has_its_terminal(tmp_path: Path) -> None:
    """Ctrl-Z, a start in the background, and fg: the program is stopped by none but the first."""
    (tmp_path / "wait.py").write_text(WAITING.format(then="break"))
    terminal = Tmux(["bash", "--norc", "--noprofile", "-i"], 80, 24, {"PYTHONPATH": str(ROOT)})
    command = f"{sys.executable} {tmp_path / 'wait.py'}"

    def until(text: str, count: int = 1) -> None:
        end = time.monotonic() + TIMEOUT
        while "\n".join(terminal.lines).count(text) < count:
            assert time.monotonic() < end, terminal.lines
            time.sleep(0.05)

    try:
        terminal.type("-l", command + "\n")
        until("ready")
        terminal.type("C-z")
        until("restored")
        until("[1]+  Stopped")
        terminal.type("-l", "stty -a | grep -cw -- -echo\n")
        until("\n0\n")
        terminal.type("-l", "fg\n")
        terminal.type("Space")
        until("pressed")
        terminal.type("-l", f"{command} &\n")
        until("ready", 2)
        terminal.type("-l", "jobs\n")
        until("[1]+  Running")
        terminal.type("-l", "fg\n")
        terminal.type("Space")
        until("pressed", 2)
    finally:
        terminal.close()
