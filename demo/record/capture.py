"""One take: when speech begins and ends in the blocks of a source, and how loud it and the room are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgespeech.runtime.live.sound_watch import CLIPPED_PEAK, SILENCE_DB, level_db

Floats = NDArray[np.float32]

SPEECH_ABOVE_DB = 9.0  # above the room, where speech begins
MIN_SPEECH_DB = -55.0
END_SECONDS = 1.2  # of silence behind speech
MARGIN_SECONDS = 0.5  # of silence that is kept on both sides of speech
MAX_SECONDS = 30.0
ROOM_BLOCKS = 10  # without fewer, the level of the room is not known


@dataclass(frozen=True)
class Take:
    """A recording in progress: the blocks so far, and their levels in dB."""

    blocks: tuple[Floats, ...] = ()
    levels: tuple[float, ...] = ()

    @property
    def room_db(self) -> float:
        """Level of the room: that of its quieter blocks."""
        return float(np.quantile(self.levels, 0.1)) if len(self.levels) >= ROOM_BLOCKS else SILENCE_DB

    @property
    def speech(self) -> tuple[int, int] | None:
        """The first and the last block that are clearly louder than the room; None without such blocks.

        What was said before the first pause is found once that shows how quiet the room is.
        """
        if len(self.levels) < ROOM_BLOCKS:
            return None
        loud = np.flatnonzero(np.array(self.levels) >= max(MIN_SPEECH_DB, self.room_db + SPEECH_ABOVE_DB))
        return (int(loud[0]), int(loud[-1])) if len(loud) else None

    def add(self, block: Floats) -> Take:
        """Return the take with another block, float32 [n]."""
        return Take((*self.blocks, block), (*self.levels, level_db(block)))

    def seconds(self, sample_rate: int) -> float:
        """Return the length so far."""
        return sum(map(len, self.blocks)) / sample_rate

    def is_over(self, sample_rate: int) -> bool:
        """Whether silence follows the speech, or the take is as long as one may be."""
        if self.seconds(sample_rate) >= MAX_SECONDS:
            return True
        speech = self.speech
        return speech is not None and sum(map(len, self.blocks[speech[1] + 1 :])) >= END_SECONDS * sample_rate

    def recording(self, sample_rate: int) -> Recorded:
        """Return what was said, with half a second before and behind it."""
        speech = self.speech
        begin, end = speech or (0, len(self.blocks) - 1)
        margin = round(MARGIN_SECONDS * sample_rate)
        whole = np.concatenate([np.zeros(0, np.float32), *self.blocks])
        starts = np.cumsum([0, *map(len, self.blocks)])
        samples = whole[max(0, starts[begin] - margin) : starts[end + 1] + margin]
        loud = self.levels[begin : end + 1]
        return Recorded(
            samples=samples,
            sample_rate=sample_rate,
            speech_db=float(np.quantile(loud, 0.9)) if loud else SILENCE_DB,
            room_db=self.room_db,
            clipped=float(np.mean(np.abs(samples) >= CLIPPED_PEAK)) if len(samples) else 0.0,
            has_speech=speech is not None,
        )


@dataclass(frozen=True, eq=False)
class Recorded:
    """A finished take.

    Attributes:
        samples: float32 [n] in [-1, 1].
        speech_db: Level of its louder tenth, relative to full scale.
        room_db: Level of the room.
        clipped: Fraction of the samples at full scale.
        has_speech: Whether anything was louder than the room.
    """

    samples: Floats
    sample_rate: int
    speech_db: float
    room_db: float
    clipped: float
    has_speech: bool

    @property
    def seconds(self) -> float:
        """Length of the take in seconds."""
        return len(self.samples) / self.sample_rate
