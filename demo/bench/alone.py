"""One configuration in a process of its own: load times, latency, memory, CPU, energy, word errors."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from edgespeech.demo.bench.listen import (
    Ear,
    Plan,
    Speech,
    final_after_silence,
    first_partial_after_speech,
    listen,
    open_ear,
)
from edgespeech.demo.bench.report import Accuracy, Configuration, Energy, Memory, spread
from edgespeech.demo.machine.energy import Meter, open_meter
from edgespeech.runtime.acoustic_model import import_onnxruntime
from edgespeech.runtime.bundle import MANIFEST, describe_file, load_bundle
from edgespeech.runtime.measure.memory import resident_memory

IDLE_SECONDS = 1.0


class Alone(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What to do.

    Attributes:
        busy_seconds: How long to compute for CPU time and energy.
        accuracy: Manifest to count word errors on; None to leave that out.
    """

    plan: Plan
    speech: Speech
    busy_seconds: float
    accuracy: str | None


class AloneFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; times in seconds, one entry per recording."""

    configuration: Configuration
    cold: float
    warm: float
    files_were_cold: bool
    first_partial: list[float]
    final_on_stop: list[float]
    final_on_silence: list[float]
    memory: Memory | None
    cpu_per_audio: float
    cores_busy: float
    energy: Energy | None
    accuracy: Accuracy | None
    nodes: int | None
    nodes_on_cpu: dict[str, int] | None


def measure_alone(task: Alone) -> AloneFigures:
    """Measure; this process must not have loaded a model before.

    Raises:
        EdgespeechError: The configuration or the speech does not do.
    """
    meter = open_meter()
    idle = None if meter is None else _watts(meter, lambda: time.sleep(IDLE_SECONDS))
    plan = task.plan
    files_were_cold = forget_files(Path(plan.bundle))
    before = resident_memory()
    began = time.perf_counter()
    import_onnxruntime()
    if plan.language_model:
        _import_if_there("kenlm")
    ear = open_ear(plan)
    cold = time.perf_counter() - began
    recordings = task.speech.read(ear.recognizer.sample_rate)
    rate = ear.recognizer.sample_rate
    listen(ear, recordings[0])
    heard = [listen(ear, recording) for recording in recordings]
    partials = [first_partial_after_speech(*pair, rate) for pair in zip(heard, recordings, strict=True)]
    silences = [final_after_silence(ear, recording) for recording in recordings]
    cpu, busy, energy = _compute(ear, recordings, task.busy_seconds, meter, idle)
    after = resident_memory()
    if meter is not None:
        meter.close()
    accuracy = None if task.accuracy is None else _accuracy(ear, task.accuracy)
    model = ear.recognizer.model
    configuration = _describe(plan, ear)
    nodes, nodes_on_cpu = model.nodes, model.nodes_on_cpu
    del ear, model
    began = time.perf_counter()
    open_ear(plan)
    warm = time.perf_counter() - began
    return AloneFigures(
        configuration=configuration,
        cold=cold,
        warm=warm,
        files_were_cold=files_were_cold,
        first_partial=[seconds for seconds in partials if seconds is not None],
        final_on_stop=[one.final_on_stop for one in heard],
        final_on_silence=[seconds for seconds in silences if seconds is not None],
        memory=Memory(
            steady=spread([after.total_mb]),
            peak=spread([after.peak_mb]),
            added=spread([after.total_mb - before.total_mb]),
        ),
        cpu_per_audio=cpu,
        cores_busy=busy,
        energy=energy,
        accuracy=accuracy,
        nodes=nodes,
        nodes_on_cpu=nodes_on_cpu,
    )


def _describe(plan: Plan, ear: Ear) -> Configuration:
    bundle = load_bundle(plan.bundle)
    manifest = bundle.manifest
    chunk_ms = ear.chunk_seconds * 1000.0
    return Configuration(
        name="",
        bundle=plan.bundle,
        model=manifest.name,
        sha256=describe_file(bundle.folder / MANIFEST).sha256,
        form=manifest.graph.form,
        precision=manifest.graph.precision,
        provider=plan.provider,
        threads=plan.threads,
        chunk_ms=chunk_ms,
        lookahead_ms=manifest.audio.lookahead_seconds * 1000.0,
        beam_width=plan.beam_width or manifest.decoder.beam_width,
        language_model=ear.recognizer.decoder.lm is not None,
        acoustic_mb=manifest.files["acoustic.onnx"].bytes / 1e6,
        bundle_mb=sum(entry.bytes for entry in manifest.files.values()) / 1e6,
    )


def _compute(
    ear: Ear, recordings: list[Any], seconds: float, meter: Meter | None, idle: float | None
) -> tuple[float, float, Energy | None]:
    """CPU seconds per second of audio, cores kept busy, and energy, of hearing the recordings again and again."""
    audio = 0.0

    def compute() -> None:
        nonlocal audio
        until = time.perf_counter() + seconds
        while not audio or time.perf_counter() < until:
            for recording in recordings:
                listen(ear, recording)
                audio += len(recording) / ear.recognizer.sample_rate

    began, cpu_before = time.perf_counter(), time.process_time()
    watts = None
    if meter is None:
        compute()
    else:
        watts = _watts(meter, compute)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu_before
    energy = None
    if meter is not None and watts is not None and idle is not None:
        per_audio = wall / audio
        energy = Energy(
            source=meter.source,
            joules_per_second_of_audio=spread([watts * per_audio]),
            above_idle=spread([(watts - idle) * per_audio]),
            watts=spread([watts]),
            idle_watts=spread([idle]),
        )
    return cpu / audio, cpu / wall, energy


def _watts(meter: Meter, work: Callable[[], None]) -> float:
    before, began = meter.joules(), time.perf_counter()
    work()
    return (meter.joules() - before) / (time.perf_counter() - began)


def _accuracy(ear: Ear, manifest: str) -> Accuracy:
    from edgespeech.runtime.manifest import SAMPLE_CLIPS
    from edgespeech.runtime.measure.evaluation import evaluate_manifest

    path = Path(manifest)
    found: dict[str, Any] = evaluate_manifest(ear.recognizer, path).as_dict()
    return Accuracy(
        speech="the clips that ship" if path == SAMPLE_CLIPS.absolute() else f"{path.parent.name}/{path.name}",
        wer=found["wer"],
        cer=found["cer"],
        wer_interval=tuple(found["wer_interval"]) if "wer_interval" in found else None,
        words=found["words"],
        utterances=found["utterances"],
        rtf=found["rtf"],
    )


def forget_files(folder: Path) -> bool:
    """Ask the system to drop a bundle's files from its cache; False where there is no way to ask."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in sorted(folder.iterdir()):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def _import_if_there(module: str) -> None:
    try:
        import_module(module)
    except ImportError:
        return
