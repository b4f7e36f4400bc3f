"""Where live sound comes from: the shape of a source, and a recording that plays the part of a microphone."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import UsageError
from edgespeech.runtime import audio

BLOCK_SECONDS = 0.03
LONGEST_NAP = 0.05  # seconds without looking whether to stop


@dataclass(frozen=True)
class Block:
    """A piece of sound.

    Attributes:
        samples: float32 [n] mono in [-1, 1], at the rate of its source.
        arrived: When it was there to be heard, in seconds of `time.perf_counter`.
        absent: No sound, but silence in the place of a device that is gone.
    """

    samples: NDArray[np.float32]
    arrived: float
    absent: bool = False


class Source(Protocol):
    """Sound that arrives; open from the moment it is made until `close`."""

    @property
    def sample_rate(self) -> int:
        """Hertz of the blocks."""

    @property
    def name(self) -> str:
        """Short, to tell sources apart."""

    @property
    def description(self) -> str:
        """What is being heard, for people."""

    def __iter__(self) -> Iterator[Block]:
        """The blocks, as they arrive."""

    def remarks(self) -> list[str]:
        """What went wrong with the sound since the last call, for people."""

    def counts(self) -> dict[str, int]:
        """What went wrong so far, by kind; zeros included."""

    def stop(self) -> None:
        """Ask the iteration to end soon. Called from a signal handler: it may do no more than set an attribute."""

    def close(self) -> None:
        """Let go of the file or the device."""


class Replay:
    """A recording that arrives as if it were spoken now.

    Args:
        path: An audio file.
        sample_rate: Hertz of the blocks; give the recognizer's, so that it hears what `Recognizer.transcribe` hears.
        speed: 1 for real time, 2 for twice as fast; 0 or infinity for as fast as it is taken.
        clock: Seconds, rising.
        sleep: Waits for a number of seconds.

    Raises:
        AudioError: The file cannot be heard.
        UsageError: The speed is negative or not a number.
    """

    def __init__(
        self,
        path: str | Path,
        sample_rate: int,
        speed: float = 1.0,
        *,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Open the file and read its beginning."""
        if not speed >= 0.0:
            raise UsageError(f"a replay at speed {speed:g}; wanted 0 (as fast as possible) or more; 1 is real time")
        self.sample_rate = sample_rate
        self._pace = 0.0 if speed in (0.0, math.inf) else 1.0 / speed
        self._clock, self._sleep = clock, sleep
        self._stopping = False
        self._blocks = audio.read_blocks(path, sample_rate, BLOCK_SECONDS)
        self._first = next(self._blocks, np.zeros(0, np.float32))
        self.name = Path(path).stem
        pace = "in real time" if speed == 1.0 else f"at {speed:g} x real time" if self._pace else "without waiting"
        self.description = f"replaying {path} {pace}"

    def __iter__(self) -> Iterator[Block]:
        """Yield each block once the time of its last sample has come."""
        began, samples_given = self._clock(), 0
        samples = self._first
        while len(samples) and not self._stopping:
            samples_given += len(samples)
            due = began + samples_given / self.sample_rate * self._pace
            while (remaining := due - self._clock()) > 0.0 and not self._stopping:
                self._sleep(min(remaining, LONGEST_NAP))
            if self._stopping:
                return
            yield Block(samples, due if self._pace else self._clock())
            samples = next(self._blocks, np.zeros(0, np.float32))

    def remarks(self) -> list[str]:
        """None: nothing goes wrong with a file but the file, and that is an error."""
        return []

    def counts(self) -> dict[str, int]:
        """Nothing, likewise."""
        return {}

    def stop(self) -> None:
        """What has not arrived yet will not arrive."""
        self._stopping = True

    def close(self) -> None:
        """Let go of the file."""
        self._blocks = iter(())


def arrivals(sources: Sequence[Source]) -> Generator[tuple[int, Block], None, None]:
    """Blocks of all sources as they arrive, each with the number of its source.

    Every source is read on a thread of its own, if there are several. An error of one ends all: it comes out here.
    """
    if len(sources) == 1:
        yield from ((0, block) for block in sources[0])
        return
    waiting: queue.Queue[tuple[int, Block | Exception | None]] = queue.Queue(len(sources))
    left = threading.Event()

    def put(item: tuple[int, Block | Exception | None]) -> None:
        while not left.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(item, timeout=LONGEST_NAP)
                return

    def read(number: int) -> None:
        ending: Exception | None = None
        try:
            for block in sources[number]:
                put((number, block))
                if left.is_set():
                    return
        except Exception as error:  # shown where the blocks are taken
            ending = error
        put((number, ending))

    threads = [threading.Thread(target=read, args=(number,), daemon=True) for number in range(len(sources))]
    try:
        for thread in threads:
            thread.start()
        open_sources = len(sources)
        while open_sources:
            number, item = waiting.get()
            if isinstance(item, Block):
                yield number, item
                continue
            open_sources -= 1
            if item is not None:
                raise item
    finally:
        left.set()
        for source in sources:
            source.stop()
        for thread in threads:
            thread.join()
