"""What a live session is asked to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgespeech.errors import UsageError
from edgespeech.runtime.audio import EACH, MIX, STANDARD_INPUT, RawFormat, may_be_raw, parse_channel
from edgespeech.runtime.live.captions import require_captions_file
from edgespeech.runtime.live.recording import require_record_file
from edgespeech.runtime.live.save_file import require_save_file


@dataclass(frozen=True)
class LiveRequest:
    """Sources, files and settings of a live session; without devices and replays, the default microphone.

    Attributes:
        devices: Microphones, each by a part of its name or by its index; ``system`` is what the computer plays.
        replays: Recordings to play instead of microphones.
        mix: Whether all devices or replays are mixed into one stream, instead of one stream for each.
        speed: Playback speed of the replays; 0 is as fast as possible.
        rate: Hertz to open microphones at; None for the rate that each prefers.
        channel: ``mix`` for the mean of the channels, ``each`` for one stream per channel, or a number from 1.
        raw: Format of samples without a header in replays, as ``FORMAT:RATE:CHANNELS``.
        save: File for the finals: .txt, .srt, .vtt or .jsonl.
        record: File for the audio: .wav.
        captions: File that always holds the newest two lines, for programs that show it.
        overwrite: Whether files that exist are replaced when the session begins.
        append: Whether finals are appended to a .txt or .jsonl file that exists.
        latency_report: Whether to report the parts of the latency at the end.
        fast_partials: Whether partials show words before their look-ahead has arrived, as in `Recognizer.stream`.

    Raises:
        UsageError: Two settings exclude each other, or a file must not be written.
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
    overwrite: bool = False
    append: bool = False
    mix: bool = False
    captions: str | Path | None = None

    def __post_init__(self) -> None:
        if self.devices and self.replays:
            raise UsageError("--device and --replay exclude each other: a replay takes the place of the microphone")
        if self.rate is not None and self.replays:
            raise UsageError("--rate and --replay exclude each other: a recording has a rate of its own")
        several, is_each = len(self.devices) + len(self.replays) > 1, parse_channel(self.channel) == EACH
        if self.mix and not several:
            raise UsageError("--mix needs two sources or more; give a second --device or --replay, or leave it out")
        if self.mix and is_each:
            raise UsageError("--mix and --channel each exclude each other: one makes one stream, one makes several")
        if self.record is not None and (several or is_each) and not self.mix:
            raise UsageError("--record takes one source; add --mix, or start a second `edgespeech live` for another")
        if [str(replay) for replay in self.replays].count(STANDARD_INPUT) > 1:
            raise UsageError("--replay -: standard input can be read only once; leave one of them out")
        if self.raw is not None:
            RawFormat.parse(self.raw)
            if not any(may_be_raw(str(replay)) for replay in self.replays):
                raise UsageError("--raw is for --replay - and for files that end in .raw or .pcm; leave it out")
        if self.overwrite and self.append:
            raise UsageError("--overwrite and --append exclude each other; leave one of them out")
        if self.save is not None:
            require_save_file(self.save, self.overwrite, self.append)
        if self.record is not None:
            require_record_file(self.record, self.overwrite)
        if self.captions is not None:
            require_captions_file(self.captions, self.overwrite)
