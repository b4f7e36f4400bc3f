"""Tries every configuration before it is measured: finds what is invalid, and estimates how long all will take."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module

import msgspec
import psutil

from edgespeech.demo.bench.interleaved import IDLE_SECONDS
from edgespeech.demo.bench.plan import Plan, Speech
from edgespeech.demo.bench.request import Effort
from edgespeech.demo.bench.streams import search_maximum
from edgespeech.demo.bench.timing import SILENCE_SECONDS, open_timed_recognizer, time_passage
from edgespeech.demo.machine.energy import open_meter
from edgespeech.errors import UsageError
from edgespeech.runtime import audio
from edgespeech.runtime.acoustic_model import import_onnxruntime
from edgespeech.runtime.manifest import Utterance

TRIED_SECONDS = 5.0
# A search on a real machine tries more numbers of streams than one whose times are exact.
TRIALS_OF_NOISY_SEARCH = 2.0


class Trial(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Task for a process: load every configuration, and process the beginning of the speech with it."""

    plans: list[Plan]
    speech: Speech


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds to load a configuration, its real-time factor, and the length of its chunk."""

    load: float
    rtf: float
    chunk_seconds: float


class TrialFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of each plan, and what they have in common.

    Attributes:
        recordings: Lengths of the recordings in seconds.
        start: Seconds to start a process and to import the libraries.
        has_meter: Whether the machine has an energy meter.
    """

    configurations: list[Tried]
    recordings: list[float]
    start: float
    has_meter: bool


def try_configurations(task: Trial) -> TrialFigures:
    """Try each configuration once; raise an EdgespeechError if one, or the speech, is invalid."""
    import_onnxruntime()
    with suppress(ImportError):
        import_module("kenlm")
    start = time.time() - psutil.Process().create_time()
    meter = open_meter()
    if meter is not None:
        meter.close()
    known: dict[Plan, Tried] = {}
    recordings: list[float] = []
    for plan in task.plans:
        if plan not in known:
            known[plan], recordings = _try(plan, task.speech)
    return TrialFigures(
        configurations=[known[plan] for plan in task.plans],
        recordings=recordings,
        start=start,
        has_meter=meter is not None,
    )


def _try(plan: Plan, speech: Speech) -> tuple[Tried, list[float]]:
    began = time.perf_counter()
    timed = open_timed_recognizer(plan)
    load = time.perf_counter() - began
    rate, size = timed.recognizer.sample_rate, timed.recognizer.chunk_samples
    recordings = speech.read(rate)
    longest = max(recordings, key=len)
    if len(longest) < size:
        raise UsageError(
            f"chunks of {timed.chunk_seconds * 1000.0:g} ms are longer than every recording, of which the longest has "
            f"{len(longest) / rate:.1f} s; give longer recordings or shorter chunks"
        )
    time_passage(timed, longest[: max(size, rate)])  # warms up
    passage = longest[: max(size, round(TRIED_SECONDS * rate))]
    total, _, _ = time_passage(timed, passage).totals
    tried = Tried(load=load, rtf=total / (len(passage) / rate), chunk_seconds=timed.chunk_seconds)
    return tried, [len(recording) / rate for recording in recordings]


@dataclass(frozen=True)
class Estimates:
    """Seconds that each part of a launch will probably take: lists with one entry for each configuration.

    Attributes:
        isolated: Measurement of one configuration alone.
        accuracy: Word errors, which only the first launch counts.
        streams: Search for the maximum number of streams.
        together: Measurement of all configurations in turns.
    """

    isolated: Sequence[float]
    accuracy: Sequence[float]
    streams: Sequence[float]
    together: float

    def total(self, launches: int) -> float:
        """Return the seconds of all launches."""
        return launches * (sum(self.isolated) + sum(self.streams) + self.together) + sum(self.accuracy)


def estimate(figures: TrialFigures, effort: Effort, accuracy_seconds: float) -> Estimates:
    """Estimate the durations; ``accuracy_seconds`` is the length of the speech that word errors are counted on."""
    tried, start, passage = figures.configurations, figures.start, sum(figures.recordings)
    first, silence = figures.recordings[0], SILENCE_SECONDS * len(figures.recordings)
    idle = IDLE_SECONDS if figures.has_meter else 0.0

    def isolated(one: Tried) -> float:
        busy = max(effort.busy_seconds, one.rtf * passage)
        return start + idle + 2.0 * one.load + one.rtf * (first + 2.0 * passage + silence) + busy

    one_round = sum(one.rtf for one in tried) * passage
    within_limit = math.ceil(effort.max_seconds * len(tried) / one_round)
    rounds = min(effort.rounds, max(2, within_limit))
    together = start + idle + sum(one.load + one.rtf * first for one in tried) + rounds * one_round
    return Estimates(
        isolated=[isolated(one) for one in tried],
        accuracy=[one.rtf * accuracy_seconds for one in tried],
        streams=[start + one.load + _search_seconds(one, effort) for one in tried] if effort.max_streams else [],
        together=together,
    )


def _search_seconds(one: Tried, effort: Effort) -> float:
    """Add up the times of a search in which each stream takes the same time, once unbatched and once batched."""
    spent = 0.0

    def measure(streams: int) -> float:
        nonlocal spent
        taken = streams * one.rtf * one.chunk_seconds
        spent += (effort.stream_rounds + 1) * taken
        return taken

    search_maximum(measure, one.chunk_seconds, effort.max_streams)
    return 2.0 * TRIALS_OF_NOISY_SEARCH * spent


def speech_seconds(utterances: Sequence[Utterance]) -> float:
    """Add up the lengths of utterances; raise AudioError if a file must be read for that and cannot."""
    return sum(
        audio.info(one.path).duration - one.offset if one.duration is None else one.duration for one in utterances
    )
