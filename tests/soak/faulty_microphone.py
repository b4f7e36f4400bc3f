"""A microphone of a virtual sound system that plays the programme as fast as it is read, and fails as planned.

The source is the real one of ``edgespeech live``; the module ``sounddevice``, the clock and the wait for the next block
are replaced, so that a day passes in minutes.
"""

from __future__ import annotations

import queue
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgespeech.runtime.live.microphone_source import MicrophoneSource
from edgespeech.runtime.live.sources import BLOCK_SECONDS, Block
from tests.runtime.live.fake_portaudio import FakePortAudio
from tests.soak.programme import PART_SECONDS, RATE, block

MICROPHONE = 2  # among the devices of the fake sound system
BLOCK_SAMPLES = round(BLOCK_SECONDS * RATE)
REMOVALS = ("unplugged", "dead")
# Seconds of each kind of fault: how long the device is away, how far the clock jumps, how much arrives at once.
KINDS: dict[str, tuple[float, float]] = {
    "unplugged": (0.5, 40.0),
    "dead": (6.0, 25.0),
    "hiccup": (0.2, 4.0),
    "clock jump": (0.2, 7200.0),
    "jump while away": (60.0, 36000.0),
    "burst": (35.0, 50.0),
    "overflow": (0.0, 0.0),
    "not a number": (0.0, 0.0),
}


@dataclass(frozen=True)
class Fault:
    """A fault of the device when the programme has come to the sample ``at``; ``seconds`` as in `KINDS`."""

    at: int
    kind: str
    seconds: float


def plan(part: int, seconds: int = PART_SECONDS) -> list[Fault]:
    """Return the faults of one part in order: one removal, which alternates between both kinds, and one other fault."""
    random = np.random.default_rng((part, 1))
    others = [kind for kind in KINDS if kind not in REMOVALS]
    chosen = [REMOVALS[part % 2], others[part // 2 % len(others)]]
    found = []
    for half, kind in zip(random.permutation(2), chosen, strict=True):
        at = (part * PART_SECONDS + (half * 0.5 + random.uniform(0.05, 0.35)) * seconds) * RATE
        low, high = KINDS[kind]
        found.append(Fault(int(at), kind, float(np.exp(random.uniform(np.log(low), np.log(high))) if low else 0.0)))
    return sorted(found, key=lambda fault: fault.at)


class VirtualMicrophone:
    """Drives a `MicrophoneSource` through the programme from sample ``begin`` to ``end``.

    After a fault the programme goes on at a multiple of ``step`` samples from where the stream would be without it, so
    that the frames of the model lie where they lie without faults.

    Attributes:
        source: The source.
        now: The virtual clock, in seconds.
        position: Sample of the programme that is spoken now.
    """

    def __init__(
        self, begin: int, end: int, faults: list[Fault], report: Callable[[str, int, int], None], step: int = 1
    ) -> None:
        self.now, self.position, self._begin_at, self._end = 1000.0, begin, begin, end
        self._step, self._given = step, 0
        self._faults, self._report = deque(faults), report
        self._back_at: int | None = None  # position at which the device works again
        self._lost_from = begin
        self._fault: Fault | None = None
        self.system = FakePortAudio()
        self._devices = self.system.devices
        before = sys.modules.get("sounddevice")
        sys.modules["sounddevice"] = self.system  # type: ignore[assignment]
        try:
            self.source = MicrophoneSource(MICROPHONE, RATE, RATE, clock=lambda: self.now, sleep=self._sleep)
        finally:
            del sys.modules["sounddevice"]
            if before is not None:
                sys.modules["sounddevice"] = before
        self._queue = _Queue(self, self.source._blocks.maxsize)
        self.source._blocks = self._queue

    def blocks(self) -> Iterator[tuple[Block, int]]:
        """Yield the blocks of the source, each with the position of its end in the programme."""
        for one in self.source:
            self._given += len(one.samples)
            yield one, self.position if one.absent or not len(one.samples) else self._queue.position

    def advance(self, timeout: float) -> None:
        """Let time pass until the device gives a block, or the timeout is over."""
        if self.position >= self._end:
            self.source.stop()
            return
        if self._back_at is not None:
            self._sleep(timeout)
            return
        if self._faults and self.position >= self._faults[0].at:
            self._begin(self._faults.popleft())
            return
        self.position += -(self.position - self._begin_at - self._given) % self._step
        self._give(1)

    def _give(self, blocks: int, spoil: Callable[[Any], None] = lambda samples: None, overflow: bool = False) -> None:
        for _ in range(blocks):
            samples = block(self.position, BLOCK_SAMPLES).copy()
            spoil(samples)
            self.now += BLOCK_SECONDS
            self.position += BLOCK_SAMPLES
            self.system.streams[-1].give(samples[:, None], overflow)

    def _begin(self, fault: Fault) -> None:
        start, stream = self.position, self.system.streams[-1]
        if fault.kind == "clock jump":
            self.now += fault.seconds
        elif fault.kind == "burst":  # recognition was stopped, and the queue holds 30 seconds
            self._give(round(fault.seconds / BLOCK_SECONDS))
            kept = self._queue.maxsize * BLOCK_SAMPLES
            return self._report(fault.kind, start + kept, self.position)
        elif fault.kind == "overflow":
            self._give(1, overflow=True)
        elif fault.kind == "not a number":
            self._give(1, lambda samples: samples.__setitem__(slice(100), np.nan))
        else:
            self._fault, self._lost_from = fault, start
            self._back_at = start + int((2.0 if fault.kind == "jump while away" else fault.seconds) * RATE)
            if fault.kind in ("unplugged", "jump while away"):
                self.system.devices = [*self._devices[:MICROPHONE], *self._devices[MICROPHONE + 1 :]]
                stream.unplug()
            elif fault.kind == "dead":
                self.system.devices = [*self._devices[:MICROPHONE], *self._devices[MICROPHONE + 1 :]]
            return None
        return self._report(fault.kind, start, self.position)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
        self.position += round(seconds * RATE)
        if self._fault is None or self._back_at is None:
            return
        if self._fault.kind == "jump while away" and self.position > self._lost_from + RATE:
            self.now += self._fault.seconds  # as after Ctrl-Z and fg
            self._fault = Fault(self._fault.at, "jumped while away", 0.0)
        if self.position >= self._back_at:
            self.system.devices = self._devices
            self.system.streams = self.system.streams[-1:]
            self._report(self._fault.kind, self._lost_from, self.position)
            self._fault = self._back_at = None


class _Queue(queue.Queue[Any]):
    """The queue between the device and the source, which asks for the next block instead of waiting for it."""

    def __init__(self, microphone: VirtualMicrophone, maxsize: int) -> None:
        super().__init__(maxsize)
        self._microphone = microphone
        self._positions: deque[int] = deque()
        self.position = microphone.position

    def put_nowait(self, item: Any) -> None:
        super().put_nowait(item)
        self._positions.append(self._microphone.position)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if not self.qsize() and timeout:
            self._microphone.advance(timeout)
        item = super().get(block=False)
        self.position = self._positions.popleft()
        return item
