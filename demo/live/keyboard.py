"""Keys that are read from the terminal without showing them, and without disturbing the terminal."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

KEYS = frozenset(b"\r\n ")
_LEAVING = ("SIGTERM", "SIGHUP", "SIGQUIT")  # signals that end the process unless somebody handles them


@contextlib.contextmanager
def segment_key(restore: Callable[[], None] = lambda: None) -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether Enter or space was pressed since its last call; see `pressed_keys`."""
    with pressed_keys(restore) as keys:
        yield lambda: not KEYS.isdisjoint(keys())


@contextlib.contextmanager
def pressed_keys(restore: Callable[[], None] = lambda: None) -> Iterator[Callable[[], bytes]]:
    """Yield a function that returns the keys pressed since its last call.

    There are none unless standard input is a terminal, and this process in its foreground. The settings of the terminal
    are restored at the end, before a signal ends or suspends the process, and while a shell has the terminal;
    ``restore`` is called too at these moments, except at the end.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        yield lambda: b""
    elif sys.platform == "win32":
        yield _pressed_on_windows
    else:
        keyboard = _Keyboard(sys.stdin.fileno(), restore)
        try:
            keyboard.begin()
            yield keyboard.pressed
        finally:
            keyboard.end()


def _pressed_on_windows() -> bytes:
    import msvcrt

    module: Any = msvcrt  # type checkers of other systems do not know its functions
    pressed = ""
    while module.kbhit():
        pressed += module.getwch()
    return pressed.encode(errors="replace")


class _Keyboard:
    """A terminal whose settings are changed while this process is in its foreground."""

    def __init__(self, descriptor: int, restore: Callable[[], None]) -> None:
        import termios

        self._termios, self._descriptor, self._restore = termios, descriptor, restore
        self._before: list[Any] | None = None
        self._handlers: dict[int, Any] = {}

    def begin(self) -> None:
        for name in (*_LEAVING, "SIGTSTP"):
            number = getattr(signal, name)
            with contextlib.suppress(ValueError):  # not on the main thread
                if signal.getsignal(number) is signal.SIG_DFL:
                    self._handlers[number] = signal.signal(number, self._leave)

    def pressed(self) -> bytes:
        """Return the keys that were pressed; take the terminal first if a shell has returned it."""
        try:
            if not self._is_in_foreground():
                self._before = None  # the shell restores its own settings
                return b""
            if self._termios.tcgetattr(self._descriptor)[3] & self._termios.ICANON:
                self._take()
            keys = b""
            while select.select([self._descriptor], [], [], 0.0)[0] and (read := os.read(self._descriptor, 1024)):
                keys += read
            return keys
        except (OSError, self._termios.error):  # the terminal is gone
            return b""

    def end(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._give_back()

    def _leave(self, number: int, frame: FrameType | None) -> None:
        """Restore the terminal, then let the signal do what it does by default; go on if that was to be suspended."""
        self._give_back()
        self._restore()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, self._leave)

    def _take(self) -> None:
        settings = self._termios.tcgetattr(self._descriptor)
        self._before = self._termios.tcgetattr(self._descriptor)
        settings[3] &= ~(self._termios.ICANON | self._termios.ECHO)
        self._termios.tcsetattr(self._descriptor, self._termios.TCSANOW, settings)

    def _give_back(self) -> None:
        before, self._before = self._before, None
        with contextlib.suppress(OSError, self._termios.error):
            if before is not None and self._is_in_foreground():
                self._termios.tcsetattr(self._descriptor, self._termios.TCSANOW, before)

    def _is_in_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:  # a terminal that controls no jobs
            return True
