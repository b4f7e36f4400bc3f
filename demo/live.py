"""A live session: one source of sound, one stream of the recognizer, and what is heard, shown and saved as it comes."""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgespeech.demo.live_output import Meter, Output, SaveFile, abandon_standard_output
from edgespeech.demo.live_screen import choose_output
from edgespeech.demo.live_source import Block, Replay, Source
from edgespeech.demo.microphone import MicrophoneSource
from edgespeech.errors import AudioError, DeviceError, EdgespeechError, UsageError
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Event

SILENCE = -90.0  # dB


def live(
    recognizer: Recognizer,
    *,
    device: str | int | None = None,
    replay: str | Path | None = None,
    speed: float = 1.0,
    as_json: bool = False,
    save: str | Path | None = None,
) -> None:
    """Transcribe a microphone, or a recording as if it came from one, on standard output; `run_live` with its parts.

    Args:
        recognizer: Loaded.
        device: Part of a microphone's name, or its index; None for the default one.
        replay: A recording to hear instead.
        speed: Of the replay; 0 is as fast as possible.
        as_json: One line of JSON per event, instead of a live view on terminals and plain lines elsewhere.
        save: File for the finals.

    Raises:
        UsageError: Options that clash or are out of range, or a file to save to that does not do.
        DeviceError: The microphone is missing or does not open.
        MissingDependencyError: A microphone needs a library that is not installed.
        AudioError: The recording cannot be heard.
    """
    if device is not None and replay is not None:
        raise UsageError("--device and --replay exclude each other: a replay is heard instead of a microphone")
    source = (
        MicrophoneSource(device, recognizer.sample_rate)
        if replay is None
        else Replay(replay, recognizer.sample_rate, speed)
    )
    with contextlib.closing(source):
        save_file = None if save is None else SaveFile(save)
        run_live(recognizer, source, choose_output(as_json), save_file)


def run_live(recognizer: Recognizer, source: Source, output: Output, save: SaveFile | None = None) -> None:
    """Listen until the source ends, somebody interrupts, or nobody reads any more; close the outputs then.

    SIGINT (Ctrl-C), SIGTERM and SIGHUP end the session properly: what was said becomes a last final. A second signal
    has its usual effect.

    Args:
        recognizer: Gives the stream.
        source: Open.
        output: Gets every event, status included.
        save: Gets the finals, each before it is shown.

    Raises:
        AudioError: The source turned out to be damaged; what came before it has become a final.
        DeviceError: Likewise for a device.
        EdgespeechError: Standard output cannot be written, for another reason than that its reader has left.
    """
    session = _Session(recognizer, source, output, save)
    failure: EdgespeechError | None = None
    with contextlib.ExitStack() as stack:
        stack.callback(output.close)
        stack.enter_context(_ends_on_signals(source.stop))
        session.remark(source.description)
        try:
            for block in source:
                session.hear(block)
        except (AudioError, DeviceError) as error:
            failure = error
        session.finish()
    if failure is not None:
        raise failure
    session.complain()


class _Session:
    """Passes blocks to the stream and its events on."""

    def __init__(self, recognizer: Recognizer, source: Source, output: Output, save: SaveFile | None) -> None:
        self._source, self._output, self._save = source, output, save
        self._stream = recognizer.stream(source.sample_rate)
        self._busy = 0.0
        self._broken: OSError | None = None

    def hear(self, block: Block) -> None:
        """Everything there is to do about a block."""
        began = time.perf_counter()
        events = self._stream.accept(block.samples)
        self._busy += time.perf_counter() - began
        waited_ms = max(0.0, began - block.arrived) * 1000.0
        self._deliver([replace(event, latency_ms=event.latency_ms + waited_ms) for event in events])
        self._remark_on_source()
        behind = max(0.0, time.perf_counter() - block.arrived)
        with self._output_may_fail():
            self._output.measure(self._meter(level(block.samples), behind))

    def finish(self) -> None:
        """Get the last final, and say how it went."""
        self._remark_on_source()
        began = time.perf_counter()
        events = self._stream.finish()
        self._busy += time.perf_counter() - began
        self._deliver(events)
        if self._save is not None and (remark := self._save.close()):
            self.remark(remark)
        meter = self._meter(SILENCE, 0.0)
        self.remark(f"end: {meter.heard:.1f} s heard, real-time factor {meter.rtf:.3f}")

    def remark(self, text: str) -> None:
        """Say something that is not speech."""
        now = self._stream.seconds_heard
        self._show(Event("status", text, start=now, end=now))

    def complain(self) -> None:
        """Raise if the output failed, unless its reader has only left, as ``head`` does."""
        if self._broken is None:
            return
        abandon_standard_output()
        if not isinstance(self._broken, BrokenPipeError):
            raise EdgespeechError(f"standard output cannot be written: {self._broken.strerror}; send it elsewhere")

    def _remark_on_source(self) -> None:
        for text in self._source.remarks():
            self.remark(text)

    def _deliver(self, events: list[Event]) -> None:
        for event in events:
            remark = self._save.add(event) if self._save is not None and event.type == "final" else ""
            self._show(event)
            if remark:
                self.remark(remark)

    def _meter(self, block_level: float, behind: float) -> Meter:
        return Meter(block_level, self._stream.seconds_heard, self._busy, behind)

    def _show(self, event: Event) -> None:
        with self._output_may_fail():
            self._output.show(event)

    @contextlib.contextmanager
    def _output_may_fail(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._broken = self._broken or error
            self._source.stop()


def level(samples: NDArray[np.float32]) -> float:
    """Root mean square of float32 [n] in dB below full scale, at least -90."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return max(SILENCE, 10.0 * math.log10(power)) if power else SILENCE


@contextlib.contextmanager
def _ends_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first signal of each kind call ``stop``; outside of the main thread signals are not ours to take."""
    before: dict[int, Any] = {}

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(number, before[number])
        stop()

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is None or (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):
            continue  # nohup says that a lost terminal is no reason to end
        with contextlib.suppress(ValueError):
            before[number] = signal.getsignal(number) or signal.SIG_DFL
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            with contextlib.suppress(ValueError):
                signal.signal(number, handler)
