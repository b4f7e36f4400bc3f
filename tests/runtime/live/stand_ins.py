"""A source, a recognizer and an output without audio, for tests of live sessions."""

# ruff: noqa: D102  (the stand-ins do what the real things do)

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from edgespeech.runtime.decoder.hypothesis import Word
from edgespeech.runtime.live.outputs import Meter, Output
from edgespeech.runtime.live.save_file import SaveFile
from edgespeech.runtime.live.session import Controls, run_session
from edgespeech.runtime.live.sources import Block
from edgespeech.runtime.transcript import Event

RATE = 16000


def final(text: str, start: float = 1.0) -> Event:
    words = tuple(Word(word, start + i, start + i + 0.5, 0.9) for i, word in enumerate(text.split()))
    return Event("final", text, text, "", start, start + len(words), words, 12.0)


class CollectingOutput(Output):
    """Keeps all events and meters."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.sources: list[str] = []
        self.meters: list[Meter] = []
        self.closed = False

    def show(self, event: Event, source: str = "") -> None:
        self.events.append(event)
        self.sources.append(source)

    def show_meter(self, meter: Meter, source: str = "") -> None:
        self.meters.append(meter)

    def close(self) -> None:
        self.closed = True

    def texts(self, kind: str) -> list[str]:
        return [event.text for event in self.events if event.type == kind]


class FakeSource:
    """Gives one second of constant audio per value; a callable among the values is called in its turn."""

    sample_rate = RATE
    name = "test"
    description = "a test"
    device_seconds: float | None = None
    is_microphone = True

    def __init__(self, *steps: Any) -> None:
        self.steps = steps
        self.problem_counts: dict[str, int] = {}
        self.given = 0
        self.stopped = False
        self.messages: list[str] = []
        self.arrives: Callable[[], float] = lambda: 0.0

    def __iter__(self) -> Iterator[Block]:
        for step in self.steps:
            if self.stopped:
                return
            if callable(step):
                step()
                continue
            self.given += 1
            yield Block(np.full(RATE, step, np.float32), self.arrives())

    def take_messages(self) -> list[str]:
        messages, self.messages = self.messages, []
        return messages

    def counts(self) -> dict[str, int]:
        return self.problem_counts

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        self.stopped = True


class FakeRecognizer:
    """Makes a final of every second block and a last one at the end."""

    sample_rate = RATE

    def stream(self, sample_rate: int, fast_partials: bool) -> FakeStream:
        return FakeStream()


class FakeStream:
    """The stream of a `FakeRecognizer`."""

    level_warning = ""
    seconds_to_step = 0.0

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

    def end_segment(self) -> list[Event]:
        return [final(f"cut after {self.blocks}", self.blocks)]

    def finish(self) -> list[Event]:
        return [final("the end", 9.0)]


def run(source: Any, output: Output | None = None, save: SaveFile | None = None) -> Any:
    """Run a session with signal handling and return its output."""
    output = output or CollectingOutput()
    recognizer: Any = FakeRecognizer()
    run_session(recognizer, [source], output, save=save, controls=Controls(signals=True))
    return output
