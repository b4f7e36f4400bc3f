"""Lays out a report as a small table for a document: few columns, with ratios to the first row."""

from __future__ import annotations

from edgespeech.demo.bench.card import UNKNOWN, device_name, word_errors
from edgespeech.demo.bench.report import Report, Result
from edgespeech.runtime.measure.tables import Page, Table

HEADINGS = (
    "precision", "graph, MB", "chunk p50, ms", "p98, ms", "RTF, acoustic model", "RTF, whole pipeline",
    "memory, MB", "WER, %",
)  # fmt: skip


def summary_page(report: Report, command: str) -> Page:
    """Lay out one row per configuration, and a paragraph on how the figures were measured, with the command line."""
    first = report.results[0]
    rows = [_cells(result, first) for result in report.results]
    return [Table(HEADINGS, rows), _explain(report, first, command)]


def _cells(result: Result, first: Result) -> list[str]:
    one, times, ratios, memory = result.configuration, result.chunk_times.all, result.relative, result.memory

    def ratio(value: float, base: float) -> str:
        return "" if result is first else f" ({value / base:.2f})"

    resident = UNKNOWN
    if memory is not None and first.memory is not None:
        resident = f"{memory.steady.median:.0f}{ratio(memory.steady.median, first.memory.steady.median)}"
    return [
        one.name,
        f"{one.acoustic_mb:.1f}{ratio(one.acoustic_mb, first.configuration.acoustic_mb)}",
        f"{times.p50.median:.1f}{ratio(times.p50.median, first.chunk_times.all.p50.median)}",
        f"{times.p98.median:.1f}{ratio(times.p98.median, first.chunk_times.all.p98.median)}",
        f"{result.rtf.acoustic.median:.4f}{f' ({ratios.acoustic.median:.2f})' if ratios else ''}",
        f"{result.rtf.all.median:.4f}{f' ({ratios.all.median:.2f})' if ratios else ''}",
        resident,
        word_errors(result.accuracy),
    ]


def _explain(report: Report, first: Result, command: str) -> str:
    one, accuracy = first.configuration, first.accuracy
    threads = "1 thread" if one.threads == 1 else f"{one.threads} threads"
    noisy = " The machine was noisy: " + "; ".join(report.conditions.notes) + "." if report.conditions.noisy else ""
    return (
        "In brackets: ratio to the first row; for WER, the 95 % confidence interval. "
        f"{device_name(report.device)}, {threads}, onnxruntime {_onnxruntime(report)}, "
        f"chunks of {one.chunk_ms:g} ms, beam {one.beam_width}; "
        f"WER on {accuracy.speech}, {accuracy.words} words; medians of {report.launches} launches.{noisy}\n"
        f"Made by `{command}`."
    )


def _onnxruntime(report: Report) -> str:
    return next((version for name, version in report.versions.items() if name.startswith("onnxruntime")), UNKNOWN)
