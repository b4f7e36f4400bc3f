"""How many streams at once: the most for which 98 % of the chunks are done before the next one is there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgespeech.demo.bench_listen import Plan, Speech, open_ear
from edgespeech.demo.bench_report import Streams
from edgespeech.errors import BundleError
from edgespeech.runtime.recognizer import Recognizer

Floats = NDArray[np.float32]
# Two numbers of streams that differ by less are not worth another try.
CLOSE_ENOUGH = 1.04
TRIES = 6


class StreamSearch(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What to do: search up to ``most`` streams; a try lasts for so many chunks of each stream."""

    plan: Plan
    speech: Speech
    most: int
    rounds: int


def search_streams(task: StreamSearch) -> Streams:
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
    found: list[tuple[int, float] | None] = []
    for crowd in (one_by_one, in_one_batch):

        def slow(streams: int, crowd: Callable[..., list[float]] = crowd) -> float:
            return float(np.percentile(crowd(recognizer, chunks, streams, task.rounds), 98))

        try:
            found.append(most_within(slow, ear.chunk_seconds, task.most))
        except BundleError:  # a provider that has compiled the graph for one stream
            if crowd is one_by_one:
                raise
            found.append(None)
    alone, batch = found
    assert alone is not None
    return Streams(
        unbatched=alone[0],
        unbatched_p98=alone[1] * 1e3,
        batched=None if batch is None else batch[0],
        batched_p98=None if batch is None else batch[1] * 1e3,
        at_least=task.most in (alone[0], None if batch is None else batch[0]),
    )


def most_within(measure: Callable[[int], float], limit: float, most: int) -> tuple[int, float]:
    """The largest number for which what is measured stays within a limit.

    Args:
        measure: Grows about linearly with the number.
        limit: In the unit of what is measured.
        most: Numbers above are not tried.

    Returns:
        The number, and what was measured for it; 0 and the measurement for 1 if already that is too much.
    """
    taken = measure(1)
    if taken > limit:
        return 0, taken
    good, bad = (1, taken), most + 1
    for _ in range(TRIES):
        if bad <= good[0] * CLOSE_ENOUGH or bad - good[0] <= 1:
            break
        likely = int(good[0] * limit / max(good[1], 1e-9))
        number = min(max(likely, good[0] + 1), bad - 1)
        if number == bad - 1 and bad <= most:
            number = (good[0] + bad + 1) // 2
        taken = measure(number)
        if taken <= limit:
            good = number, taken
        else:
            bad = number
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
