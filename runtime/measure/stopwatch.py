"""A stopwatch in front of a stage of the recognizer: the acoustic model or the decoder."""

from __future__ import annotations

import time
from typing import Any


class Stopwatch:
    """Passes everything on to a stage and adds up in ``seconds`` the time that its `step` and `finish` take."""

    def __init__(self, stage: Any) -> None:
        self._stage = stage
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stage, name)

    def step(self, *arguments: Any) -> Any:
        """Call the stage's `step` and add its time."""
        return self._timed(self._stage.step, *arguments)

    def finish(self, *arguments: Any) -> Any:
        """Call the stage's `finish` and add its time."""
        return self._timed(self._stage.finish, *arguments)

    def _timed(self, call: Any, *arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return call(*arguments)
        finally:
            self.seconds += time.perf_counter() - began
