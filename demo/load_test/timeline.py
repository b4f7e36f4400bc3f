"""A clip as a client sends it, and the results that each piece of it has to cause."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgespeech.runtime import audio
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Event

PIECE_SECONDS = 0.1


@dataclass(frozen=True)
class Cause:
    """A result that a stream has to give.

    Attributes:
        piece: Index of the piece of audio that causes it; the number of pieces for the end of the stream.
        type: ``partial`` or ``final``.
        text: Its text.
    """

    piece: int
    type: str
    text: str


@dataclass(frozen=True)
class Timeline:
    """The pieces of a clip, 16-bit samples at ``sample_rate`` Hz, and what they cause, in order."""

    name: str
    sample_rate: int
    pieces: tuple[bytes, ...]
    causes: tuple[Cause, ...]

    @property
    def seconds(self) -> float:
        """Length of the clip in seconds."""
        return sum(map(len, self.pieces)) / 2 / self.sample_rate


def make_timeline(recognizer: Recognizer, path: Path) -> Timeline:
    """Recognise a clip piece by piece, which a server with the same bundle and options has to repeat exactly.

    Raises:
        AudioError: The file is not readable audio.
    """
    rate = recognizer.sample_rate
    data = np.round(audio.read(path, rate) * 32767.0).astype("<i2").tobytes()
    size = round(PIECE_SECONDS * rate) * 2
    pieces = tuple(data[start : start + size] for start in range(0, len(data), size))
    with recognizer.stream() as stream:
        causes = [cause for at, piece in enumerate(pieces) for cause in _causes(at, stream.accept_pcm16(piece))]
        causes += _causes(len(pieces), stream.finish())
    return Timeline(path.name, rate, pieces, tuple(causes))


def _causes(piece: int, events: Iterable[Event]) -> list[Cause]:
    return [Cause(piece, event.type, event.text) for event in events]
