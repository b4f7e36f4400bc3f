"""`data scaling`: trains on fractions of the data, then tabulates, draws and keeps how errors fall with it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgespeech.errors import ConfigError, UsageError
from edgespeech.reference.model.config import Record
from edgespeech.reference.training.config import read_training_config
from edgespeech.reference.training.scaling import Point, PowerLaw, fit_power_law, read_fractions, train_fractions
from edgespeech.runtime.files import make_folder, replacing
from edgespeech.runtime.measure.tables import Bullets, Page, Table

log = logging.getLogger(__name__)

RESULTS, PICTURE = "scaling.json", "scaling.png"
KINDS = {"wer": "word error rate on dev, greedy", "loss": "CTC loss on dev, nats per label"}
POINTS, LAW, PREDICTED = "#1f2328", "#2a7f62", "#c2703d"


@dataclass(frozen=True)
class StudyRequest:
    """What `edgespeech data scaling` was asked to do.

    Attributes:
        output: Folder for results and training folders; by default the recipe's output with the suffix ``_scaling``.
        fractions: The fractions, such as ``1/8,1/4,1/2,1``.
        minutes: Wall-clock limit for each fraction.
        hours: Hours of speech to predict the errors for.
        resume: Keep finished fractions and continue those that were started.
    """

    config: Path
    output: Path | None
    fractions: str
    minutes: float | None
    hours: tuple[float, ...]
    resume: bool

    def __post_init__(self) -> None:
        if any(not hours > 0.0 for hours in self.hours):
            raise UsageError(f"{min(self.hours):g} hours; wanted more than 0")


class Results(Record, frozen=True):
    """The content of ``scaling.json``: the name of the recipe and the points measured so far."""

    config: str
    points: tuple[Point, ...]


def study(request: StudyRequest) -> dict[str, Any]:
    """Train on every fraction that is missing, then fit, draw, and return the figures that ``--json`` prints.

    Raises:
        EdgespeechError: The configuration, the manifests, the fractions or the folder are invalid.
    """
    config, wanted = read_training_config(request.config), read_fractions(request.fractions)
    base = request.config.parent
    folder = request.output or base / f"{config.output}_scaling"
    points = {point.fraction: point for point in (_read_results(folder / RESULTS) if request.resume else ())}
    make_folder(folder)
    missing = [fraction for fraction in wanted if str(fraction) not in points]
    for point in train_fractions(config, base, folder, missing, request.minutes, request.resume):
        points[point.fraction] = point
        with replacing(folder / RESULTS) as file:
            file.write(msgspec.json.encode(Results(config=request.config.name, points=tuple(points.values()))))
    if any(str(fraction) not in points for fraction in wanted):
        raise ConfigError(f"stopped after {len(points)} of {len(wanted)} fractions; continue with --resume")
    found = summary(sorted(points.values(), key=lambda point: point.hours), request.hours)
    draw(found, folder / PICTURE)
    log.info("drawn: %s", folder / PICTURE)
    return found


def _read_results(path: Path) -> tuple[Point, ...]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Results).points
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read ({error}); remove it or drop --resume") from None


def summary(points: Sequence[Point], hours: Sequence[float]) -> dict[str, Any]:
    """Fit errors and loss, and return the points, the laws and their predictions."""
    laws = {
        kind: fit_power_law([one.hours for one in points], [getattr(one, kind) for one in points]) for kind in KINDS
    }
    return {
        "points": [msgspec.to_builtins(point) for point in points],
        "laws": {kind: msgspec.to_builtins(law) | {"tenfold": law.tenfold} for kind, law in laws.items()},
        "predictions": [
            {"hours": one}
            | {kind: {"rate": law.rate(one), "interval": law.interval(one)} for kind, law in laws.items()}
            for one in hours
        ],
    }


def page(found: dict[str, Any]) -> Page:
    """Lay out the points as a table, followed by the laws and their predictions."""
    rows = [
        [point["share"], f"{point['hours']:.3f}", f"{point['speakers']}", f"{point['wer']:.1%}", f"{point['loss']:.3f}"]
        for point in found["points"]
    ]
    lines = []
    for kind, title in KINDS.items():
        law = found["laws"][kind]
        lines.append(
            f"{title}: {law['factor']:.3g} x hours^{-law['exponent']:.3f}, "
            f"{100 * law['tenfold']:.0f} % less for ten times the data"
        )
        for one in found["predictions"]:
            rate, low, high = (_format(kind, value) for value in (one[kind]["rate"], *one[kind]["interval"]))
            lines.append(f"{one['hours']:g} h: {rate}, 95 % interval {low} to {high}")
    if max(point["wer"] for point in found["points"]) > 0.9:
        lines.append("a WER above 90 % is not on a power law, because it is bounded: use the loss or train longer")
    return [Table(["fraction", "hours", "speakers", "dev WER", "dev loss"], rows), Bullets(lines)]


def _format(kind: str, value: float) -> str:
    if kind == "wer":
        return f"{value:.1%}" if value <= 1.0 else "more than 100%"
    return f"{value:.3g}"


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw points, laws and intervals as a PNG with matplotlib; raise UsageError if it cannot be written."""
    figure = import_module("matplotlib.figure").Figure(figsize=(10.0, 4.2), layout="constrained")
    for axes, kind in zip(figure.subplots(1, 2), KINDS, strict=True):
        _draw_kind(axes, found, kind)
    with replacing(path) as file:
        figure.savefig(file, dpi=130, format="png")


def _draw_kind(axes: Any, found: dict[str, Any], kind: str) -> None:
    scale = 100.0 if kind == "wer" else 1.0
    law = PowerLaw(**{name: value for name, value in found["laws"][kind].items() if name != "tenfold"})
    measured = [point["hours"] for point in found["points"]]
    predicted = [one["hours"] for one in found["predictions"]]
    span = np.geomspace(0.8 * min(measured), 1.2 * max([*measured, *predicted]), 60)
    bounds = np.array([law.interval(one) for one in span]) * scale
    axes.fill_between(span, bounds[:, 0], bounds[:, 1], color=LAW, alpha=0.15, label="95 % interval")
    axes.plot(span, [law.rate(one) * scale for one in span], color=LAW, label="power law")
    rates = [point[kind] * scale for point in found["points"]]
    axes.plot(measured, rates, "o", color=POINTS, label="measured")
    for one in predicted:
        rate = law.rate(one) * scale
        rates.append(rate)
        axes.plot([one], [rate], "o", color=PREDICTED, markerfacecolor="white")
        label = {"textcoords": "offset points", "ha": "right", "color": PREDICTED}
        axes.annotate(f"{one:g} h: {rate:.3g}", (one, rate), (-5, -14), **label)
    axes.set_ylim(min(rates) / 2.0, max(rates) * 2.0)
    title = KINDS[kind] + (", %" if kind == "wer" else "")
    axes.set(xscale="log", yscale="log", xlabel="hours of speech", title=title)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(loc="lower left", frameon=False)
