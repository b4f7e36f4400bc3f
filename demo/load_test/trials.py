"""Trials with a number of streams, and the search for the largest number that stays below a latency."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import psutil

from edgespeech.demo.load_test.client import Load, Tally, run_clients
from edgespeech.demo.load_test.server_process import RunningServer
from edgespeech.demo.load_test.timeline import Timeline
from edgespeech.errors import UsageError

log = logging.getLogger(__name__)

PERCENTILES = (50, 95, 98, 99)
_CLIENTS_PER_PROCESS = 200


@dataclass(frozen=True)
class Effort:
    """How long a trial is.

    Attributes:
        seconds: Time in which clients begin clips.
        warm_seconds: Time before, in which they begin at random and nothing is noted.
    """

    seconds: float = 20.0
    warm_seconds: float = 8.0


@dataclass(frozen=True)
class Trial:
    """What a number of streams meant for one server.

    Attributes:
        server: Name of the way to serve.
        streams: Number of clients.
        final_ms: Latency of finals at each of `PERCENTILES`, in milliseconds.
        partial_ms: The same for partials.
        late_ms: 98th percentile of how late the clients themselves sent.
        clips: Clips that ended.
        wrong: Those whose results differ from what one stream alone gives.
        failures: Reasons of clips that did not end.
        sent_seconds: Length of the audio that was sent.
        seconds: Length of the trial.
        server_cpu: CPU seconds of the server.
        client_cpu: CPU seconds of the clients.
        memory: Resident memory of the server at the end, in bytes.
    """

    server: str
    streams: int
    final_ms: tuple[float, ...]
    partial_ms: tuple[float, ...]
    late_ms: float
    clips: int
    wrong: int
    failures: tuple[str, ...]
    sent_seconds: float
    seconds: float
    server_cpu: float
    client_cpu: float
    memory: int

    def stays_below(self, limit_ms: float) -> bool:
        """Whether all clips ended with the right words, 98 % of the finals and of the partials within the limit."""
        worst = [values[PERCENTILES.index(98)] for values in (self.final_ms, self.partial_ms)]
        return not self.wrong and not self.failures and bool(self.clips) and max(worst) < limit_ms

    @property
    def cpu_factor(self) -> float:
        """CPU seconds of the server per second of audio."""
        return self.server_cpu / self.sent_seconds if self.sent_seconds else 0.0


def run_trial(server: RunningServer, timelines: Sequence[Timeline], streams: int, effort: Effort) -> Trial:
    """Let this many clients replay clips in real time and measure them and the server.

    Raises:
        UsageError: The trial is too short for a clip.
    """
    total = effort.seconds + effort.warm_seconds
    load = Load(server.url, timelines, streams, total, effort.warm_seconds)
    before, began = server.use(), time.monotonic()
    clients_before = _own_cpu()
    tally = _run(load)
    if not tally.clips and not tally.failures:
        raise UsageError(f"no clip began and ended in a trial of {total:g} s; give more --seconds")
    after = server.use()
    return Trial(
        server.kind.name,
        streams,
        _percentiles(tally.final_ms),
        _percentiles(tally.partial_ms),
        _percentiles(tally.late_ms)[PERCENTILES.index(98)],
        tally.clips,
        tally.wrong,
        tuple(tally.failures),
        tally.sent_seconds,
        time.monotonic() - began,
        after.cpu_seconds - before.cpu_seconds,
        _own_cpu() - clients_before,
        after.memory,
    )


def find_max_streams(measure: Callable[[int], Trial], first: int, limit_ms: float, most: int) -> list[Trial]:
    """Double the number of streams while they stay below the limit, then halve the gap until it is a tenth.

    Returns:
        The trials, in the order in which they were run.
    """
    trials: list[Trial] = []
    good, bad, streams = 0, most + 1, min(first, most)
    while True:
        trials.append(measure(streams))
        if trials[-1].stays_below(limit_ms):
            good = streams
        else:
            bad = streams
        if bad - good <= max(1, good // 10):
            return trials
        streams = min(2 * good, most) if bad > most and good < most else (good + bad) // 2
        if streams in (good, bad) or streams < 1:
            return trials


def max_streams(trials: Sequence[Trial], limit_ms: float) -> int:
    """Return the largest number of streams that stayed below the limit, below every number that did not; 0 if none."""
    failed = [trial.streams for trial in trials if not trial.stays_below(limit_ms)]
    passed = [trial.streams for trial in trials if trial.stays_below(limit_ms)]
    return max((streams for streams in passed if streams < min(failed, default=streams + 1)), default=0)


def _run(load: Load) -> Tally:
    processes = -(-load.clients // _CLIENTS_PER_PROCESS)
    parts = [load.clients // processes + (n < load.clients % processes) for n in range(processes)]
    loads = [replace(load, clients=count, seed=seed) for seed, count in enumerate(parts)]
    tally = Tally()
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        for one in pool.map(_run_in_process, loads):
            tally.add(one)
    return tally


def _run_in_process(load: Load) -> Tally:
    return asyncio.run(run_clients(load))


def _percentiles(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(np.percentile(values, PERCENTILES).tolist()) if values else (0.0,) * len(PERCENTILES)


def _own_cpu() -> float:
    times = psutil.Process().cpu_times()
    return times.user + times.system + times.children_user + times.children_system
