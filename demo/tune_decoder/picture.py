"""A picture of the search for weights that `lm tune` made; needs matplotlib."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from edgespeech.demo.tune_decoder.weight_search import ALPHAS, BETAS, SearchResult, Weights
from edgespeech.runtime.files import replacing


def draw_tuning(result: SearchResult, title: str, path: Path) -> None:
    """Write a PNG of the re-scored WER over alpha and beta, with the real decodings; raise UsageError if that fails."""
    figure_type: Any = import_module("matplotlib.figure").Figure
    surface, best = result.surface, result.best
    words = int(surface.words.sum())
    slice_at = min(
        range(len(surface.unknown_scores)),
        key=lambda index: abs(surface.unknown_scores[index] - best.weights.unknown_score),
    )
    wer = 100.0 * surface.errors[slice_at].sum(axis=-1).T / words
    figure = figure_type(figsize=(8.4, 5.6), layout="constrained")
    axes = figure.subplots()
    # Everything far from the minimum has one colour, which leaves the colours to the surroundings of the minimum.
    image = axes.pcolormesh(
        ALPHAS, BETAS, wer, shading="nearest", cmap="viridis_r", vmin=wer.min(), vmax=wer.min() + 0.25 * wer.max()
    )
    figure.colorbar(image, ax=axes, label="WER, %", extend="max")
    # The best comes last and is drawn on top; points outside the grid are left out.
    trials = [trial for trial in sorted(result.trials, key=lambda trial: -trial.errors) if _inside(trial.weights)]
    axes.scatter(
        [trial.weights.alpha for trial in trials],
        [trial.weights.beta for trial in trials],
        c=[100.0 * trial.errors / words for trial in trials],
        cmap=image.cmap,
        norm=image.norm,
        edgecolors="white",
        linewidths=1.5,
        s=90,
    )
    axes.annotate(
        f"{100.0 * best.errors / words:.1f} %",
        (best.weights.alpha, best.weights.beta),
        xytext=(28, -34),
        textcoords="offset points",
        weight="bold",
        arrowprops={"arrowstyle": "-", "color": "white"},
        bbox={"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": "none"},
    )
    axes.set_xlabel("alpha, weight of the language model")
    axes.set_ylabel("beta, natural log added for each word")
    axes.set_title(
        f"{title}: best {best.weights}\n"
        f"squares: n-best hypotheses re-scored, unknown score {surface.unknown_scores[slice_at]:g}; "
        "points: decoded, any unknown score",
        fontsize=10,
    )
    with replacing(path) as file:
        figure.savefig(file, dpi=130, format="png")


def _inside(weights: Weights) -> bool:
    return bool(ALPHAS[0] <= weights.alpha <= ALPHAS[-1] and BETAS[0] <= weights.beta <= BETAS[-1])
