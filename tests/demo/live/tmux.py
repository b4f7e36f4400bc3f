"""A terminal that wraps its lines again when it is resized: tmux, without a window."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

TIMEOUT = 60.0  # seconds
_END = "exit code "


class Tmux:
    """A terminal in which one program runs; the test is skipped where tmux is not installed."""

    def __init__(self, command: Sequence[str], columns: int, rows: int, environment: Mapping[str, str] | None = None):
        if shutil.which("tmux") is None:
            pytest.skip("tmux is not installed: apt-get install tmux")
        self._folder = Path(tempfile.mkdtemp(prefix="tmux"))
        (self._folder / "conf").write_text("set -g history-limit 50000\nset -g status off\n")
        self._environment = {**os.environ, **(environment or {}), "TMUX_TMPDIR": str(self._folder), "LC_ALL": "C.UTF-8"}
        for name in ("TMUX", "NO_COLOR", "COLUMNS", "LINES"):
            self._environment.pop(name, None)
        size = ["-x", str(columns), "-y", str(rows)]
        self._run(
            "-f",
            str(self._folder / "conf"),
            "new-session",
            "-d",
            *size,
            f"{shlex.join(command)}; printf '{_END}%s' $?; exec cat",
        )

    def resize(self, columns: int, rows: int) -> None:
        """Change the size as a user who drags the window's border does."""
        self._run("resize-window", "-x", str(columns), "-y", str(rows))

    def type(self, *keys: str) -> None:
        """Press keys, by tmux's names for them."""
        self._run("send-keys", *keys)

    @property
    def rows(self) -> list[str]:
        """Rows of the scroll-back and of the screen, as they are wrapped now."""
        return self._run("capture-pane", "-p", "-S", "-").rstrip("\n").split("\n")

    @property
    def lines(self) -> list[str]:
        """The same as lines: what only the terminal has wrapped is put together."""
        return [line.rstrip() for line in self._run("capture-pane", "-p", "-J", "-S", "-").rstrip("\n").split("\n")]

    def ask(self, name: str) -> str:
        """Return a variable of the terminal, such as ``cursor_flag``."""
        return self._run("display-message", "-p", f"#{{{name}}}").strip()

    def wait(self) -> tuple[int, list[str]]:
        """Wait until the program has ended, and return its exit code and the lines that it left."""
        end = time.monotonic() + TIMEOUT
        while not self.lines[-1].startswith(_END):
            assert time.monotonic() < end, self.rows
            time.sleep(0.05)
        *lines, ending = self.lines
        return int(ending.removeprefix(_END)), lines

    def close(self) -> None:
        """End the terminal, and with it the program."""
        subprocess.run(["tmux", "kill-server"], env=self._environment, capture_output=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, *words: str) -> str:
        done = subprocess.run(["tmux", *words], env=self._environment, capture_output=True, text=True, timeout=TIMEOUT)
        assert done.returncode == 0, done.stderr
        return done.stdout
