"""What a live session is asked to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgespeech.errors import UsageError


@dataclass(frozen=True)
class LiveRequest:
    """Sources, files and settings of a live session; without devices and replays, the default microphone.

    Attributes:
        devices: Microphones, each by a part of its name or by its index.
        replays: Recordings to play instead of microphones.
        speed: Playback speed of the replays; 0 is as fast as possible.
        rate: Hertz to open microphones at; None for the rate that each prefers.
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

    def __post_init__(self) -> None:
        if self.devices and self.replays:
            raise UsageError("--device and --replay exclude each other: a replay takes the place of the microphone")
        if self.rate is not None and self.replays:
            raise UsageError("--rate and --replay exclude each other: a recording has a rate of its own")
        if self.record is not None and len(self.devices) + len(self.replays) > 1:
            raise UsageError("--record takes one source; start a second `edgespeech live` to record another")
