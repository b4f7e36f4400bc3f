"""Draw the report; the only module that needs matplotlib."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from edgespeech.errors import MissingDependencyError
from edgespeech.quantization.report.report import QuantizationReport
from edgespeech.runtime.files import replacing

COLOURS = {"fp32": "#8a8f98", "fp16": "#7a9cc6", "int32": "#b7b1a1", "int8": "#2a7f62", "int4": "#c2703d"}
OTHER_COLOUR = "#b3261e"


def require_matplotlib() -> None:
    """Check that matplotlib is installed.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        import_module("matplotlib")
    except ImportError:
        raise MissingDependencyError(
            "a report has a picture and matplotlib is not installed; run: pip install 'edgespeech[report]'"
        ) from None


def draw_report(report: QuantizationReport, path: Path) -> None:
    """Draw a PNG of noise and bytes of each layer, of both bundles, and of layers quantized alone if measured.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        UsageError: The file cannot be written.
    """
    require_matplotlib()
    figure_type: Any = import_module("matplotlib.figure").Figure
    panels = 4 if report.sensitivity else 3
    layers = sum(entry.output_sqnr_db is not None for entry in report.tensors)
    figure = figure_type(figsize=(4.6 * panels, 1.8 + 0.28 * max(10, layers)), layout="constrained")
    before, after = report.before, report.after
    figure.suptitle(f"{before.precision} {before.form} against {after.precision} {after.form}")
    axes = figure.subplots(1, panels)
    _noise(axes[0], report)
    _bytes(axes[1], report)
    _ratios(axes[2], report)
    if report.sensitivity:
        _sensitivity(axes[3], report)
    with replacing(path) as file:
        figure.savefig(file, dpi=130, format="png")


def _colours(precisions: list[str]) -> list[str]:
    return [COLOURS.get(precision, OTHER_COLOUR) for precision in precisions]


def _noise(axes: Any, report: QuantizationReport) -> None:
    entries = [entry for entry in report.tensors if entry.output_sqnr_db is not None]
    names = [entry.name for entry in entries]
    axes.barh(names, [entry.output_sqnr_db for entry in entries], color=_colours([e.precision for e in entries]))
    quantized = [entry for entry in entries if entry.weight_sqnr_db is not None]
    axes.plot(
        [e.weight_sqnr_db for e in quantized], [e.name for e in quantized], "kd", markersize=4, label="weights alone"
    )
    axes.invert_yaxis()
    axes.set_xlabel("signal to quantization noise, dB")
    axes.set_title("Layer outputs on speech")
    axes.set_xlim(0.0, 1.4 * max([1.0, *(entry.output_sqnr_db or 0.0 for entry in entries)]))
    if quantized:
        axes.legend(loc="lower right")


def _bytes(axes: Any, report: QuantizationReport) -> None:
    before, left = sum(entry.bytes_before for entry in report.tensors) / 1e6, 0.0
    axes.barh(["before", "after"], [before, 0.0], color=_colours(["fp32", "fp32"]))
    for precision in sorted({entry.precision for entry in report.tensors}):
        size = sum(entry.bytes_after for entry in report.tensors if entry.precision == precision) / 1e6
        axes.barh(["after"], [size], left=[left], color=_colours([precision]), label=precision)
        left += size
    axes.invert_yaxis()
    axes.set_xlabel("trained weights, MB (scales included)")
    axes.set_title("What the weights became")
    axes.legend(loc="lower right")


def _ratios(axes: Any, report: QuantizationReport) -> None:
    before, after = report.before, report.after
    ratios = {
        "graph size": after.acoustic_bytes / before.acoustic_bytes,
        "time per chunk": after.chunk_time.median_ms / before.chunk_time.median_ms,
        "memory": after.memory.total_mb / before.memory.total_mb,
        "memory of graph": after.memory.graph_mb / max(before.memory.graph_mb, 1e-9),
    }
    if before.error_rates and after.error_rates:
        ratios["word errors"] = after.error_rates.wer / max(before.error_rates.wer, 1e-9)
    bars = axes.barh(list(ratios), list(ratios.values()), color=_colours([after.precision]))
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xlim(0.0, max(1.15, 1.15 * max(ratios.values())))
    axes.invert_yaxis()
    axes.set_xlabel(f"ratio to {before.precision} {before.form}")
    axes.set_title("What it gains and costs")


def _sensitivity(axes: Any, report: QuantizationReport) -> None:
    costs = report.sensitivity
    axes.barh(
        [c.weight for c in costs], [max(c.kl, 1e-12) for c in costs], color=_colours([c.precision for c in costs])
    )
    axes.set_xscale("log")
    axes.set_xlim(left=10.0 ** np.floor(np.log10(max(1e-12, min(cost.kl for cost in costs)))))
    axes.minorticks_off()
    axes.invert_yaxis()
    axes.set_xlabel("KL from fp32, nats per frame")
    axes.set_title("Layers quantized alone")
