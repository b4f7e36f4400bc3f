"""Times all configurations in one process, alternating between recordings, so that drift affects all of them alike."""

from __future__ import annotations

import time

import msgspec

from edgespeech.demo.bench.plan import Plan, Speech
from edgespeech.demo.bench.timing import Times, open_timed_recognizer, time_passage


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
    """

    rounds: list[Times]
    chunks: list[list[Times]]


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
    found = [ConfigurationTimes(rounds=[], chunks=[]) for _ in recognizers]
    for timed, rate in zip(recognizers, rates, strict=True):
        time_passage(timed, recordings[rate][0])  # warms up
    until = time.perf_counter() + task.max_seconds
    for number in range(task.rounds):
        if number >= 2 and time.perf_counter() > until:
            break
        totals = [(0.0, 0.0, 0.0) for _ in recognizers]
        for times in found:
            times.chunks.append([])
        for recording in range(len(recordings[rates[0]])):
            for offset in range(len(recognizers)):
                index = (offset + number + recording) % len(recognizers)  # no configuration always follows the same one
                passage = time_passage(recognizers[index], recordings[rates[index]][recording])
                totals[index] = _add(totals[index], passage.totals)
                found[index].chunks[-1].extend(passage.chunks)
        for times, (total, acoustic, decoder) in zip(found, totals, strict=True):
            times.rounds.append((total / seconds, acoustic / seconds, decoder / seconds))
    return InterleavedFigures(configurations=found, audio_seconds=seconds)


def _add(one: Times, other: Times) -> Times:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]
