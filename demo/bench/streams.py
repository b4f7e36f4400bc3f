"""Searches the maximum number of streams: 98 % of their chunks must be done before the next chunk arrives."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgespeech.demo.bench.plan import Plan, Speech
from edgespeech.demo.bench.timing import open_timed_recognizer
from edgespeech.errors import BundleError
from edgespeech.runtime.recognizer import Recognizer

Floats = NDArray[np.float32]
# The search ends when the numbers that are known to be possible and impossible differ by less than this factor.
CLOSE_ENOUGH = 1.04
MAX_TRIALS = 7


class StreamFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Number of streams with one step of the graph for each, and with one step for all (None if that is impossible)."""

    unbatched: int
    batched: int | None


class StreamSearch(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Task for a process: search the maximum number of streams.

    Attributes:
        max_streams: Limit of the search.
        rounds: Chunks of each stream in a trial.
        previous: Result of another search, to start from.
    """

    plan: Plan
    speech: Speech
    max_streams: int
    rounds: int
    previous: StreamFigures | None = None


def search_streams(task: StreamSearch) -> StreamFigures:
    """Search with one step of the graph for each stream, then with one step for all.

    The chunks of all streams arrive at the same moment, which is the worst case.
    """
    timed = open_timed_recognizer(task.plan)
    recognizer = timed.recognizer
    speech = np.concatenate(task.speech.read(recognizer.sample_rate))
    size = recognizer.chunk_samples
    chunks = np.resize(speech, (max(1, len(speech) // size), size))

    def search(time_streams: Callable[..., list[float]], start: int | None) -> int:
        def compute_time(streams: int) -> float:
            return float(np.percentile(time_streams(recognizer, chunks, streams, task.rounds), 98))

        return search_maximum(compute_time, timed.chunk_seconds, task.max_streams, start or 1)

    previous = task.previous or StreamFigures(unbatched=1, batched=1)
    unbatched = search(time_streams_unbatched, previous.unbatched)
    try:
        batched = search(time_streams_batched, previous.batched)
    except BundleError:  # a provider that has compiled the graph for one stream
        batched = None
    return StreamFigures(unbatched=unbatched, batched=batched)


def search_maximum(measure: Callable[[int], float], limit: float, max_number: int, start: int = 1) -> int:
    """Find the largest number for which a measurement stays within a limit; 0 if the result for 1 exceeds it.

    The result of ``measure`` should grow about linearly with the number. The search begins with ``start``.
    """
    good, bad, number = 0, max_number + 1, min(start, max_number)
    for _ in range(MAX_TRIALS):
        measured = measure(number)
        if measured <= limit:
            good = number
        else:
            bad = number
        if bad - good <= 1 or (good and bad <= good * CLOSE_ENOUGH):
            break
        guess = int(number * limit / max(measured, 1e-9))
        if not good < guess < bad and bad <= max_number:
            guess = (good + bad) // 2
        number = min(max(guess, good + 1), bad - 1)
    return good


def time_streams_unbatched(recognizer: Recognizer, chunks: Floats, streams: int, rounds: int) -> list[float]:
    """Return the seconds until each chunk of each stream is decoded, with a step of the graph for each stream."""
    model, decoder = recognizer.model, recognizer.decoder
    states = [model.initial_state() for _ in range(streams)]
    beams = [decoder.initial_state() for _ in range(streams)]
    latencies = []
    for number in range(rounds + 1):
        began = time.perf_counter()
        for stream in range(streams):
            chunk = chunks[(number + stream * 7) % len(chunks)]
            log_probs, states[stream] = model.step(chunk[None], states[stream])
            _, beams[stream] = decoder.step(log_probs[0], beams[stream])
            if number:  # the first round warms up
                latencies.append(time.perf_counter() - began)
    return latencies


def time_streams_batched(recognizer: Recognizer, chunks: Floats, streams: int, rounds: int) -> list[float]:
    """Return the seconds until each chunk of each stream is decoded, with one step of the graph for all streams."""
    model, decoder = recognizer.model, recognizer.decoder
    state = model.initial_state(streams)
    beams: list[Any] = [decoder.initial_state() for _ in range(streams)]
    latencies = []
    for number in range(rounds + 1):
        began = time.perf_counter()
        batch = chunks[(number + np.arange(streams) * 7) % len(chunks)]
        log_probs, state = model.step(batch, state)
        for stream in range(streams):
            _, beams[stream] = decoder.step(log_probs[stream], beams[stream])
            if number:  # the first round warms up
                latencies.append(time.perf_counter() - began)
    return latencies
