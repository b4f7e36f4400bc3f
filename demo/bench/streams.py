"""How many streams at once: the most for which 98 % of the chunks are done before the next one is there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgespeech.demo.bench.listen import Plan, Speech, open_ear
from edgespeech.errors import BundleError
from edgespeech.runtime.recognizer import Recognizer

Floats = NDArray[np.float32]
# Two numbers of streams that differ by less are not worth another try.
CLOSE_ENOUGH = 1.04
TRIES = 7


class StreamFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How many streams: a step of the graph for each, and one step for all; None where the provider refused that."""

    unbatched: int
    batched: int | None


class StreamSearch(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What to do: search up to ``most`` streams, beginning with what another search found.

    A try lasts for ``rounds`` chunks of each stream.
    """

    plan: Plan
    speech: Speech
    most: int
    rounds: int
    likely: StreamFigures | None = None


def search_streams(task: StreamSearch) -> StreamFigures:
    """Search, one step of the graph for each stream, then one for all.

    All chunks of a round arrive at the same moment, which is the worst case.

    Raises:
        EdgespeechError: The configuration or the speech does not do.
    """
    ear = open_ear(task.plan)
    recognizer = ear.recognizer
    speech = np.concatenate(task.speech.read(recognizer.sample_rate))
    size = recognizer.chunk_samples
    chunks = np.resize(speech, (max(1, len(speech) // size), size))

    def most(crowd: Callable[..., list[float]], likely: int | None) -> int:
        def slow(streams: int) -> float:
            return float(np.percentile(crowd(recognizer, chunks, streams, task.rounds), 98))

        return most_within(slow, ear.chunk_seconds, task.most, likely or 1)

    before = task.likely or StreamFigures(unbatched=1, batched=1)
    unbatched = most(one_by_one, before.unbatched)
    try:
        batched = most(in_one_batch, before.batched)
    except BundleError:  # a provider that has compiled the graph for one stream
        batched = None
    return StreamFigures(unbatched=unbatched, batched=batched)


def most_within(measure: Callable[[int], float], limit: float, most: int, start: int = 1) -> int:
    """The largest number for which what is measured stays within a limit.

    Args:
        measure: Grows about linearly with the number.
        limit: In the unit of what is measured.
        most: Numbers above are not tried.
        start: Where to begin.

    Returns:
        The number; 0 if 1 is too much already.
    """
    good, bad, number = 0, most + 1, min(start, most)
    for _ in range(TRIES):
        taken = measure(number)
        if taken <= limit:
            good = number
        else:
            bad = number
        if bad - good <= 1 or (good and bad <= good * CLOSE_ENOUGH):
            break
        likely = int(number * limit / max(taken, 1e-9))
        if not good < likely < bad and bad <= most:
            likely = (good + bad) // 2
        number = min(max(likely, good + 1), bad - 1)
    return good


def one_by_one(recognizer: Recognizer, chunks: Floats, streams: int, rounds: int) -> list[float]:
    """Seconds until each chunk of each stream was decoded, with a step of the graph for each stream."""
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


def in_one_batch(recognizer: Recognizer, chunks: Floats, streams: int, rounds: int) -> list[float]:
    """The same with one step of the graph for all streams."""
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
            if number:
                latencies.append(time.perf_counter() - began)
    return latencies
