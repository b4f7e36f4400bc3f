"""Everything that quantizing gained and cost, measured in one run: a record that is saved as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from edgespeech.quantization.calibration import Calibration
from edgespeech.quantization.divergence import Divergence, divergence, stream_log_probs
from edgespeech.quantization.error_rates import ErrorRates, Evaluate
from edgespeech.quantization.graph.float_graph import FloatGraph
from edgespeech.quantization.graph_audit import GraphAudit, TensorEntry, shares
from edgespeech.quantization.report.layer_noise import measure_layer_noise
from edgespeech.quantization.sensitivity import LayerCost
from edgespeech.runtime.bundle import ACOUSTIC, Bundle
from edgespeech.runtime.files import replacing
from edgespeech.runtime.measure.chunk_time import ChunkTime, measure_chunk_times
from edgespeech.runtime.measure.memory import Memory, measure_memory

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Side:
    """One of the two bundles that are compared.

    Attributes:
        name: Of its folder.
        form: ``fused`` or ``cells``.
        precision: ``fp32``, ``fp16``, ``int8`` or ``int4``.
        acoustic_bytes: Size of the graph's file.
        chunk_time: One thread, chunks of the quantized bundle.
        memory: Of a fresh process.
        error_rates: On the dev manifest; None where there was none.
    """

    name: str
    form: str
    precision: str
    acoustic_bytes: int
    chunk_time: ChunkTime
    memory: Memory
    error_rates: ErrorRates | None


@dataclass(frozen=True)
class QuantizationReport:
    """What was measured.

    Attributes:
        before: The float32 bundle to compare with.
        after: The quantized bundle.
        calibration: Method of the activation ranges; empty for fp16.
        calibration_kl: Divergence with each method that was tried, nats per frame.
        kept: Weights left in higher precision on purpose.
        log_probs: Distance of the log-probabilities on the calibration speech.
        shares: Share of the trained weights' bytes in each precision, read from the graph.
        tensors: Every trained tensor.
        sensitivity: Layers quantized alone, the most sensitive one first; empty where not measured.
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
        """The figures that go into the bundle's own description."""
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
                rates = side.error_rates
                figures |= {
                    f"wer_percent{name}": rates.wer,
                    f"deletions_percent{name}": rates.deletions,
                    f"cer_percent{name}": rates.cer,
                }
        return figures


def measure_report(
    original: Bundle,
    quantized: Bundle,
    speech: Sequence[Floats],
    *,
    baseline: Bundle | None = None,
    evaluate: Evaluate | None = None,
    calibration: Calibration | None = None,
    kept: Sequence[str] = (),
    costs: Sequence[LayerCost] = (),
) -> QuantizationReport:
    """Measure two bundles against each other.

    Args:
        original: The float32 bundle that was quantized.
        quantized: What became of it.
        speech: Recordings to compare layers and log-probabilities on.
        baseline: Another form of the original to compare size, speed, memory and word errors with.
        evaluate: Counts word errors on a manifest.
        calibration: How ranges were chosen.
        kept: Weights left in higher precision on purpose.
        costs: Of `measure_sensitivity`.

    Raises:
        EdgespeechError: A bundle cannot be run, or the chunks differ.
    """
    before, graph = baseline or original, FloatGraph(onnx.load(str(original.acoustic_path)))
    final = onnx.load(str(quantized.acoustic_path))
    noise = measure_layer_noise(original, graph, final, speech)
    entries = GraphAudit(graph.model, final).entries(dict.fromkeys(kept, "kept in higher precision"))
    tensors = tuple(replace(entry, output_sqnr_db=noise.get(entry.name)) for entry in entries)
    both = {"before": before, "after": quantized}
    chunk_samples = quantized.manifest.audio.chunk_samples
    times = measure_chunk_times(both, np.concatenate(list(speech)), chunk_samples)
    sides = {
        name: Side(
            name=bundle.folder.name,
            form=bundle.manifest.graph.form,
            precision=bundle.manifest.graph.precision,
            acoustic_bytes=bundle.manifest.files[ACOUSTIC].bytes,
            chunk_time=times[name],
            memory=measure_memory(bundle),
            error_rates=evaluate(bundle) if evaluate else None,
        )
        for name, bundle in both.items()
    }
    exact, rounded = (stream_log_probs(original, model, speech) for model in (graph.model, final))
    return QuantizationReport(
        before=sides["before"],
        after=sides["after"],
        calibration=calibration.method if calibration else "",
        calibration_kl={str(name): kl for name, kl in calibration.divergences.items()} if calibration else {},
        kept=tuple(kept),
        log_probs=divergence(exact, rounded),
        shares=shares(tensors),
        tensors=tensors,
        sensitivity=tuple(costs),
    )


def save_report(report: QuantizationReport, path: Path) -> None:
    """Write the report as JSON, at once or not at all.

    Raises:
        UsageError: It cannot be written.
    """
    with replacing(path) as file:
        file.write(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
