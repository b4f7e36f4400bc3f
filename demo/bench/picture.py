"""Draws a report: the distribution of the chunk times, and the parts of the real-time factors."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from edgespeech.demo.bench.card import device_name
from edgespeech.demo.bench.report import Percentiles, Report, Result
from edgespeech.runtime.dependencies import require
from edgespeech.runtime.files import replacing

ACOUSTIC, DECODER, REST = "#2a6f97", "#e09f3e", "#c9ced6"
INK, FAINT = "#22272e", "#8a919c"


def draw_report(report: Report, folder: Path, name: str = "bench") -> list[Path]:
    """Draw a PNG and an SVG; raise MissingDependencyError without matplotlib, UsageError if writing fails."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns about home folders that cannot be written
    require("matplotlib", "report")
    matplotlib: Any = import_module("matplotlib")
    figure_type: Any = import_module("matplotlib.figure").Figure
    style = {
        "font.size": 9.5,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": FAINT,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "xtick.color": INK,
        "ytick.color": INK,
        "svg.hashsalt": "edgespeech",
    }
    with matplotlib.rc_context(style):
        count = len(report.results)
        figure = figure_type(figsize=(11.0, 2.1 + 0.55 * count), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        _latencies(left, report.results)
        _factors(right, report.results)
        chunk = sorted({result.configuration.chunk_ms for result in report.results})
        sizes = " and ".join(f"{size:g}" for size in chunk)
        figure.suptitle(f"{device_name(report.device)}, chunks of {sizes} ms", fontweight="bold", x=0.01, ha="left")
        handles, labels = right.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower right", ncols=3, frameon=False, fontsize=8.5)
        if report.conditions.noisy:
            figure.text(0.01, 0.02, "measured on a noisy machine, see the card", color="#b3261e", fontsize=8.5)
        written = []
        for kind in ("png", "svg"):
            path = folder / f"{name}.{kind}"
            with replacing(path) as file:
                figure.savefig(file, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
            written.append(path)
    return written


def _latencies(axes: Any, results: Sequence[Result]) -> None:
    for row, result in enumerate(results):
        times: Percentiles = result.chunk_times.all
        middle = times.p50.median
        values = [middle, times.p95, times.p98.median, times.p99, times.max]
        axes.plot(values, [row] * len(values), color=REST, linewidth=5, solid_capstyle="round", zorder=1)
        for value, size in zip(values, (90, 40, 40, 40, 22), strict=True):
            filled = value is middle
            axes.scatter(
                value, row, s=size, zorder=2, color=ACOUSTIC if filled else "white", edgecolor=ACOUSTIC, linewidth=1.4
            )
        axes.annotate(f"{middle:.1f}", (middle, row), (0, 8), textcoords="offset points", ha="center", fontsize=8.5)
        axes.annotate(
            f"{times.max:.1f}", (times.max, row), (8, -3), textcoords="offset points", fontsize=8, color=FAINT
        )
    axes.set_yticks(range(len(results)), [result.configuration.name for result in results])
    axes.set_ylim(len(results) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(_two_and_five())
    axes.set_xlabel("ms per chunk, from its arrival to its words (logarithmic)")
    axes.set_title("Compute time of a chunk: ● p50   ○ p95, p98, p99, max", loc="left", fontsize=10)
    axes.grid(axis="x", color="#eceff3", which="both")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    low = min(result.chunk_times.all.p50.median for result in results)
    high = max(result.chunk_times.all.max for result in results)
    axes.set_xlim(low / 1.35, high * 1.7)


def _two_and_five() -> Any:
    """Make a formatter that labels only 2 and 5 between the powers of ten."""
    ticker: Any = import_module("matplotlib.ticker")
    return ticker.FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")


def _factors(axes: Any, results: Sequence[Result]) -> None:
    rows = range(len(results))
    acoustic = [result.rtf.acoustic.median for result in results]
    decoder = [result.rtf.decoder.median for result in results]
    rest = [max(0.0, result.rtf.all.median - a - d) for result, a, d in zip(results, acoustic, decoder, strict=True)]
    height = 0.52
    axes.barh(rows, acoustic, height, color=ACOUSTIC, label="features and acoustic model")
    axes.barh(rows, decoder, height, left=acoustic, color=DECODER, label="decoder")
    ends = [a + d for a, d in zip(acoustic, decoder, strict=True)]
    axes.barh(rows, rest, height, left=ends, color=REST, label="everything else")
    for row, result in enumerate(results):
        factor = result.rtf.all
        axes.plot((factor.low, factor.high), (row, row), color=INK, linewidth=1.1)
        ratio = f"   {result.relative.all.median:.2f} x" if result.relative else ""
        axes.annotate(
            f"{factor.median:.4f}{ratio}",
            (max(factor.high, factor.median), row),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
        )
    axes.set_xlim(0.0, 1.28 * max(result.rtf.all.high for result in results))
    axes.set_xlabel("real-time factor; the line is the range of the launches")
    axes.set_title("Processing seconds per second of audio", loc="left", fontsize=10)
    axes.grid(axis="x", color="#eceff3")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
