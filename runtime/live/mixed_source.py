"""Several sources as one, such as a microphone and what the computer plays, so that both have one text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from edgespeech.runtime.live.sources import Block, Source

MAX_SKEW_SECONDS = 0.2  # between the arrivals of two blocks that are mixed


class MixedSource:
    """The sum of sources with one sample rate, sample by sample, clipped to [-1, 1]; it ends when all of them have.

    Recordings begin together. Devices do not, and their clocks differ: with ``by_arrival``, a block that arrived more
    than 0.2 s before the others' is passed on alone, with silence in their place. No audio is left out.
    """

    is_microphone = False

    def __init__(self, sources: Sequence[Source], by_arrival: bool) -> None:
        self._sources, self._by_arrival = sources, by_arrival
        self.sample_rate = sources[0].sample_rate
        self.name = " and ".join(source.name for source in sources)
        self.description = "mixing: " + "; ".join(source.description for source in sources)

    @property
    def device_seconds(self) -> float | None:
        """Length of the longest buffers; None if no device is read."""
        return max(
            (source.device_seconds for source in self._sources if source.device_seconds is not None), default=None
        )

    def __iter__(self) -> Iterator[Block]:
        tracks = [_Track(source) for source in self._sources]
        while waiting := [track for track in tracks if track.has_block()]:
            newest = max(track.block.arrived for track in waiting)
            early = [track for track in waiting if track.block.arrived < newest - MAX_SKEW_SECONDS]
            chosen = early if self._by_arrival and early else waiting
            length = min(len(track.block.samples) for track in chosen)
            blocks = [track.take(length) for track in chosen]
            yield Block(
                np.sum([block.samples for block in blocks], axis=0, dtype=np.float32).clip(-1.0, 1.0),
                max(block.arrived for block in blocks),
                all(block.absent for block in blocks),
                max(block.held_seconds for block in blocks),
            )

    def take_messages(self) -> list[str]:
        """Return the new messages of all sources."""
        return [f"{source.name}: {message}" for source in self._sources for message in source.take_messages()]

    def counts(self) -> dict[str, int]:
        """Return the sums of the counts of lost audio."""
        total: Counter[str] = Counter()
        for source in self._sources:
            total.update(source.counts())
        return dict(total)

    def stop(self) -> None:
        """Ask all sources to end soon."""
        for source in self._sources:
            source.stop()

    def close(self) -> None:
        """Release the files and devices of all sources."""
        for source in self._sources:
            source.close()


class _Track:
    """Blocks of one source, of which any number of samples can be taken."""

    def __init__(self, source: Source) -> None:
        self._blocks = iter(source)
        self.block = Block(np.zeros(0, np.float32), 0.0)

    def has_block(self) -> bool:
        """Wait for the next block if nothing is left of the last one; return False at the end."""
        while not len(self.block.samples):
            block = next(self._blocks, None)
            if block is None:
                return False
            self.block = block
        return True

    def take(self, length: int) -> Block:
        taken = replace(self.block, samples=self.block.samples[:length])
        self.block = replace(self.block, samples=self.block.samples[length:])
        return taken
