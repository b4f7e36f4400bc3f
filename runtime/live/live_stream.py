"""One source of a live session with its recognition stream, and the output that all of them share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgespeech.runtime.audio import resampling_delay
from edgespeech.runtime.live.latency import LATENCY, LatencyBreakdown, latency_budget
from edgespeech.runtime.live.outputs import Meter, Output
from edgespeech.runtime.live.recording import Recording, round_to_16_bits
from edgespeech.runtime.live.save_file import SaveFile
from edgespeech.runtime.live.sound_watch import SILENCE_DB, SoundWatch, level_db
from edgespeech.runtime.live.sources import Block, Source
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Event

_ROUNDING = 1e-6  # seconds
_CHECK_SECONDS = 0.1  # of audio between two looks at its level; memory and caches are cold after each wait for a block


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
        try:
            self.output.show(event, source)
        except OSError as error:
            self.error = self.error or error

    def show_meter(self, meter: Meter, source: str) -> None:
        """Show the state of a source, unless the output fails."""
        try:
            self.output.show_meter(meter, source)
        except OSError as error:
            self.error = self.error or error


class LiveStream:
    """Passes the blocks of one source to a recognition stream, and its events to the output; see `run_session`.

    Every event is shown with ``name``, which is empty if there is only one source. The stream gets audio when it
    completes a chunk of the model, as more calls would only cost time.
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
        self._latency, self._latency_report = LatencyBreakdown(), latency_report
        self._watch = SoundWatch(source.sample_rate, source.is_microphone)
        self._stream = recognizer.stream(source.sample_rate, fast_partials)
        self._gathered: list[NDArray[np.float32]] = []  # audio that does not complete a chunk of the model
        self._gathered_seconds = self._seconds_to_step = 0.0
        self._unchecked: list[tuple[NDArray[np.float32], bool]] = []  # samples, and whether the device was gone
        self._unchecked_seconds = 0.0
        meter_seconds = output.output.meter_seconds
        self._shows_meter = meter_seconds is not None
        self._check_seconds = _CHECK_SECONDS if meter_seconds is None else meter_seconds
        self._compute_seconds = 0.0
        self._chunk_seconds: list[float] = []
        self._held_seconds = 0.0  # inside the source's resampler
        self._mean_held_seconds, self._blocks = 0.0, 0
        self._is_quiet = False

    def process(self, block: Block) -> None:
        """Record, recognise and check one block, and show what comes of it."""
        samples = block.samples
        seconds = len(samples) / self._source.sample_rate
        self._held_seconds = block.held_seconds
        self._blocks += 1
        self._mean_held_seconds += (block.held_seconds - self._mean_held_seconds) / self._blocks
        if self._recording is not None:
            samples = round_to_16_bits(samples)
            self._report_any(self._recording.add(samples))
        self._gathered.append(samples)
        self._gathered_seconds += seconds
        if self._gathered_seconds + _ROUNDING >= self._seconds_to_step:
            self._recognise(block.arrived)
        for message in self._source.take_messages():
            self.report(message)
        self._unchecked.append((samples, block.absent))
        self._unchecked_seconds += seconds
        if self._unchecked_seconds + _ROUNDING >= self._check_seconds:
            self._check(block.arrived)

    def _recognise(self, arrived: float) -> None:
        began = time.perf_counter()
        events = self._accept()
        seconds = time.perf_counter() - began
        self._compute_seconds += seconds
        if self._latency_report and events:
            self._chunk_seconds.append(seconds)
        waited_ms = max(0.0, began - arrived) * 1000.0
        self._deliver([replace(event, latency_ms=event.latency_ms + waited_ms) for event in events])

    def _check(self, arrived: float) -> None:
        """Check the blocks since the last check, the last of which has just arrived, and show the highest level."""
        blocks, self._unchecked, self._unchecked_seconds = self._unchecked, [], 0.0
        for samples, absent in blocks:
            for message in self._watch.step(samples, absent):
                self.report(message)
        if not self._is_quiet and (message := self._stream.level_warning):
            self._is_quiet = True
            self.report(message)
        if self._shows_meter and blocks:
            delay = max(0.0, time.perf_counter() - arrived)
            level = max(level_db(samples) for samples, _ in blocks)
            self._output.show_meter(self._meter(level, delay), self._name)

    def end_segment(self) -> None:
        """Make what was said so far a final, and go on with the next segment."""
        self._end(self._stream.end_segment)

    def finish(self) -> None:
        """Deliver the last final, and report totals and problems."""
        for message in self._source.take_messages():
            self.report(message)
        self._check(time.perf_counter())
        self._end(self._stream.finish)
        meter = self._meter(SILENCE_DB, 0.0)
        problems = "".join(f", {problem}: {count}" for problem, count in meter.problems.items())
        self.report(f"end: {meter.audio_seconds:.1f} s of audio, real-time factor {meter.rtf:.3f}{problems}")
        for row in self._latency_rows():
            self.report(row)

    @property
    def _seconds(self) -> float:
        return self._stream.seconds_processed + self._gathered_seconds

    def report(self, message: str) -> None:
        """Show a message as a status event."""
        now = self._seconds
        self._output.show(Event("status", message, start=now, end=now), self._name)

    def _report_any(self, message: str) -> None:
        if message:
            self.report(message)

    def _accept(self) -> list[Event]:
        samples = np.concatenate(self._gathered)
        self._gathered.clear()
        self._gathered_seconds = 0.0
        events = self._stream.accept(samples)
        self._seconds_to_step = self._stream.seconds_to_step
        return events

    def _end(self, step: Callable[[], list[Event]]) -> None:
        began = time.perf_counter()
        events = [*(self._accept() if self._gathered else []), *step()]
        self._compute_seconds += time.perf_counter() - began
        self._deliver(events)

    def _deliver(self, events: list[Event]) -> None:
        spoken = self._stream.seconds_processed + self._held_seconds
        for event in events:
            if event.type == "final":
                event = replace(event, word_latency_ms=self._latency.step(event, spoken))
                message = self._output.save_final(event, self._name)
                self._output.show(event, self._name)
                self._report_any(message)
            else:
                began = time.perf_counter()
                self._output.show(event, self._name)
                shown_ms = (time.perf_counter() - began) * 1000.0
                self._latency.step(replace(event, latency_ms=event.latency_ms + shown_ms), spoken)

    def _meter(self, level: float, delay: float) -> Meter:
        counts = {"clipped": self._watch.clipped_blocks, **self._source.counts()}
        problems = {problem: count for problem, count in counts.items() if count}
        return Meter(level, self._seconds, self._compute_seconds, delay, problems)

    def _latency_rows(self) -> list[str]:
        if not self._latency_report:
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
            self._source.device_seconds,
        )
        return [f"{LATENCY}:", *budget.rows(), *self._latency.rows()]
