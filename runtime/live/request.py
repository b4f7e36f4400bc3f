"""What a live session is asked to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgespeech.errors import UsageError
from edgespeech.runtime.audio import EACH, MIX, STANDARD_INPUT, RawFormat, may_be_raw, parse_channel


@dataclass(frozen=True)
class LiveRequest:
    """Sources, files and settings of a live session; without devices and replays, the default microphone.

    Attributes:
        devices: Microphones, each by a part of its name or by its index.
        replays: Recordings to play instead of microphones.
        speed: Playback speed of the replays; 0 is as fast as possible.
        rate: Hertz to open microphones at; None for the rate that each prefers.
        channel: ``mix`` for the mean of the channels, ``each`` for one stream per channel, or a number from 1.
        raw: Format of samples without a header in replays, as ``FORMAT:RATE:CHANNELS``.
        save: File for the finals: .txt, .srt, .vtt or .jsonl.
        record: File for the audio: .wav.
        latency_report: Whether to report the parts of the latency at the end.
        fast_partials: Whether partials show words before their look-ahead has arrived, as in `Recognizer.stream`.

    Raises:
        UsageError: Two settings exclude each other.
    """

    devices: Sequence[str | int] = ()
    replays: Sequence[str | Path] = ()
    speed: float = 1.0
    rate: int | None = None
    save: str | Path | None = None
    record: str | Path | None = None
    latency_report: bool = False
    fast_partials: bool = True
    channel: str = MIX
    raw: str | None = None

    def __post_init__(self) -> None:
        if self.devices and self.replays:
            raise UsageError("--device and --replay exclude each other: a replay takes the place of the microphone")
        if self.rate is not None and self.replays:
            raise UsageError("--rate and --replay exclude each other: a recording has a rate of its own")
        several = len(self.devices) + len(self.replays) > 1 or parse_channel(self.channel) == EACH
        if self.record is not None and several:
            raise UsageError("--record takes one source; start a second `edgespeech live` to record another")
        if [str(replay) for replay in self.replays].count(STANDARD_INPUT) > 1:
            raise UsageError("--replay -: standard input can be read only once; leave one of them out")
        if self.raw is not None:
            RawFormat.parse(self.raw)
            if not any(may_be_raw(str(replay)) for replay in self.replays):
                raise UsageError("--raw is for --replay - and for files that end in .raw or .pcm; leave it out")
