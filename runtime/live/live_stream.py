"""One source of a live session with its recognition stream, and the output that all of them share."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from edgespeech.runtime.audio import resampling_delay
from edgespeech.runtime.live.latency import LatencyBreakdown, latency_budget
from edgespeech.runtime.live.outputs import Meter, Output
from edgespeech.runtime.live.recording import Recording, round_to_16_bits
from edgespeech.runtime.live.save_file import SaveFile
from edgespeech.runtime.live.sound_watch import SILENCE_DB, SoundWatch, level_db
from edgespeech.runtime.live.sources import Block, Source
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Event


@dataclass
class SharedOutput:
    """Passes the events of all sources to the output and the finals to the file; keeps the output's first error."""

    output: Output
    save: SaveFile | None = None
    error: OSError | None = None

    def save_final(self, event: Event, source: str) -> str:
        """Save a final and return a status message, if there is one."""
        return self.save.add(event, source) if self.save is not None else ""

    def show(self, event: Event, source: str) -> None:
        """Show an event, unless the output fails."""
        with self._keep_error():
            self.output.show(event, source)

    def show_meter(self, meter: Meter, source: str) -> None:
        """Show the state of a source, unless the output fails."""
        with self._keep_error():
            self.output.show_meter(meter, source)

    @contextlib.contextmanager
    def _keep_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = self.error or error


class LiveStream:
    """Passes the blocks of one source to a recognition stream, and its events to the output; see `run_session`.

    Every event is shown with ``name``, which is empty if there is only one source.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        source: Source,
        output: SharedOutput,
        *,
        name: str = "",
        recording: Recording | None = None,
        latency_report: bool = False,
        fast_partials: bool = True,
    ) -> None:
        self._recognizer, self._source, self._output, self._name = recognizer, source, output, name
        self._recording, self._fast_partials = recording, fast_partials
        self._latency = LatencyBreakdown() if latency_report else None
        self._watch = SoundWatch(source.sample_rate)
        self._stream = recognizer.stream(source.sample_rate, fast_partials)
        self._compute_seconds = 0.0
        self._chunk_seconds: list[float] = []
        self._held_seconds = 0.0  # inside the source's resampler
        self._mean_held_seconds, self._blocks = 0.0, 0
        self._is_quiet = False

    def process(self, block: Block) -> None:
        """Record, recognise and check one block, and show what comes of it."""
        samples = block.samples
        self._held_seconds = block.held_seconds
        self._blocks += 1
        self._mean_held_seconds += (block.held_seconds - self._mean_held_seconds) / self._blocks
        if self._recording is not None:
            samples = round_to_16_bits(samples)
            self._report_any(self._recording.add(samples))
        began = time.perf_counter()
        events = self._stream.accept(samples)
        self._count(time.perf_counter() - began, bool(events))
        waited_ms = max(0.0, began - block.arrived) * 1000.0
        self._deliver([replace(event, latency_ms=event.latency_ms + waited_ms) for event in events])
        for message in [*self._source.take_messages(), *self._watch.step(samples, block.absent)]:
            self.report(message)
        if not self._is_quiet and (message := self._stream.level_warning):
            self._is_quiet = True
            self.report(message)
        delay = max(0.0, time.perf_counter() - block.arrived)
        self._output.show_meter(self._meter(level_db(samples), delay), self._name)

    def finish(self) -> None:
        """Deliver the last final, and report totals and problems."""
        for message in self._source.take_messages():
            self.report(message)
        began = time.perf_counter()
        events = self._stream.finish()
        self._count(time.perf_counter() - began, False)
        self._deliver(events)
        meter = self._meter(SILENCE_DB, 0.0)
        problems = "".join(f", {problem}: {count}" for problem, count in meter.problems.items())
        self.report(f"end: {meter.audio_seconds:.1f} s of audio, real-time factor {meter.rtf:.3f}{problems}")
        for row in self._latency_rows():
            self.report(row)

    def report(self, message: str) -> None:
        """Show a message as a status event."""
        now = self._stream.seconds_processed
        self._output.show(Event("status", message, start=now, end=now), self._name)

    def _report_any(self, message: str) -> None:
        if message:
            self.report(message)

    def _deliver(self, events: list[Event]) -> None:
        for event in events:
            if self._latency is not None:
                self._latency.step(event, self._stream.seconds_processed + self._held_seconds)
            message = self._output.save_final(event, self._name) if event.type == "final" else ""
            self._output.show(event, self._name)
            self._report_any(message)

    def _count(self, seconds: float, gave_events: bool) -> None:
        self._compute_seconds += seconds
        if self._latency is not None and gave_events:  # most other blocks only wait for their chunk
            self._chunk_seconds.append(seconds)

    def _meter(self, level: float, delay: float) -> Meter:
        counts = {"clipped": self._watch.clipped_blocks, **self._source.counts()}
        problems = {problem: count for problem, count in counts.items() if count}
        return Meter(level, self._stream.seconds_processed, self._compute_seconds, delay, problems)

    def _latency_rows(self) -> list[str]:
        if self._latency is None:
            return []
        compute = float(np.median(self._chunk_seconds)) if self._chunk_seconds else None
        parts = self._recognizer.parts
        budget = latency_budget(
            parts.audio,
            parts.chunk_samples,
            compute,
            parts.endpointer.rules.endpoint_seconds,
            self._fast_partials,
            resampling_delay(self._source.sample_rate, parts.audio.sample_rate) + self._mean_held_seconds,
        )
        return ["latency of a word, from the end of its sound:", *budget.rows(), *self._latency.rows()]
