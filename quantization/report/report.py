"""Measure everything that quantization gained and cost in one run, and save it as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from edgespeech.quantization.divergence import Divergence, divergence, stream_log_probs
from edgespeech.quantization.graph.float_graph import FloatGraph
from edgespeech.quantization.graph_audit import GraphAudit, TensorEntry, precision_fractions
from edgespeech.quantization.range_calibration import RangeCalibration
from edgespeech.quantization.report.layer_noise import measure_layer_noise
from edgespeech.quantization.sensitivity import Evaluate, LayerCost
from edgespeech.runtime.bundle import ACOUSTIC, Bundle
from edgespeech.runtime.files import replacing
from edgespeech.runtime.measure.chunk_time import ChunkTime, measure_chunk_times
from edgespeech.runtime.measure.memory import Memory, measure_memory
from edgespeech.runtime.measure.progress import Progress
from edgespeech.runtime.measure.word_errors import WordErrors

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Side:
    """One of the two bundles that are compared."""

    name: str  # of its folder
    form: str
    precision: str
    acoustic_bytes: int  # size of the graph's file
    chunk_time: ChunkTime  # per chunk of the quantized bundle, on one thread
    memory: Memory
    error_rates: WordErrors | None  # on the dev manifest; None if not counted


@dataclass(frozen=True)
class QuantizationReport:
    """Figures of a quantized bundle and of the float32 bundle that it is compared with.

    Attributes:
        calibration: Method that chose the activation ranges; empty for fp16.
        calibration_kl: Divergence of each method that was tried, nats per frame.
        kept: Weights left in higher precision on purpose.
        log_probs: Distance of the log-probabilities on the calibration speech.
        shares: Fraction of the trained weights' float32 bytes in each precision, read from the graph.
        sensitivity: Layers quantized alone, the most sensitive one first; empty if not measured.
    """

    before: Side
    after: Side
    calibration: str
    calibration_kl: Mapping[str, float]
    kept: tuple[str, ...]
    log_probs: Divergence
    shares: Mapping[str, float]
    tensors: tuple[TensorEntry, ...]
    sensitivity: tuple[LayerCost, ...]

    def summary(self) -> dict[str, Any]:
        """Return the figures for ``measured`` of the bundle's manifest; error rates are in percent there."""
        figures: dict[str, Any] = {
            "compared_with": f"{self.before.precision} {self.before.form}",
            "size_ratio": self.after.acoustic_bytes / self.before.acoustic_bytes,
            "weight_shares": dict(self.shares),
            "chunk_ms": self.after.chunk_time.median_ms,
            "chunk_time_ratio": self.after.chunk_time.median_ms / self.before.chunk_time.median_ms,
            "memory_mb": self.after.memory.total_mb,
            "memory_ratio": self.after.memory.total_mb / self.before.memory.total_mb,
        }
        for side, name in ((self.before, "_before"), (self.after, "")):
            if side.error_rates is not None:
                percent = _percent(side.error_rates)
                figures |= {f"{rate}_percent{name}": value for rate, value in percent.items()}
        return figures


def measure_report(
    original: Bundle,
    quantized: Bundle,
    speech: Sequence[Floats],
    *,
    baseline: Bundle | None = None,
    evaluate: Evaluate | None = None,
    calibration: RangeCalibration | None = None,
    kept: Sequence[str] = (),
    costs: Sequence[LayerCost] = (),
) -> QuantizationReport:
    """Compare a quantized bundle with its float32 original on recordings.

    Size, speed, memory and word errors are compared with ``baseline``, another form of the original, if it is given.
    What was found while quantizing (``calibration``, ``kept``, ``costs``) is put into the report.

    Raises:
        EdgespeechError: A bundle cannot be run, or the lengths of the chunks differ.
    """
    before, graph = baseline or original, FloatGraph(onnx.load(str(original.acoustic_path)))
    final = onnx.load(str(quantized.acoustic_path))
    with Progress("measuring: layers", 4) as progress:
        noise = measure_layer_noise(original, graph, final, speech)
        entries = GraphAudit(graph.model, final).entries(dict.fromkeys(kept, "kept in higher precision"))
        tensors = tuple(replace(entry, output_sqnr_db=noise.get(entry.name)) for entry in entries)
        both = {"before": before, "after": quantized}
        chunk_samples = quantized.manifest.audio.chunk_samples
        progress.advance(title="measuring: compute time")
        times = measure_chunk_times(both, np.concatenate(list(speech)), chunk_samples)
        sides = {}
        for name, bundle in both.items():
            progress.advance(title="measuring: memory and word errors" if evaluate else "measuring: memory")
            sides[name] = Side(
                name=bundle.folder.name,
                form=bundle.manifest.graph.form,
                precision=bundle.manifest.graph.precision,
                acoustic_bytes=bundle.manifest.files[ACOUSTIC].bytes,
                chunk_time=times[name],
                memory=measure_memory(bundle),
                error_rates=evaluate(bundle) if evaluate else None,
            )
        progress.advance()
    exact, rounded = (stream_log_probs(original, model, speech) for model in (graph.model, final))
    return QuantizationReport(
        before=sides["before"],
        after=sides["after"],
        calibration=calibration.method if calibration else "",
        calibration_kl={str(name): kl for name, kl in calibration.divergences.items()} if calibration else {},
        kept=tuple(kept),
        log_probs=divergence(exact, rounded),
        shares=precision_fractions(tensors),
        tensors=tensors,
        sensitivity=tuple(costs),
    )


def save_report(report: QuantizationReport, path: Path) -> None:
    """Write the report as JSON, with error rates in percent.

    Raises:
        UsageError: The file cannot be written.
    """
    bare = replace(
        report, before=replace(report.before, error_rates=None), after=replace(report.after, error_rates=None)
    )
    document = msgspec.to_builtins(bare)
    for key, side in (("before", report.before), ("after", report.after)):
        if side.error_rates is not None:
            document[key]["error_rates"] = _percent(side.error_rates)
    for cost in document["sensitivity"]:
        if cost["wer_increase"] is not None:
            cost["wer_increase"] *= 100
    with replacing(path) as file:
        file.write(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


def _percent(errors: WordErrors) -> dict[str, float]:
    return {"wer": 100 * errors.wer, "deletions": 100 * errors.deletion_rate, "cer": 100 * errors.cer}
