"""A recording on its way to text: blocks of samples go in, segments come out as soon as they are final."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import DamagedAudioError
from edgespeech.runtime.stream import Stream
from edgespeech.runtime.transcript import Event, Segment, Transcript, join_hypotheses

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]


class Transcription:
    """One recording, each channel of which has a stream of its own.

    Iterate over it once, for pairs of a channel's index and a segment. Segments of several channels come in the order
    of their beginnings.

    Args:
        new_stream: Begins a stream at the rate of the blocks.
        blocks: Samples, float32 [n, channels] in [-1, 1].

    Attributes:
        damage: The error that ended the blocks early; the segments before it have been yielded.
    """

    def __init__(self, new_stream: Callable[[], Stream], blocks: Iterable[Floats]) -> None:
        self._new_stream, self._blocks = new_stream, blocks
        self._streams: list[Stream] = []
        self._segments: list[list[Segment]] = []
        self._waiting: list[tuple[float, int, Segment]] = []  # segments that one of another channel may precede
        self._compute_seconds = 0.0
        self.damage: DamagedAudioError | None = None

    @property
    def seconds_processed(self) -> float:
        """Seconds of audio accepted so far."""
        return self._streams[0].seconds_processed if self._streams else 0.0

    def __iter__(self) -> Iterator[tuple[int, Segment]]:
        began = time.perf_counter()
        for index, segment in self._transcribe():
            self._compute_seconds += time.perf_counter() - began
            yield index, segment
            began = time.perf_counter()
        self._compute_seconds += time.perf_counter() - began

    def _transcribe(self) -> Iterator[tuple[int, Segment]]:
        try:
            for block in self._blocks:
                if not self._streams:
                    self._begin(block.shape[1])
                for index, column in enumerate(block.T):
                    self._add(index, self._streams[index].accept(column))
                yield from self._released(min(stream.segment_start for stream in self._streams))
        except DamagedAudioError as error:
            if not self._streams:
                raise
            self.damage = error
        if not self._streams:
            self._begin(1)
        for index, stream in enumerate(self._streams):
            self._add(index, stream.finish())
            if stream.level_warning:
                log.warning("%s", stream.level_warning)
        yield from self._released(np.inf)

    def transcripts(self) -> list[Transcript]:
        """Return the transcript of each channel, once the iteration has ended."""
        return [self._transcript(stream, found) for stream, found in zip(self._streams, self._segments, strict=True)]

    def _begin(self, channels: int) -> None:
        self._streams = [self._new_stream() for _ in range(channels)]
        self._segments = [[] for _ in range(channels)]

    def _add(self, index: int, events: Iterable[Event]) -> None:
        for event in events:
            if event.type == "final":
                segment = Segment.from_final(event)
                self._segments[index].append(segment)
                self._waiting.append((segment.start, index, segment))

    def _released(self, before: float) -> Iterator[tuple[int, Segment]]:
        """Yield the segments that begin before all that are still to come."""
        self._waiting.sort(key=lambda one: one[:2])
        while self._waiting and self._waiting[0][0] < before:
            _, index, segment = self._waiting.pop(0)
            yield index, segment

    def _transcript(self, stream: Stream, segments: list[Segment]) -> Transcript:
        return Transcript(
            text=" ".join(segment.text for segment in segments),
            segments=tuple(segments),
            duration=stream.seconds_processed,
            seconds=self._compute_seconds / len(self._streams),
            nbest=join_hypotheses(segments),
            damage=None if self.damage is None else str(self.damage),
        )
