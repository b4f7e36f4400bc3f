"""Ctrl-C while recordings are read: the audio ends there, and what was read becomes text."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, TypeVar

Item = TypeVar("Item")


class Interruption:
    """Catches the first SIGINT, SIGTERM or SIGHUP while it is used as a context manager; a second ends the program.

    Attributes:
        signal: Number of the signal that came; None before.
        cut: Whether a source was ended before its end.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.cut = False
        self._reading = False
        self._before: dict[int, Any] = {}

    @property
    def exit_code(self) -> int:
        """The exit code that a shell expects of a program that the signal ended."""
        return 128 + (self.signal or signal.SIGINT)

    def __enter__(self) -> Interruption:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is None or signal.getsignal(number) is signal.SIG_IGN:
                continue  # as after nohup
            with suppress(ValueError):  # outside of the main thread
                self._before[number] = signal.signal(number, self._handle) or signal.SIG_DFL
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        signal.signal(number, self._before[number])
        self.signal = number
        if self._reading:  # a pipe may be silent for ever
            raise KeyboardInterrupt

    def guard(self, source: Iterable[Item]) -> Iterator[Item]:
        """Yield the items of a source until a signal comes, also while the source waits for its next item."""
        iterator = iter(source)
        while True:
            try:
                self._reading = True
                if self.signal is not None:
                    self.cut = True
                    return
                item = next(iterator)
            except StopIteration:
                return
            except KeyboardInterrupt:
                if self.signal is None:
                    raise
                self.cut = True
                return
            finally:
                self._reading = False
            yield item
