"""Streams in JavaScript against Python's, with recorded outputs of the model: equal chunks go in, equal events come.

Python's model records what it is given and what it returns; in its place, JavaScript plays the outputs back and
compares the samples. So conditioning, chunks, states, look-ahead, endpoints, minimum evidence and events are compared
at once, without the differences between the two builds of onnxruntime.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from edgespeech.runtime.acoustic_model import AcousticModel, State
from edgespeech.runtime.bundle import DEFAULT_BUNDLE
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.stream import Stream
from edgespeech.runtime.transcript import Event

Samples = NDArray[np.float32]
Step = tuple[Any, ...]  # name of a method of the stream and its arguments; for ``accept``, a range of samples

# The filter against hum computes in another order; beside it, the samples are equal.
TOLERANCE = 2e-7

_OPTIONS = {
    "beam_width": "beamWidth", "hot_words": "hotWords", "endpoint_seconds": "endpointSeconds", "use_lm": "useLm",
    "empty_seconds": "emptySeconds", "longest_seconds": "longestSeconds", "min_evidence": "minEvidence",
    "chunk_ms": "chunkMs", "filler_score": "fillerScore",
}  # fmt: skip


class Recorder:
    """The acoustic model of a recognizer, which keeps what each call was given and returned."""

    def __init__(self, model: AcousticModel, state: str, end_state: str) -> None:
        self._model, self._state, self._end_state = model, state, end_state
        self.samples: list[Samples] = []
        self.log_probs: list[Samples] = []
        self.states: list[int] = []  # number of the call whose state each call was given; -1 for the initial state
        self.ends: list[float] = []  # samples to the end of the recording that each call was given; -1 if none
        self._known: list[State] = []

    def initial_state(self, batch: int = 1) -> State:
        """Return the state of the model."""
        return self._model.initial_state(batch)

    def step(self, samples: Samples, state: State) -> tuple[Samples, State]:
        """Process one chunk by the model."""
        given = [number for number, known in enumerate(self._known) if known[self._state] is state[self._state]]
        log_probs, after = self._model.step(samples, state)
        self.samples.append(samples[0])
        self.log_probs.append(log_probs[0])
        self.states.append(given[0] if given else -1)
        end = state.get(self._end_state)
        own = end is None or any(end is known[self._end_state] for known in self._known)
        self.ends.append(-1.0 if own or end is None or end.max() != end.min() else float(end.max()))
        self._known.append(after)
        return log_probs, after

    def ending(self, state: State, samples_left: int) -> State:
        """Return the state of a recording that ends."""
        return self._model.ending(state, samples_left)


def sentences(clips: Sequence[Samples], gain: float = 1.0, pause: float = 1.6, noise: float = 2e-4) -> Samples:
    """Join the clips with pauses of noise between them."""
    random = np.random.default_rng(1)
    pieces = [np.concatenate([clip, np.zeros(int(pause * 16000), np.float32)]) for clip in clips]
    joined = np.concatenate(pieces)
    return ((joined + random.normal(0.0, noise, len(joined))) * gain).astype(np.float32)


def pushes(length: int, block: int) -> list[Step]:
    return [("accept", at, min(length, at + block)) for at in range(0, length, block)]


def require_equal_events(
    run_job: Callable[..., Any],
    samples: Samples,
    steps: Sequence[Step],
    options: dict[str, Any] | None = None,
    fast_partials: bool = False,
    bundle: Path = DEFAULT_BUNDLE,
) -> list[Event]:
    """Run a stream in both, require equal events and inputs of the model, and return the events."""
    recognizer = Recognizer(bundle, whole_phrases=False, **(options or {}))  # the port has no scores of whole phrases
    facts = recognizer.bundle.manifest
    recorder = Recorder(recognizer.model, facts.graph.states[-1].name, facts.audio.end_state)
    stream = Stream(replace(recognizer.parts, model=cast(AcousticModel, recorder)), 16000, fast_partials)
    names = {"accept": "accept", "endSegment": "end_segment", "finish": "finish", "setHotWords": "set_hot_words"}
    events: list[list[Event]] = []
    for name, *values in steps:
        arguments = [samples[slice(*values)]] if name == "accept" else values
        events.append(getattr(stream, names[name])(*arguments) or [])
    calls = {
        "sizes": [len(one) for one in recorder.samples],
        "states": recorder.states,
        "ends": recorder.ends,
        "endState": facts.audio.end_state,
        "inputs": [facts.graph.input, *(state.name for state in facts.graph.states)],
        "outputs": [facts.graph.output, *(state.output for state in facts.graph.states)],
        "labels": len(facts.labels),
        "frame": facts.audio.frame_samples,
    }
    found = run_job(
        "events",
        bundle=bundle,
        calls=calls,
        callSamples=np.concatenate(recorder.samples),
        callLogProbs=np.concatenate(recorder.log_probs),
        samples=samples,
        options={_OPTIONS.get(name, name): value for name, value in (options or {}).items()},
        stream={"fastPartials": fast_partials},
        steps=[list(step) for step in steps],
    )
    model = found["model"]
    assert model["done"] == model["calls"] and model["wrongStates"] == 0
    assert model["largest"] <= TOLERANCE
    wanted = [[_as_json(event) for event in some] for some in events]
    assert [[_rounded(event) for event in some] for some in found["events"]] == [list(map(_rounded, w)) for w in wanted]
    assert found["speechLevel"] == pytest.approx(stream.speech_level, abs=1e-6)
    assert found["levelWarning"] == stream.level_warning
    assert found["secondsProcessed"] == pytest.approx(stream.seconds_processed)
    assert found["segmentStart"] == pytest.approx(stream.segment_start)
    return [event for some in events for event in some]


def _as_json(event: Event) -> dict[str, Any]:
    keys = ["type", "text", "committed", "tentative", "start", "end"] + ["words", "nbest"] * (event.type == "final")
    return {key: _without_written(value) for key, value in asdict(event).items() if key in keys}


def _without_written(value: Any) -> Any:
    """Leave out the written form of words and the evidence for whole phrases, which the engine does not know."""
    if isinstance(value, dict):
        left_out = ("written", "phrase_evidence")
        return {key: _without_written(one) for key, one in value.items() if key not in left_out}
    return [*map(_without_written, value)] if isinstance(value, (list, tuple)) else value


def _rounded(value: Any) -> Any:
    """Return the value without the time that computing took, and with nine digits of each number."""
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in sorted(value.items()) if key != "latency_ms"}
    if isinstance(value, (list, tuple)):
        return [_rounded(one) for one in value]
    return float(f"{value:.9e}") if isinstance(value, float) and abs(value) > 1e-12 else value


@pytest.mark.parametrize("block", [1024, 10**6])
def test_sentences_with_pauses(run_job: Callable[..., Any], clips: list[Samples], block: int) -> None:
    samples = sentences(clips)
    events = require_equal_events(run_job, samples, [*pushes(len(samples), block), ("finish",)], {"nbest": 5})
    assert sum(event.type == "final" for event in events) >= 4
    assert sum(event.type == "partial" for event in events) > 30


@pytest.mark.parametrize(
    "options",
    [
        {"beam_width": 16, "endpoint_seconds": 0.4, "empty_seconds": 0.9, "longest_seconds": 2.0, "min_evidence": 0.0},
        {"endpoint_seconds": None, "empty_seconds": None, "longest_seconds": None, "use_lm": False},
        {"chunk_ms": 2400.0, "endpoint_seconds": 0.4},
        {"chunk_ms": 150.0, "hot_words": {"wardens": 6.0, "Pet Cat": 8.0}, "min_evidence": 25.0},
        {"grammar": ["first row", "in good hands", "women"], "filler_score": -3.0, "nbest": 2},
    ],
    ids=["short", "no rules, no model", "long chunks", "hot words", "grammar"],
)
def test_settings(run_job: Callable[..., Any], clips: list[Samples], options: dict[str, Any]) -> None:
    samples = sentences(clips)
    require_equal_events(run_job, samples, [*pushes(len(samples), 2000), ("finish",)], options)


def test_fast_partials(run_job: Callable[..., Any], clips: list[Samples]) -> None:
    samples = sentences(clips[:3])
    steps = [*pushes(len(samples), 1600), ("finish",), ("finish",)]
    require_equal_events(run_job, samples, steps, fast_partials=True)


def test_fast_partials_after_a_quiet_time(run_job: Callable[..., Any], clips: list[Samples]) -> None:
    hiss = (0.001 * np.random.default_rng(0).standard_normal(16000 * 4)).astype(np.float32)
    samples = np.concatenate([hiss, sentences(clips[:1]), hiss])
    events = require_equal_events(run_job, samples, [*pushes(len(samples), 4800), ("finish",)], fast_partials=True)
    assert sum(event.type == "partial" for event in events) > 4


def test_segments_that_a_user_ends_and_hot_words_that_change(run_job: Callable[..., Any], clips: list[Samples]) -> None:
    samples = sentences(clips[:2], pause=0.2)
    steps: list[Step] = []
    for at, step in enumerate(pushes(len(samples), 3001)):
        steps.append(step)
        if at % 9 == 7:
            steps += [("setHotWords", {"wardens": float(at)}), ("endSegment",)]
    events = require_equal_events(run_job, samples, [*steps, ("endSegment",), ("endSegment",), ("finish",)])
    assert sum(event.type == "final" for event in events) >= 4


SOUNDS: dict[str, Callable[[Samples], Samples]] = {
    "quiet": lambda samples: samples * np.float32(0.004),
    "hum": lambda samples: samples + _hum(len(samples), 0.05),
    "quiet hum with an offset": lambda samples: (samples + _hum(len(samples), 0.05)) * np.float32(0.02) + 0.1,
    "digital silence": lambda samples: np.where(np.arange(len(samples)) % 48000 < 20000, np.float32(0.0), samples),
    "becomes loud": lambda samples: samples * np.geomspace(0.003, 3.0, len(samples)).astype(np.float32),
}  # fmt: skip


def _hum(count: int, amplitude: float) -> Samples:
    return np.asarray(amplitude * np.sin(2.0 * np.pi * 50.0 / 16000.0 * np.arange(count)), np.float32)


@pytest.mark.parametrize("sound", SOUNDS)
def test_sounds_that_are_conditioned(run_job: Callable[..., Any], clips: list[Samples], sound: str) -> None:
    samples = SOUNDS[sound](sentences(clips[:3])).astype(np.float32)
    require_equal_events(run_job, samples, [*pushes(len(samples), 1234), ("finish",)])


@pytest.mark.parametrize("count", [0, 1, 479, 480, 5000])
def test_short_recordings(run_job: Callable[..., Any], clips: list[Samples], count: int) -> None:
    samples = clips[0][8000 : 8000 + count]
    require_equal_events(run_job, samples, [("accept", 0, count), ("endSegment",), ("finish",)])


def test_a_model_that_is_told_the_end(run_job: Callable[..., Any], clips: list[Samples], tmp_path: Path) -> None:
    """Any state can be the one that holds the end, as far as the stream is concerned."""
    for path in DEFAULT_BUNDLE.iterdir():
        shutil.copyfile(path, tmp_path / path.name)
    manifest = json.loads((tmp_path / "bundle.json").read_text(encoding="utf-8"))
    manifest["audio"]["end_state"] = manifest["graph"]["states"][0]["name"]
    (tmp_path / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    samples = sentences(clips[:2], pause=0.2)[:-100]
    steps = [
        *pushes(len(samples) // 2, 3001),
        ("endSegment",),
        ("accept", len(samples) // 2, len(samples)),
        ("finish",),
    ]
    require_equal_events(run_job, samples, steps, {"endpoint_seconds": 0.3}, bundle=tmp_path)


def test_conditioned_samples_and_noise_equal_pythons(
    run_job: Callable[..., Any], clips: list[Samples], tmp_path: Path, recognizer: Recognizer
) -> None:
    result = tmp_path / "result"
    run_job("noise", count=65536, result=result)
    wanted = np.random.default_rng(0).standard_normal(65536, dtype=np.float32)
    assert np.array_equal(np.fromfile(result, np.float32), wanted)
    conditioner = recognizer.parts.conditioner
    for name, change in SOUNDS.items():
        samples = change(sentences(clips[:2])).clip(-1.0, 1.0).astype(np.float32)
        run_job("condition", samples=samples, block=700, frame=480, result=result)
        found = np.fromfile(result, np.float32)
        wanted, _ = conditioner.step(samples, conditioner.initial_state(), last=True)
        assert len(found) == len(samples)
        assert np.abs(found - wanted).max() <= TOLERANCE, name
        assert (np.abs(wanted - samples).max() > 1e-3) == (name != "digital silence"), "nothing was conditioned"
