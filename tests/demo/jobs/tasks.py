"""Tasks for the tests of workers, which must be importable in them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from edgespeech.errors import AudioError, BundleError


@dataclass(frozen=True)
class Shout:
    """Makes words upper case; some words fail, end the worker, or end it once."""

    marks: str = ""

    def open(self) -> Callable[[str], str]:
        """Return what makes a word upper case."""
        if self.marks == "closed":
            raise BundleError("no bundle here; give another")

        def shout(word: str) -> str:
            if word == "bad":
                raise AudioError("bad word; give another")
            if word == "bug":
                raise KeyError("nobody expected this")
            if word == "deadly" or (word == "deadly once" and self._first(word)):
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.01)
            return f"{word.upper()} {os.getpid()}"

        return shout

    def _first(self, word: str) -> bool:
        try:
            os.close(os.open(os.path.join(self.marks, word), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True
