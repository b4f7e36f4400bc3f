"""Times all configurations in one process, alternating between recordings, so that drift affects all of them alike."""

from __future__ import annotations

import time

import msgspec

from edgespeech.demo.bench.plan import Plan, Speech
from edgespeech.demo.bench.timing import Times, open_timed_recognizer, time_passage
from edgespeech.demo.machine.energy import Meter, open_meter

IDLE_SECONDS = 1.0


class InterleavedRun(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Task for a process: in each round, every configuration processes every recording.

    There are at most ``rounds``, at least two; no further round begins after ``max_seconds``.
    """

    plans: list[Plan]
    speech: Speech
    rounds: int
    max_seconds: float


class ConfigurationTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Times of one configuration: in total, in the acoustic model, in the decoder.

    Attributes:
        rounds: Real-time factors of each round.
        chunks: Seconds of every full chunk, one list for each round.
        cpu: CPU seconds of all threads per second of audio, of each round.
        joules: Energy above that of the idle machine per second of audio, of each round; empty without a meter.
    """

    rounds: list[Times]
    chunks: list[list[Times]]
    cpu: list[float] = []
    joules: list[float] = []


class InterleavedFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Times of the configurations, in the order of the plans, and the length of the passage."""

    configurations: list[ConfigurationTimes]
    audio_seconds: float


def measure_interleaved(task: InterleavedRun) -> InterleavedFigures:
    """Run the rounds; raise an EdgespeechError if a configuration or the speech is invalid."""
    recognizers = [open_timed_recognizer(plan) for plan in task.plans]
    rates = [timed.recognizer.sample_rate for timed in recognizers]
    recordings = {rate: task.speech.read(rate) for rate in set(rates)}
    seconds = sum(map(len, recordings[rates[0]])) / rates[0]
    found = [ConfigurationTimes(rounds=[], chunks=[], cpu=[], joules=[]) for _ in recognizers]
    for timed, rate in zip(recognizers, rates, strict=True):
        time_passage(timed, recordings[rate][0])  # warms up
    spending = Spending(open_meter())
    until = time.perf_counter() + task.max_seconds
    for number in range(task.rounds):
        if number >= 2 and time.perf_counter() > until:
            break
        totals = [(0.0, 0.0, 0.0) for _ in recognizers]
        spent = [(0.0, 0.0) for _ in recognizers]
        for times in found:
            times.chunks.append([])
        for recording in range(len(recordings[rates[0]])):
            for offset in range(len(recognizers)):
                index = (offset + number + recording) % len(recognizers)  # no configuration always follows the same one
                spending.restart()
                passage = time_passage(recognizers[index], recordings[rates[index]][recording])
                cpu, joules = spending.read()
                spent[index] = spent[index][0] + cpu, spent[index][1] + joules
                totals[index] = _add(totals[index], passage.totals)
                found[index].chunks[-1].extend(passage.chunks)
        for times, (total, acoustic, decoder), (cpu, joules) in zip(found, totals, spent, strict=True):
            times.rounds.append((total / seconds, acoustic / seconds, decoder / seconds))
            times.cpu.append(cpu / seconds)
            times.joules.extend([joules / seconds] * spending.has_meter)
    spending.close()
    return InterleavedFigures(configurations=found, audio_seconds=seconds)


class Spending:
    """CPU seconds of this process, and joules above those of the idle machine, since the last restart."""

    def __init__(self, meter: Meter | None) -> None:
        self._meter, self._idle_watts = meter, 0.0
        self.has_meter = meter is not None
        self.restart()
        if meter is not None:
            time.sleep(IDLE_SECONDS)
            self._idle_watts = self.read()[1] / IDLE_SECONDS

    def restart(self) -> None:
        """Begin to count at zero."""
        self._joules = self._meter.joules() if self._meter is not None else 0.0
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def read(self) -> tuple[float, float]:
        """Return the CPU seconds and the joules; 0 joules without a meter."""
        cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
        if self._meter is None:
            return cpu, 0.0
        return cpu, self._meter.joules() - self._joules - self._idle_watts * wall

    def close(self) -> None:
        """Close the meter, if there is one."""
        if self._meter is not None:
            self._meter.close()


def _add(one: Times, other: Times) -> Times:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]
