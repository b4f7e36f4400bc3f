"""A kind that is at fault on purpose: what a campaign must notice and survive."""

from __future__ import annotations

import os
from random import Random

from edgespeech.errors import UsageError
from tests.fuzz.kind import Kind

ACTIONS = ("accept", "accept", "refuse", "refuse", "raise", "refuse without words", "end", "hang")


class Faulty(Kind[str]):
    """Accepts, refuses, raises, ends the process or hangs."""

    def make(self, chance: Random) -> str:
        """Choose; the first three inputs, which warm a worker up, are accepted."""
        self._made = getattr(self, "_made", 0) + 1
        return chance.choice(ACTIONS) if self._made > 3 else "accept"

    def run(self, given: str) -> None:
        """Do what was chosen."""
        if given == "refuse":
            raise UsageError("no; give another")
        if given == "raise":
            raise KeyError("a traceback")
        if given == "refuse without words":
            raise UsageError("")
        if given == "end":
            os._exit(7)
        while given == "hang":
            pass
