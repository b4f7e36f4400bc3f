"""Lay out the report as a page of tables and notes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgespeech.quantization.report.report import QuantizationReport, Side
from edgespeech.quantization.sensitivity import LayerCost
from edgespeech.runtime.measure.tables import Bullets, Page, Table


def report_page(report: QuantizationReport) -> Page:
    """Lay out all tables, and the notes below them."""
    alone = [sensitivity_table(report.sensitivity)] if report.sensitivity else []
    return [_tensors(report), _comparison(report), *alone, Bullets(list(_notes(report)))]


def sensitivity_table(costs: Sequence[LayerCost]) -> Table:
    """Lay out the layers that were quantized alone."""
    rows = []
    for cost in costs:
        increase = "" if cost.wer_increase is None else f"{100 * cost.wer_increase:+.2f}"
        rows.append((cost.weight, cost.precision, f"{cost.kl:.2e}", f"{cost.sqnr_db:.1f}", increase))
    headings = ("weight", "precision", "KL, nats per frame", "SQNR, dB", "WER, %")
    return Table(headings, rows, left=2, title="Layers quantized alone")


def _decibels(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _tensors(report: QuantizationReport) -> Table:
    headings = ("tensor", "shape", "in the graph", "why", "bytes before", "after", "weight dB", "output dB")
    rows = [
        (
            entry.name,
            " x ".join(map(str, entry.shape)),
            entry.precision,
            entry.reason,
            f"{entry.bytes_before}",
            f"{entry.bytes_after}",
            _decibels(entry.weight_sqnr_db),
            _decibels(entry.output_sqnr_db),
        )
        for entry in report.tensors
    ]
    before, after = (sum(getattr(entry, key) for entry in report.tensors) for key in ("bytes_before", "bytes_after"))
    rows.append(("all", "", "", "", f"{before}", f"{after}", "", ""))
    return Table(headings, rows, left=4, title="Trained tensors, read back from the graph")


def _comparison(report: QuantizationReport) -> Table:
    before, after = report.before, report.after
    headings = (
        "", f"{before.precision} {before.form}", f"{after.precision} {after.form}", "ratio or difference"
    )  # fmt: skip
    rows = [
        (f"{name}, {unit}", f"{one:.{digits}f}", f"{other:.{digits}f}", f"{other / max(one, 1e-9):.2f}")
        for name, one, other, unit, digits in _measures(before, after)
    ]
    if before.error_rates and after.error_rates:
        for name, key in (("WER", "wer"), ("deletions", "deletion_rate"), ("CER", "cer")):
            one, other = (100 * getattr(side.error_rates, key) for side in (before, after))
            rows.append((f"{name}, %", f"{one:.2f}", f"{other:.2f}", f"{other - one:+.2f}"))
    return Table(headings, rows, title="One run, one thread")


def _measures(before: Side, after: Side) -> Iterator[tuple[str, float, float, str, int]]:
    yield "graph", before.acoustic_bytes / 1e6, after.acoustic_bytes / 1e6, "MB", 2
    yield "chunk, median", before.chunk_time.median_ms, after.chunk_time.median_ms, "ms", 3
    yield "chunk, shortest", before.chunk_time.shortest_ms, after.chunk_time.shortest_ms, "ms", 3
    yield "chunk, CPU time", before.chunk_time.cpu_ms, after.chunk_time.cpu_ms, "ms", 3
    yield "resident, whole process", before.memory.total_mb, after.memory.total_mb, "MB", 1
    yield "resident, by the graph", before.memory.graph_mb, after.memory.graph_mb, "MB", 1


def _notes(report: QuantizationReport) -> Iterator[str]:
    largest_first = sorted(report.shares.items(), key=lambda item: -item[1])
    yield "weight bytes by precision in the graph: " + ", ".join(f"{name} {part:.1%}" for name, part in largest_first)
    yield f"log-probs against fp32: {report.log_probs}"
    if report.calibration:
        tried = ", ".join(f"{name} {kl:.2e}" for name, kl in report.calibration_kl.items())
        yield f"activation ranges: {report.calibration}" + (f" (KL of each: {tried})" if tried else "")
    if report.before.error_rates is None:
        yield "word errors were not counted: no --dev manifest"
    if report.after.precision == "fp16":
        yield "fp16 on a CPU is smaller, not faster: onnxruntime converts it and computes in fp32"
