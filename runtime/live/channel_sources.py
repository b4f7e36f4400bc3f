"""One source with several channels as several sources, so that each channel has its own stream and text."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from edgespeech.runtime.live.sources import Block, Source


class ChannelSource:
    """One channel of a source whose blocks have several, [n, channels]; the first one speaks for the source."""

    def __init__(self, splitter: _Splitter, index: int, name: str) -> None:
        self._splitter, self._index = splitter, index
        self._source = splitter.source
        self.name = name
        self.description = self._source.description
        self.device_seconds = self._source.device_seconds
        self.is_microphone = self._source.is_microphone

    @property
    def sample_rate(self) -> int:
        """Sample rate of the blocks in hertz."""
        return self._source.sample_rate

    def __iter__(self) -> Iterator[Block]:
        while (block := self._splitter.take(self._index)) is not None:
            yield block

    def take_messages(self) -> list[str]:
        """Return the new messages of the source."""
        return [] if self._index else self._source.take_messages()

    def counts(self) -> dict[str, int]:
        """Return the counts of lost audio of the source."""
        return {} if self._index else self._source.counts()

    def stop(self) -> None:
        """End all channels of the source."""
        self._source.stop()

    def close(self) -> None:
        """Release the source of all channels."""
        self._source.close()


def split_channels(source: Source, channels: int, prefix: str = "") -> list[ChannelSource]:
    """Make a source of each channel, named ``channel 1`` and so on behind ``prefix``."""
    splitter = _Splitter(source, channels)
    return [ChannelSource(splitter, index, f"{prefix}channel {index + 1}") for index in range(channels)]


class _Splitter:
    """Reads a source once for all of its channels, which may be read on one thread each."""

    def __init__(self, source: Source, channels: int) -> None:
        self.source = source
        self._blocks: Iterator[Block] | None = None
        self._waiting: list[deque[Block]] = [deque() for _ in range(channels)]
        self._lock = threading.Lock()

    def take(self, index: int) -> Block | None:
        """Return the next block of a channel, None at the end."""
        with self._lock:
            if not self._waiting[index]:
                self._blocks = self._blocks or iter(self.source)
                block = next(self._blocks, None)
                if block is None:
                    return None
                for channel, waiting in enumerate(self._waiting):
                    samples = block.samples if block.samples.ndim == 1 else block.samples[:, channel]
                    waiting.append(replace(block, samples=samples))
            return self._waiting[index].popleft()
