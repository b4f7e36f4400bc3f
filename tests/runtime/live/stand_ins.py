"""A source, a recognizer and an output that tests of the live session make up."""

# ruff: noqa: D102, D105, D107  (what the stand-ins do is what the real things do)

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgespeech.demo.live.session import run_live
from edgespeech.runtime.decoder.hypothesis import Word
from edgespeech.runtime.live.outputs import Meter, Output, SaveFile
from edgespeech.runtime.live.sources import Block
from edgespeech.runtime.transcript import Event

RATE = 16000


def final(text: str, start: float = 1.0) -> Event:
    words = tuple(Word(word, start + i, start + i + 0.5, 0.9) for i, word in enumerate(text.split()))
    return Event("final", text, text, "", start, start + len(words), words, 12.0)


class Remembered(Output):
    """Keeps everything."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.sources: list[str] = []
        self.meters: list[Meter] = []
        self.closed = False

    def show(self, event: Event, source: str = "") -> None:
        self.events.append(event)
        self.sources.append(source)

    def measure(self, meter: Meter, source: str = "") -> None:
        self.meters.append(meter)

    def close(self) -> None:
        self.closed = True

    def texts(self, kind: str) -> list[str]:
        return [event.text for event in self.events if event.type == kind]


class Sounds:
    """A source of blocks that a test makes up; a callable among them is called when its turn comes."""

    sample_rate = RATE
    name = "test"
    description = "a test"

    def __init__(self, *steps: Any) -> None:
        self.steps = steps
        self.counted: dict[str, int] = {}
        self.given = 0
        self.stopped = False
        self.said: list[str] = []

    def __iter__(self) -> Iterator[Block]:
        for step in self.steps:
            if self.stopped:
                return
            if callable(step):
                step()
                continue
            self.given += 1
            yield Block(np.full(RATE, step, np.float32), 0.0)

    def remarks(self) -> list[str]:
        said, self.said = self.said, []
        return said

    def counts(self) -> dict[str, int]:
        return self.counted

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        self.stopped = True


class FakeRecognizer:
    """Every second block makes a final, the end makes the last one."""

    sample_rate = RATE

    def stream(self, sample_rate: int, fast_partials: bool) -> FakeStream:
        return FakeStream()


class FakeStream:
    """The stream of a `FakeRecognizer`."""

    def __init__(self) -> None:
        self.blocks = 0

    @property
    def seconds_processed(self) -> float:
        return float(self.blocks)

    def accept(self, samples: Any) -> list[Event]:
        self.blocks += 1
        if self.blocks % 2:
            return [Event("partial", "one t", "one", " t", latency_ms=5.0)]
        return [final(f"part {self.blocks // 2}", self.blocks)]

    def finish(self) -> list[Event]:
        return [final("the end", 9.0)]


def run(source: Any, output: Output | None = None, save: SaveFile | None = None) -> Any:
    output = output or Remembered()
    recognizer: Any = FakeRecognizer()
    run_live(recognizer, [source], output, save)
    return output
