"""The trial before a measurement, and the durations that are estimated from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgespeech.demo.bench import interleaved, isolated
from edgespeech.demo.bench.interleaved import InterleavedRun, measure_interleaved
from edgespeech.demo.bench.isolated import IsolatedRun, measure_isolated
from edgespeech.demo.bench.plan import Plan, Speech
from edgespeech.demo.bench.request import Effort
from edgespeech.demo.bench.timing import PassageTimes
from edgespeech.demo.bench.trial import Trial, TrialFigures, Tried, estimate, speech_seconds, try_configurations
from edgespeech.errors import UsageError
from edgespeech.runtime.bundle import Bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest

EFFORT = Effort(launches=2, rounds=3, max_seconds=60.0, speech_seconds=1.5, busy_seconds=0.0, max_streams=0)


def test_every_configuration_is_tried_once(tiny_bundle: Bundle, cells_bundle: Bundle, speech: Speech) -> None:
    plans = [Plan(bundle=str(one.folder)) for one in (tiny_bundle, cells_bundle, tiny_bundle)]
    found = try_configurations(Trial(plans=plans, speech=speech))
    first, cells, again = found.configurations
    assert first == again != cells
    assert all(one.load > 0.0 and one.rtf > 0.0 and one.chunk_seconds == 0.08 for one in found.configurations)
    assert found.recordings == [1.5] and found.start > 0.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"threads": 0}, "threads is 0"), ({"chunk_ms": 31.0}, "chunk of 31 ms"), ({"chunk_ms": 4000.0}, "are longer")],
)
def test_an_invalid_configuration_is_found(
    tiny_bundle: Bundle, speech: Speech, settings: dict[str, Any], message: str
) -> None:
    plans = [Plan(bundle=str(tiny_bundle.folder)), Plan(bundle=str(tiny_bundle.folder), **settings)]
    with pytest.raises(UsageError, match=message):
        try_configurations(Trial(plans=plans, speech=speech))


@pytest.fixture
def processed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of audio of every passage, which are not really processed."""
    lengths: list[float] = []

    def time_passage(timed: object, samples: np.ndarray[Any, Any]) -> PassageTimes:
        lengths.append(len(samples) / 16000)
        return PassageTimes([(0.1, 0.1, 0.0)], (0.1, 0.1, 0.0), 0.5, 0.5, 0.1)

    monkeypatch.setattr("edgespeech.demo.bench.timing.time_passage", time_passage)
    for module in (isolated, interleaved):
        monkeypatch.setattr(module, "time_passage", time_passage)
        monkeypatch.setattr(module, "open_meter", lambda: None)
    return lengths


def figures(*rtf: float, recordings: tuple[float, ...] = (1.0, 0.5), start: float = 0.0) -> TrialFigures:
    tried = [Tried(load=0.0, rtf=one, chunk_seconds=0.3) for one in rtf]
    return TrialFigures(configurations=tried, recordings=list(recordings), start=start, has_meter=False)


def test_the_estimate_counts_the_audio_that_is_processed(
    tiny_bundle: Bundle, speech: Speech, processed: list[float]
) -> None:
    plan = Plan(bundle=str(tiny_bundle.folder))
    measure_isolated(IsolatedRun(plan=plan, speech=speech, busy_seconds=0.0, accuracy=None))
    found = estimate(figures(1.0, recordings=(1.5,)), EFFORT, accuracy_seconds=10.0)
    silence_at_the_end = 0.5  # of the recording; the final is timed from the end of the speech
    assert list(found.isolated) == pytest.approx([sum(processed)], abs=silence_at_the_end)
    assert found.accuracy == [10.0] and found.streams == []
    processed.clear()
    measure_interleaved(InterleavedRun(plans=[plan] * 2, speech=speech, rounds=3, max_seconds=60.0))
    two = figures(1.0, 1.0, recordings=(1.5,))
    assert estimate(two, EFFORT, 10.0).together == pytest.approx(sum(processed))


def test_all_launches_are_added_up() -> None:
    found = estimate(figures(0.1, 0.2, start=1.0), Effort(busy_seconds=2.0, max_streams=0), accuracy_seconds=100.0)
    assert found.isolated == pytest.approx([1.0 + 0.1 * (1.0 + 3.0 + 8.0) + 2.0, 1.0 + 0.2 * (1.0 + 3.0 + 8.0) + 2.0])
    assert found.total(3) == pytest.approx(3 * (sum(found.isolated) + found.together) + 10.0 + 20.0)


def test_slow_configurations_have_two_rounds() -> None:
    fast = estimate(figures(0.01), Effort(rounds=5, max_seconds=3.0), 0.0).together
    slow = estimate(figures(10.0), Effort(rounds=5, max_seconds=3.0), 0.0).together
    assert fast == pytest.approx(0.01 * (1.0 + 5 * 1.5)) and slow == pytest.approx(10.0 * (1.0 + 2 * 1.5))


def test_the_search_for_streams_takes_a_few_trials_of_a_chunk_each() -> None:
    plain = estimate(figures(0.02), Effort(max_streams=0), 0.0)
    (searching,) = estimate(figures(0.02), Effort(stream_rounds=3), 0.0).streams
    assert plain.streams == [] and 4 * 0.3 * 4 <= searching <= 4 * 0.3 * 14
    (alone,) = estimate(figures(0.02), Effort(stream_rounds=3, max_streams=1), 0.0).streams
    assert alone < searching / 10


def test_the_length_of_speech_is_that_of_its_utterances() -> None:
    utterances = read_manifest(SAMPLE_CLIPS)
    assert speech_seconds(utterances) == pytest.approx(29.6, abs=0.1)
