"""Measures one configuration in a process of its own: times, memory, CPU, energy, word errors."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgespeech.demo.bench.plan import Plan, Speech
from edgespeech.demo.bench.report import Accuracy, Configuration, Energy, Memory, spread
from edgespeech.demo.bench.timing import (
    TimedRecognizer,
    final_after_silence,
    first_partial_after_speech,
    open_timed_recognizer,
    time_passage,
)
from edgespeech.demo.machine.energy import Meter, open_meter
from edgespeech.runtime.acoustic_model import import_onnxruntime
from edgespeech.runtime.bundle import MANIFEST, describe_file, load_bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS
from edgespeech.runtime.measure.memory import ResidentMemory, resident_memory

Floats = NDArray[np.float32]
IDLE_SECONDS = 1.0


class IsolatedRun(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Task for a process: measure one configuration.

    Attributes:
        busy_seconds: Duration of the load for CPU time and energy.
        accuracy: Manifest to count word errors on; None to skip that.
    """

    plan: Plan
    speech: Speech
    busy_seconds: float
    accuracy: str | None


class IsolatedFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one configuration; times in seconds, lists with one entry per recording."""

    configuration: Configuration
    cold: float
    warm: float
    files_were_cold: bool
    first_partial: list[float]
    final_on_stop: list[float]
    final_on_silence: list[float]
    memory: Memory
    cpu_per_audio: float
    cores_busy: float
    energy: Energy | None
    accuracy: Accuracy | None
    nodes: int | None
    nodes_on_cpu: dict[str, int] | None


@dataclass(frozen=True)
class _Load:
    cpu_per_audio: float
    cores_busy: float
    energy: Energy | None


def measure_isolated(task: IsolatedRun) -> IsolatedFigures:
    """Measure one configuration in a process that has not loaded a model yet."""
    meter = open_meter()
    idle = None if meter is None else _watts(meter, lambda: time.sleep(IDLE_SECONDS))
    files_were_cold = drop_from_cache(Path(task.plan.bundle))
    before = resident_memory()
    timed, cold = _load(task.plan)
    rate = timed.recognizer.sample_rate
    recordings = task.speech.read(rate)
    time_passage(timed, recordings[0])  # warms up
    times = [time_passage(timed, recording) for recording in recordings]
    partials = [first_partial_after_speech(*pair, rate) for pair in zip(times, recordings, strict=True)]
    finals = [final_after_silence(timed, recording) for recording in recordings]
    load = _keep_busy(timed, recordings, task.busy_seconds, meter, idle)
    after = resident_memory()
    if meter is not None:
        meter.close()
    accuracy = None if task.accuracy is None else _accuracy(timed, Path(task.accuracy))
    configuration, model = _describe(task.plan, timed), timed.recognizer.model
    nodes, nodes_on_cpu = model.nodes, model.nodes_on_cpu
    del timed, model
    _, warm = _load(task.plan)
    return IsolatedFigures(
        configuration=configuration,
        cold=cold,
        warm=warm,
        files_were_cold=files_were_cold,
        first_partial=[seconds for seconds in partials if seconds is not None],
        final_on_stop=[one.final_on_stop for one in times],
        final_on_silence=[seconds for seconds in finals if seconds is not None],
        memory=_memory(before, after),
        cpu_per_audio=load.cpu_per_audio,
        cores_busy=load.cores_busy,
        energy=load.energy,
        accuracy=accuracy,
        nodes=nodes,
        nodes_on_cpu=nodes_on_cpu,
    )


def _load(plan: Plan) -> tuple[TimedRecognizer, float]:
    """Load a configuration, with the libraries if this is the first time; return the seconds too."""
    began = time.perf_counter()
    import_onnxruntime()
    if plan.language_model:
        with suppress(ImportError):
            import_module("kenlm")
    timed = open_timed_recognizer(plan)
    return timed, time.perf_counter() - began


def _describe(plan: Plan, timed: TimedRecognizer) -> Configuration:
    bundle = load_bundle(plan.bundle)
    manifest = bundle.manifest
    return Configuration(
        name="",
        bundle=plan.bundle,
        model=manifest.name,
        sha256=describe_file(bundle.folder / MANIFEST).sha256,
        form=manifest.graph.form,
        precision=manifest.graph.precision,
        provider=plan.provider,
        threads=plan.threads,
        chunk_ms=timed.chunk_seconds * 1000.0,
        lookahead_ms=manifest.audio.lookahead_seconds * 1000.0,
        beam_width=plan.beam_width or manifest.decoder.beam_width,
        language_model=timed.recognizer.decoder.lm is not None,
        acoustic_mb=manifest.files["acoustic.onnx"].bytes / 1e6,
        bundle_mb=sum(entry.bytes for entry in manifest.files.values()) / 1e6,
    )


def _memory(before: ResidentMemory, after: ResidentMemory) -> Memory:
    return Memory(
        steady=spread([after.total_mb]),
        peak=spread([after.peak_mb]),
        added=spread([after.total_mb - before.total_mb]),
    )


def _keep_busy(
    timed: TimedRecognizer, recordings: list[Floats], seconds: float, meter: Meter | None, idle_watts: float | None
) -> _Load:
    """Process the recordings again and again, and measure CPU time and energy meanwhile."""
    audio = 0.0

    def process() -> None:
        nonlocal audio
        until = time.perf_counter() + seconds
        while not audio or time.perf_counter() < until:
            for recording in recordings:
                time_passage(timed, recording)
                audio += len(recording) / timed.recognizer.sample_rate

    began, cpu_before = time.perf_counter(), time.process_time()
    watts = None
    if meter is None:
        process()
    else:
        watts = _watts(meter, process)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu_before
    energy = None
    if meter is not None and watts is not None and idle_watts is not None:
        per_audio = wall / audio
        energy = Energy(
            source=meter.source,
            joules_per_second_of_audio=spread([watts * per_audio]),
            above_idle=spread([(watts - idle_watts) * per_audio]),
            watts=spread([watts]),
            idle_watts=spread([idle_watts]),
        )
    return _Load(cpu / audio, cpu / wall, energy)


def _watts(meter: Meter, work: Callable[[], None]) -> float:
    before, began = meter.joules(), time.perf_counter()
    work()
    return (meter.joules() - before) / (time.perf_counter() - began)


def _accuracy(timed: TimedRecognizer, manifest: Path) -> Accuracy:
    # Imported after the memory was measured.
    from edgespeech.runtime.measure.evaluation import evaluate_manifest

    found = evaluate_manifest(timed.recognizer, manifest)
    return Accuracy(
        speech="sample clips" if manifest == SAMPLE_CLIPS.absolute() else f"{manifest.parent.name}/{manifest.name}",
        wer=found.wer,
        cer=found.cer,
        wer_interval=(found.interval.low, found.interval.high),
        words=found.words,
        utterances=len(found.references),
        rtf=found.rtf,
    )


def drop_from_cache(folder: Path) -> bool:
    """Ask the system to drop the files of a bundle from its cache; return False where that is impossible."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in sorted(folder.iterdir()):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True
