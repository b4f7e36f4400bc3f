"""A live session: sources of audio, a recognition stream for each, and what ends it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from edgespeech.errors import AudioError, DeviceError, EdgespeechError
from edgespeech.runtime.audio import EACH, RawFormat, may_be_raw, parse_channel
from edgespeech.runtime.live.captions import CaptionedOutput, Captions
from edgespeech.runtime.live.channel_sources import split_channels
from edgespeech.runtime.live.device_source import DeviceSource
from edgespeech.runtime.live.live_stream import LiveStream, SharedOutput
from edgespeech.runtime.live.mixed_source import MixedSource
from edgespeech.runtime.live.outputs import Output
from edgespeech.runtime.live.recording import Recording
from edgespeech.runtime.live.request import LiveRequest
from edgespeech.runtime.live.save_file import SaveFile
from edgespeech.runtime.live.sources import Replay, Source, arrivals
from edgespeech.runtime.live.system_source import open_device
from edgespeech.runtime.recognizer import Recognizer


@dataclass(frozen=True)
class Controls:
    """How a user ends segments and the session.

    Attributes:
        signals: Whether SIGINT (Ctrl-C), SIGTERM and SIGHUP end the session in good order: the speech so far becomes a
            last final. A second signal has its usual effect.
        end_segment: Asked after each block; True ends the segments of all sources.
    """

    signals: bool = False
    end_segment: Callable[[], bool] = lambda: False


def run_live(
    recognizer: Recognizer,
    request: LiveRequest,
    output: Output,
    controls: Controls = Controls(),
) -> None:
    """Transcribe microphones, or recordings as if they came from one, until they end; then close the output.

    The sources share the recognizer's model.

    Raises:
        UsageError: A setting is out of range, or a file cannot be written.
        DeviceError: A microphone is missing or does not open.
        MissingDependencyError: A microphone needs a library that is not installed.
        AudioError: A recording is not readable audio.
        OSError: The output failed.
    """
    with contextlib.ExitStack() as stack:
        opened: list[Replay | DeviceSource] = []
        for source in _open_sources(request, recognizer.sample_rate):
            opened.append(stack.enter_context(contextlib.closing(source)))
        sources: Sequence[Source] = opened
        if request.mix:
            sources = [MixedSource(opened, by_arrival=not request.replays)]
        elif parse_channel(request.channel) == EACH:
            sources = _by_channel(opened)
        if request.captions is not None:
            output = CaptionedOutput(output, Captions(request.captions, request.overwrite))
        recording = None
        if request.record is not None:
            recording = Recording(request.record, recognizer.sample_rate, request.overwrite)
            stack.callback(recording.close)
        run_session(
            recognizer,
            sources,
            output,
            save=None if request.save is None else SaveFile(request.save, request.overwrite, request.append),
            recording=recording,
            latency_report=request.latency_report,
            fast_partials=request.fast_partials,
            controls=controls,
        )
        for source in opened:
            if isinstance(source, Replay) and source.damage is not None:
                raise source.damage


def run_session(
    recognizer: Recognizer,
    sources: Sequence[Source],
    output: Output,
    *,
    save: SaveFile | None = None,
    recording: Recording | None = None,
    latency_report: bool = False,
    fast_partials: bool = True,
    controls: Controls = Controls(),
) -> None:
    """Process open sources until they end, a signal arrives or the output fails; then close the output and the file.

    ``save`` receives each final before it is shown, ``recording`` the audio of a single source.

    Raises:
        AudioError: A source is damaged; the speech before has become a final.
        DeviceError: A device failed; the speech before has become a final.
        OSError: The output failed; the finals are saved nevertheless.
    """
    shared = SharedOutput(output, save)
    streams = [
        LiveStream(
            recognizer,
            source,
            shared,
            name=name,
            recording=recording,
            latency_report=latency_report,
            fast_partials=fast_partials,
        )
        for source, name in zip(sources, _distinct_names(sources), strict=True)
    ]
    failure: EdgespeechError | None = None
    with contextlib.ExitStack() as stack:
        stack.callback(output.close)
        if save is not None:
            stack.callback(save.close)
        if controls.signals:
            stack.enter_context(_stop_on_signals(sources))
        for stream, source in zip(streams, sources, strict=True):
            stream.report(source.description)
        try:
            _process_blocks(sources, streams, shared, controls)
        except (AudioError, DeviceError) as error:
            failure = error
        for stream in streams:
            stream.finish()
        if save is not None and (message := save.close()):
            streams[0].report(message)
    ending = failure or shared.error
    if ending is not None:
        raise ending


def _process_blocks(
    sources: Sequence[Source], streams: Sequence[LiveStream], output: SharedOutput, controls: Controls
) -> None:
    with contextlib.closing(arrivals(sources)) as blocks:
        for index, block in blocks:
            streams[index].process(block)
            if controls.end_segment():
                for stream in streams:
                    stream.end_segment()
            if output.error is not None:
                _stop(sources)


def _stop(sources: Sequence[Source]) -> None:
    for source in sources:
        source.stop()


def _open_sources(request: LiveRequest, sample_rate: int) -> Iterator[Replay | DeviceSource]:
    channel = parse_channel(request.channel)
    if request.replays:
        for path in request.replays:
            raw = RawFormat.parse(request.raw) if request.raw is not None and may_be_raw(str(path)) else None
            yield Replay(path, sample_rate, request.speed, channel, raw)
    else:
        for device in request.devices or (None,):
            yield open_device(device, sample_rate, request.rate, channel)


def _by_channel(sources: Sequence[Replay | DeviceSource]) -> list[Source]:
    """Make a source of each channel; a single source needs no name before that of the channel."""
    names = _distinct_names(sources)
    return [
        channel
        for source, name in zip(sources, names, strict=True)
        for channel in split_channels(source, source.channels, f"{name} " if name else "")
    ]


def _distinct_names(sources: Sequence[Source]) -> list[str]:
    if len(sources) == 1:
        return [""]
    names = [source.name for source in sources]
    return [name if names.count(name) == 1 else f"{name} {number}" for number, name in enumerate(names, 1)]


@contextlib.contextmanager
def _stop_on_signals(sources: Sequence[Source]) -> Iterator[None]:
    """Let the first signal of each kind stop the sources; does nothing outside of the main thread."""
    before: dict[int, Any] = {}

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, before[number])
        _stop(sources)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is None or (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):
            continue  # under nohup the session outlives its terminal
        with contextlib.suppress(ValueError):
            before[number] = signal.getsignal(number) or signal.SIG_DFL
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            with contextlib.suppress(ValueError):
                signal.signal(number, handler)
