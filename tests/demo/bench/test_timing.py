"""Timing of a passage: same text as the recognizer, and latencies from simulated arrival."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgespeech.demo.bench.plan import Plan
from edgespeech.demo.bench.timing import final_after_silence, open_timed_recognizer, speech_limits, time_passage
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.recognizer import Recognizer

Samples = NDArray[np.float32]


def test_a_timed_passage_has_the_chunks_of_the_recognizer(tiny_bundle: Bundle, noise: Callable[[int], Samples]) -> None:
    timed = open_timed_recognizer(Plan(bundle=str(tiny_bundle.folder)))
    samples = noise(16000)
    assert Recognizer(tiny_bundle).transcribe((samples, 16000)).text
    times = time_passage(timed, samples)
    assert len(times.chunks) == len(samples) // 1280
    assert times.final_on_stop > 0.0
    assert times.first_partial is None or times.first_partial > 0.08, "not before the first chunk was spoken"


def test_the_limits_of_speech_are_found(noise: Callable[[int], Samples]) -> None:
    silence = np.zeros(16000, np.float32)
    quiet = np.concatenate([silence, noise(8000), silence])
    assert speech_limits(quiet, 16000) == (16000, 24000)
    assert speech_limits(silence, 16000) == (0, 16000)


def test_a_final_after_silence_waits_for_the_endpoint(tiny_bundle: Bundle, noise: Callable[[int], Samples]) -> None:
    waited = final_after_silence(open_timed_recognizer(Plan(bundle=str(tiny_bundle.folder))), noise(16000))
    assert waited is None or waited >= 0.0
