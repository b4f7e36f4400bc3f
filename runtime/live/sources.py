"""Sources of live audio: the interface, and a recording that is played as if it came from a microphone."""

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

from edgespeech.errors import DamagedAudioError, UsageError
from edgespeech.runtime import audio
from edgespeech.runtime.files import printable_name

BLOCK_SECONDS = 0.03
MAX_WAIT_SECONDS = 0.05  # between two checks whether to stop


@dataclass(frozen=True)
class Block:
    """A short piece of audio, float32 [n] mono in [-1, 1] at the rate of its source.

    It is [n, channels] before `split_channels` makes a source of each channel.

    Attributes:
        arrived: Time at which the block was available, in seconds of `time.perf_counter`.
        absent: Whether this is silence in place of a device that is gone.
        held_seconds: Audio that arrived before ``arrived`` too, and is still inside the source's resampler.
    """

    samples: NDArray[np.float32]
    arrived: float
    absent: bool = False
    held_seconds: float = 0.0


class Source(Protocol):
    """Audio that arrives in blocks; open from its creation until `close`."""

    @property
    def sample_rate(self) -> int:
        """Sample rate of the blocks in hertz."""

    @property
    def name(self) -> str:
        """Short name that tells sources apart."""

    @property
    def description(self) -> str:
        """What the source plays or records, for the first status line."""

    @property
    def device_seconds(self) -> float | None:
        """Length of the sound system's buffers, as it states itself; None if no device is read."""

    @property
    def is_microphone(self) -> bool:
        """Whether silence and clipping have to do with a microphone, or a recording of one."""

    def __iter__(self) -> Iterator[Block]: ...

    def take_messages(self) -> list[str]:
        """Return the status messages since the last call, such as a device that is gone."""

    def counts(self) -> dict[str, int]:
        """Return how often each kind of problem occurred so far; zeros included."""

    def stop(self) -> None:
        """Ask the iteration to end soon; signal handlers call this, so it only sets an attribute."""

    def close(self) -> None:
        """Release the file or the device."""


class Replay:
    """A recording whose blocks arrive as if they were spoken now.

    At the recognizer's sample rate (hertz), the text is that of `Recognizer.transcribe`. The playback speed is 1 for
    real time, 2 for twice as fast, 0 or infinity for as fast as possible. The path ``-`` is standard input, whose
    samples are played as they arrive if they are a WAV file or have no header, and when they are complete otherwise.

    Attributes:
        damage: Why the recording ended early; None if it was played to its end.

    Raises:
        AudioError: The file is not readable audio.
        UsageError: The speed is negative or not a number.
    """

    device_seconds = None
    is_microphone = True

    def __init__(
        self,
        path: str | Path,
        sample_rate: int,
        speed: float = 1.0,
        channel: audio.Channel = audio.MIX,
        raw: audio.RawFormat | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not speed >= 0.0:
            raise UsageError(f"replay speed {speed:g}; wanted 0 (as fast as possible) or more; 1 is real time")
        self.sample_rate = sample_rate
        self._seconds_per_second = 0.0 if speed in (0.0, math.inf) else 1.0 / speed
        self._clock, self._sleep = clock, sleep
        self._stopping = False
        self._messages: list[str] = []
        self.damage: DamagedAudioError | None = None
        warn = self._messages.append
        self._is_pipe = str(path) == audio.STANDARD_INPUT
        if self._is_pipe:
            self._blocks = audio.read_standard_input(
                sample_rate, raw=raw, block_seconds=BLOCK_SECONDS, channel=channel, at_once=True, warn=warn
            )
        else:
            self._blocks = audio.read_blocks(path, sample_rate, BLOCK_SECONDS, channel, raw, warn)
        self._first = next(self._blocks, np.zeros(0, np.float32))
        self.channels = self._first.shape[1] if self._first.ndim == 2 else 1
        self.name, shown = printable_name(Path(path).stem), printable_name(path)
        if self._is_pipe:
            self.name = shown = "standard input"
        pace = "in real time" if speed == 1.0 else f"at {speed:g} x real time"
        self.description = f"replaying {shown} {pace if self._seconds_per_second else 'as fast as possible'}"

    def __iter__(self) -> Iterator[Block]:
        began, samples_given = self._clock(), 0
        samples, read = self._first, began
        while len(samples) and not self._stopping:
            samples_given += len(samples)
            due = began + samples_given / self.sample_rate * self._seconds_per_second
            while (remaining := due - self._clock()) > 0.0 and not self._stopping:
                self._sleep(min(remaining, MAX_WAIT_SECONDS))
            if self._stopping:
                return
            arrived = max(due, read) if self._is_pipe else due
            yield Block(samples, arrived if self._seconds_per_second else self._clock())
            samples = self._next()
            read = self._clock()

    def _next(self) -> NDArray[np.float32]:
        try:
            return next(self._blocks, np.zeros(0, np.float32))
        except DamagedAudioError as error:
            self.damage = error
            self._messages.append(f"the recording is damaged at {error.second:.2f} s")
            return np.zeros(0, np.float32)

    def take_messages(self) -> list[str]:
        """Return new messages: where the recording is damaged, and what else is to be known about it."""
        messages = self._messages.copy()
        self._messages.clear()
        return messages

    def counts(self) -> dict[str, int]:
        """Return nothing: no audio of a file is lost."""
        return {}

    def stop(self) -> None:
        """End the replay before the next block."""
        self._stopping = True

    def close(self) -> None:
        """Release the file; the rest is not played."""
        self._blocks = iter(())


def arrivals(sources: Sequence[Source]) -> Generator[tuple[int, Block], None, None]:
    """Yield the blocks of all sources as they arrive, each with the index of its source.

    Several sources are read on one thread each. An error of one source ends all of them and is raised here.
    """
    if len(sources) == 1:
        yield from ((0, block) for block in sources[0])
        return
    waiting: queue.Queue[tuple[int, Block | Exception | None]] = queue.Queue(len(sources))
    abandoned = threading.Event()

    def put(item: tuple[int, Block | Exception | None]) -> None:
        while not abandoned.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(item, timeout=MAX_WAIT_SECONDS)
                return

    def read(index: int) -> None:
        ending: Exception | None = None
        try:
            for block in sources[index]:
                put((index, block))
                if abandoned.is_set():
                    return
        except Exception as error:  # raised again where the blocks are taken
            ending = error
        put((index, ending))

    threads = [threading.Thread(target=read, args=(index,), daemon=True) for index in range(len(sources))]
    try:
        for thread in threads:
            thread.start()
        open_sources = len(sources)
        while open_sources:
            index, item = waiting.get()
            if isinstance(item, Block):
                yield index, item
                continue
            open_sources -= 1
            if item is not None:
                raise item
    finally:
        abandoned.set()
        for source in sources:
            source.stop()
        for thread in threads:
            thread.join()
