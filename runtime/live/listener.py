"""One source of a live session: its stream, what is heard of it, and where that goes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from edgespeech.runtime.live.latency import Ledger, budget
from edgespeech.runtime.live.outputs import Meter, Output, SaveFile
from edgespeech.runtime.live.recording import Recording, as_recorded
from edgespeech.runtime.live.sound_watch import SILENCE, SoundWatch, level
from edgespeech.runtime.live.sources import Block, Source
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Event


@dataclass
class Outlets:
    """Where the events of all sources of a session go.

    Attributes:
        output: Gets everything.
        save: Gets the finals, each before it is shown.
        broken: What the output failed with, if it did.
    """

    output: Output
    save: SaveFile | None = None
    broken: OSError | None = None

    def final(self, event: Event, source: str) -> str:
        """Save a final; the remark that this calls for, if any."""
        return self.save.add(event, source) if self.save is not None else ""

    def show(self, event: Event, source: str) -> None:
        """Show anything."""
        with self._output_may_fail():
            self.output.show(event, source)

    def measure(self, meter: Meter, source: str) -> None:
        """Show the state of a source."""
        with self._output_may_fail():
            self.output.measure(meter, source)

    @contextlib.contextmanager
    def _output_may_fail(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.broken = self.broken or error


class Listener:
    """Passes the blocks of one source to a stream, and its events on.

    Args:
        recognizer: Gives the stream.
        source: Open.
        outlets: Shared by all sources.
        name: Shown with every event; empty if there is one source only.
        recording: Gets the sound, as it is heard.
        ledger: Whether to measure delays and to show them at the end.
        fast_partials: As for `Recognizer.stream`.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        source: Source,
        outlets: Outlets,
        *,
        name: str = "",
        recording: Recording | None = None,
        ledger: bool = False,
        fast_partials: bool = True,
    ) -> None:
        """Begin a stream."""
        self._recognizer, self._source, self._outlets, self._name = recognizer, source, outlets, name
        self._recording, self._fast_partials = recording, fast_partials
        self._ledger = Ledger() if ledger else None
        self._watch = SoundWatch(source.sample_rate)
        self._stream = recognizer.stream(source.sample_rate, fast_partials)
        self._busy = 0.0
        self._chunk_times: list[float] = []

    def hear(self, block: Block) -> None:
        """Everything there is to do about a block."""
        samples = block.samples
        if self._recording is not None:
            samples = as_recorded(samples)
            self._remark_if(self._recording.add(samples))
        began = time.perf_counter()
        events = self._stream.accept(samples)
        self._count(time.perf_counter() - began, bool(events))
        waited_ms = max(0.0, began - block.arrived) * 1000.0
        self._deliver([replace(event, latency_ms=event.latency_ms + waited_ms) for event in events])
        for text in [*self._source.remarks(), *self._watch.step(samples, block.absent)]:
            self.remark(text)
        behind = max(0.0, time.perf_counter() - block.arrived)
        self._outlets.measure(self._meter(level(samples), behind), self._name)

    def finish(self) -> None:
        """Get the last final, and say how it went."""
        for text in self._source.remarks():
            self.remark(text)
        began = time.perf_counter()
        events = self._stream.finish()
        self._count(time.perf_counter() - began, False)
        self._deliver(events)
        meter = self._meter(SILENCE, 0.0)
        troubles = "".join(f", {what}: {count}" for what, count in meter.troubles.items())
        self.remark(f"end: {meter.heard:.1f} s heard, real-time factor {meter.rtf:.3f}{troubles}")
        for row in self._ledger_rows():
            self.remark(row)

    def remark(self, text: str) -> None:
        """Say something that is not speech."""
        now = self._stream.seconds_processed
        self._outlets.show(Event("status", text, start=now, end=now), self._name)

    def _remark_if(self, text: str) -> None:
        if text:
            self.remark(text)

    def _deliver(self, events: list[Event]) -> None:
        for event in events:
            if self._ledger is not None:
                self._ledger.step(event, self._stream.seconds_processed)
            remark = self._outlets.final(event, self._name) if event.type == "final" else ""
            self._outlets.show(event, self._name)
            self._remark_if(remark)

    def _count(self, seconds: float, said_something: bool) -> None:
        self._busy += seconds
        if self._ledger is not None and said_something:  # most other blocks only wait for their chunk
            self._chunk_times.append(seconds)

    def _meter(self, block_level: float, behind: float) -> Meter:
        counts = {"clipped": self._watch.clipped_blocks, **self._source.counts()}
        troubles = {what: count for what, count in counts.items() if count}
        return Meter(block_level, self._stream.seconds_processed, self._busy, behind, troubles)

    def _ledger_rows(self) -> list[str]:
        if self._ledger is None:
            return []
        recognizer = self._recognizer
        compute = float(np.median(self._chunk_times)) if self._chunk_times else None
        endpoint = recognizer.parts.endpointer.rules.after_speech
        facts, size = recognizer.bundle.manifest.audio, recognizer.chunk_samples
        parts = budget(facts, size, compute, endpoint, self._fast_partials)
        return ["latency of a word, from the end of its sound:", *parts.rows(), *self._ledger.rows()]
