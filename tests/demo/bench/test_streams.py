"""The search for the maximum number of streams, and the trials that it makes."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.demo.bench.plan import Plan, Speech
from edgespeech.demo.bench.streams import (
    StreamSearch,
    search_maximum,
    search_streams,
    time_streams_batched,
    time_streams_unbatched,
)
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.recognizer import Recognizer

Samples = NDArray[np.float32]


@pytest.mark.parametrize("start", [1, 7, 31, 33, 200])
@pytest.mark.parametrize(
    ("slope", "max_number", "wanted"), [(0.1, 512, 32), (0.9, 512, 3), (5.0, 512, 0), (0.001, 50, 50)]
)
def test_the_maximum_is_found(slope: float, max_number: int, wanted: int, start: int) -> None:
    tried: list[int] = []

    def measure(streams: int) -> float:
        tried.append(streams)
        return slope * streams

    found = search_maximum(measure, 3.2, max_number, start)
    assert wanted / 1.05 <= found <= wanted and max(tried) <= max_number and len(set(tried)) == len(tried) <= 7
    if start in {31, 33} and wanted == 32:
        assert len(tried) <= 3, "a good start saves trials"


def test_a_search_on_a_noisy_machine_ends(noise: Callable[[int], Samples]) -> None:
    disturbed = iter(1.0 + np.abs(noise(100)) * 3.0)
    assert 15 <= search_maximum(lambda streams: 0.1 * streams * next(disturbed), 3.2, 512) <= 32


def test_all_streams_are_decoded_batched_or_not(tiny_bundle: Bundle, speech: Speech) -> None:
    recognizer = Recognizer(tiny_bundle)
    chunks = np.resize(np.concatenate(speech.read(16000)), (9, 1280))
    for time_streams in (time_streams_unbatched, time_streams_batched):
        latencies = time_streams(recognizer, chunks, 3, 4)
        assert len(latencies) == 12
        assert all(first < second < third for first, second, third in zip(*[iter(latencies)] * 3, strict=True))


def test_a_search_for_streams_has_a_limit(tiny_bundle: Bundle, speech: Speech) -> None:
    task = StreamSearch(plan=Plan(bundle=str(tiny_bundle.folder)), speech=speech, max_streams=2, rounds=2)
    found = search_streams(task)
    assert found.unbatched <= 2 and found.batched is not None and found.batched <= 2
    again: StreamSearch = msgspec.structs.replace(task, previous=found)
    assert search_streams(again).unbatched <= 2
