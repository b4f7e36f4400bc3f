"""A live session: sources of sound, a stream of the recognizer for each, and what ends it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from edgespeech.demo.live.screen import choose_output
from edgespeech.errors import AudioError, DeviceError, EdgespeechError, UsageError
from edgespeech.runtime.live.listener import Listener, Outlets
from edgespeech.runtime.live.microphone import no_native_messages
from edgespeech.runtime.live.microphone_source import MicrophoneSource
from edgespeech.runtime.live.outputs import Output, SaveFile, abandon_standard_output
from edgespeech.runtime.live.recording import Recording
from edgespeech.runtime.live.sources import Replay, Source, arrivals
from edgespeech.runtime.recognizer import Recognizer


def live(
    recognizer: Recognizer,
    *,
    devices: Sequence[str | int] = (),
    replays: Sequence[str | Path] = (),
    speed: float = 1.0,
    rate: int | None = None,
    as_json: bool = False,
    save: str | Path | None = None,
    record: str | Path | None = None,
    ledger: bool = False,
    fast_partials: bool = True,
) -> None:
    """Transcribe microphones, or recordings as if they came from one, on standard output; `run_live` with its parts.

    Args:
        recognizer: Loaded.
        devices: Parts of microphones' names, or their indices; none for the default one.
        replays: Recordings to hear instead.
        speed: Of the replays; 0 is as fast as possible.
        rate: Hertz to open microphones at; None for their own.
        as_json: One line of JSON per event, instead of a live view on terminals and plain lines elsewhere.
        save: File for the finals.
        record: File for the sound.
        ledger: Whether to measure the latency and show its parts at the end.
        fast_partials: As for `Recognizer.stream`.

    Raises:
        UsageError: Options that clash or are out of range, or a file to write that does not do.
        DeviceError: A microphone is missing or does not open.
        MissingDependencyError: A microphone needs a library that is not installed.
        AudioError: A recording cannot be heard.
    """
    if devices and replays:
        raise UsageError("--device and --replay exclude each other: a replay is heard instead of a microphone")
    if rate is not None and replays:
        raise UsageError("--rate and --replay exclude each other: a recording has a rate of its own")
    if record is not None and len(devices) + len(replays) > 1:
        raise UsageError("--record takes one source; start a second `edgespeech live` to record another")
    with contextlib.ExitStack() as stack:
        if not replays:
            stack.enter_context(no_native_messages())
        sources: list[Source] = []
        for make in _makers(recognizer.sample_rate, devices, replays, speed, rate):
            sources.append(stack.enter_context(contextlib.closing(make())))
        recording = None
        if record is not None:
            recording = stack.enter_context(contextlib.closing(Recording(record, recognizer.sample_rate)))
        save_file = None if save is None else SaveFile(save)
        run_live(recognizer, sources, choose_output(as_json), save_file, recording, ledger, fast_partials)


def run_live(
    recognizer: Recognizer,
    sources: Sequence[Source],
    output: Output,
    save: SaveFile | None = None,
    recording: Recording | None = None,
    ledger: bool = False,
    fast_partials: bool = True,
) -> None:
    """Listen until the sources end, somebody interrupts, or nobody reads any more; close the outputs then.

    SIGINT (Ctrl-C), SIGTERM and SIGHUP end the session properly: what was said becomes a last final. A second signal
    has its usual effect.

    Args:
        recognizer: Gives a stream for each source.
        sources: Open.
        output: Gets every event, status included.
        save: Gets the finals, each before it is shown.
        recording: Gets the sound, if there is one source.
        ledger: Whether to measure the latency and show its parts at the end.
        fast_partials: As for `Recognizer.stream`.

    Raises:
        AudioError: A source turned out to be damaged; what came before it has become a final.
        DeviceError: Likewise for a device.
        EdgespeechError: Standard output cannot be written, for another reason than that its reader has left.
    """
    outlets = Outlets(output, save)
    names = _names(sources)
    listeners = [
        Listener(
            recognizer,
            source,
            outlets,
            name=name,
            recording=recording,
            ledger=ledger,
            fast_partials=fast_partials,
        )
        for source, name in zip(sources, names, strict=True)
    ]
    failure: EdgespeechError | None = None

    def stop() -> None:
        for source in sources:
            source.stop()

    with contextlib.ExitStack() as stack:
        stack.callback(output.close)
        stack.enter_context(_ends_on_signals(stop))
        for listener, source in zip(listeners, sources, strict=True):
            listener.remark(source.description)
        try:
            with contextlib.closing(arrivals(sources)) as blocks:
                for number, block in blocks:
                    listeners[number].hear(block)
                    if outlets.broken is not None:
                        stop()
        except (AudioError, DeviceError) as error:
            failure = error
        for listener in listeners:
            listener.finish()
        if save is not None and (remark := save.close()):
            listeners[0].remark(remark)
    if failure is not None:
        raise failure
    _complain(outlets.broken)


def _makers(
    sample_rate: int, devices: Sequence[str | int], replays: Sequence[str | Path], speed: float, rate: int | None
) -> list[Callable[[], Source]]:
    if replays:
        return [partial(Replay, path, sample_rate, speed) for path in replays]
    return [partial(MicrophoneSource, device, sample_rate, rate) for device in devices or (None,)]


def _names(sources: Sequence[Source]) -> list[str]:
    """What tells sources apart: nothing for a single one, numbers for those of one name."""
    if len(sources) == 1:
        return [""]
    names = [source.name for source in sources]
    return [name if names.count(name) == 1 else f"{name} {number}" for number, name in enumerate(names, 1)]


def _complain(broken: OSError | None) -> None:
    """Raise if the output failed, unless its reader has only left, as ``head`` does."""
    if broken is None:
        return
    abandon_standard_output()
    if not isinstance(broken, BrokenPipeError):
        raise EdgespeechError(f"standard output cannot be written: {broken.strerror}; send it elsewhere")


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
