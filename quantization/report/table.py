"""The report as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import StringIO

from rich.console import Console
from rich.table import Table

from edgespeech.quantization.report.report import QuantizationReport, Side
from edgespeech.quantization.sensitivity import LayerCost

WIDTH = 150


def render_report(report: QuantizationReport) -> str:
    """All tables as plain text."""
    tables = [_tensors(report), _comparison(report)]
    if report.sensitivity:
        tables.append(_sensitivity(report.sensitivity))
    return "\n".join([*(_text(table) for table in tables), *_remarks(report)])


def render_sensitivity(costs: Sequence[LayerCost]) -> str:
    """The table of layers quantized alone."""
    return _text(_sensitivity(costs))


def _text(table: Table) -> str:
    console = Console(file=StringIO(), width=WIDTH, color_system=None, highlight=False)
    console.print(table)
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="left" if column in {"in the graph", "why"} else "right", no_wrap=True)
    return table


def _decibels(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _tensors(report: QuantizationReport) -> Table:
    table = _table(
        "Trained tensors, read back from the graph",
        "tensor", "shape", "in the graph", "bytes before", "after", "weight dB", "output dB", "why",
    )  # fmt: skip
    for entry in report.tensors:
        table.add_row(
            entry.name,
            " x ".join(map(str, entry.shape)),
            entry.precision,
            f"{entry.bytes_before}",
            f"{entry.bytes_after}",
            _decibels(entry.weight_sqnr_db),
            _decibels(entry.output_sqnr_db),
            entry.reason,
        )
    before, after = (sum(getattr(entry, key) for entry in report.tensors) for key in ("bytes_before", "bytes_after"))
    table.add_row("all", "", "", f"{before}", f"{after}", "", "", "")
    return table


def _comparison(report: QuantizationReport) -> Table:
    before, after = report.before, report.after
    table = _table(
        "One run, one thread",
        "", f"{before.precision} {before.form}", f"{after.precision} {after.form}", "ratio or difference",
    )  # fmt: skip
    for name, one, other, unit, digits in _measures(before, after):
        table.add_row(f"{name}, {unit}", f"{one:.{digits}f}", f"{other:.{digits}f}", f"{other / max(one, 1e-9):.2f}")
    if before.error_rates and after.error_rates:
        for name, key in (("WER", "wer"), ("deletions", "deletions"), ("CER", "cer")):
            one, other = getattr(before.error_rates, key), getattr(after.error_rates, key)
            table.add_row(f"{name}, %", f"{one:.2f}", f"{other:.2f}", f"{other - one:+.2f}")
    return table


def _measures(before: Side, after: Side) -> Iterator[tuple[str, float, float, str, int]]:
    yield "graph", before.acoustic_bytes / 1e6, after.acoustic_bytes / 1e6, "MB", 2
    yield "chunk, median", before.chunk_time.median_ms, after.chunk_time.median_ms, "ms", 3
    yield "chunk, shortest", before.chunk_time.shortest_ms, after.chunk_time.shortest_ms, "ms", 3
    yield "chunk, processor's time", before.chunk_time.cpu_ms, after.chunk_time.cpu_ms, "ms", 3
    yield "resident, whole process", before.memory.total_mb, after.memory.total_mb, "MB", 1
    yield "resident, by the graph", before.memory.graph_mb, after.memory.graph_mb, "MB", 1


def _sensitivity(costs: Sequence[LayerCost]) -> Table:
    table = _table("Layers quantized alone", "weight", "precision", "KL, nats per frame", "SQNR, dB", "WER, %")
    for cost in costs:
        increase = "" if cost.wer_increase is None else f"{cost.wer_increase:+.2f}"
        table.add_row(cost.weight, cost.precision, f"{cost.kl:.2e}", f"{cost.sqnr_db:.1f}", increase)
    return table


def _remarks(report: QuantizationReport) -> Iterator[str]:
    parts = ", ".join(f"{name} {share:.1%}" for name, share in sorted(report.shares.items(), key=lambda item: -item[1]))
    yield f"weight bytes by precision in the graph: {parts}"
    yield f"log-probs against fp32: {report.log_probs}"
    if report.calibration:
        tried = ", ".join(f"{name} {kl:.2e}" for name, kl in report.calibration_kl.items())
        yield f"activation ranges: {report.calibration}" + (f" (KL of each: {tried})" if tried else "")
    if report.before.error_rates is None:
        yield "word errors were not counted: no --dev manifest"
    if report.after.precision == "fp16":
        yield "fp16 on a CPU is smaller, not faster: onnxruntime widens it and computes in fp32"
