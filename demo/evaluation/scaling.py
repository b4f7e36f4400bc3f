"""`data scaling`: trains on shares of the data, then shows, draws and keeps how errors fall with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgespeech.errors import ConfigError, UsageError
from edgespeech.reference.model.config import Record
from edgespeech.reference.training.config import read_training_config
from edgespeech.reference.training.scaling import Point, PowerLaw, fit_power_law, read_shares, train_shares
from edgespeech.runtime.files import replacing

Say = Callable[[str], None]
RESULTS, PICTURE = "scaling.json", "scaling.png"
KINDS = {"wer": "word error rate on dev, greedy", "loss": "CTC loss on dev, nats per label"}


class Results(Record, frozen=True):
    """What is kept of a study."""

    config: str
    points: tuple[Point, ...]


def study(
    config_path: Path,
    output: Path | None,
    shares: str,
    minutes: float | None,
    hours: Sequence[float],
    resume: bool,
    say: Say,
) -> dict[str, Any]:
    """Train on every share, or go on with it; then fit and draw.

    Args:
        config_path: The recipe.
        output: Folder for ``scaling.json``, ``scaling.png`` and a training folder of each share; by default the
            recipe's output with ``_scaling`` behind it.
        shares: Such as ``1/8,1/4,1/2,1``.
        minutes: Wall-clock limit for each share.
        hours: To predict for.
        resume: Keep finished shares, go on with begun ones.
        say: Takes lines for people.

    Returns:
        Points, laws and predictions, for JSON.

    Raises:
        EdgespeechError: Configuration, manifests, shares or the folder are unusable.
    """
    config, wanted = read_training_config(config_path), read_shares(shares)
    if any(not one > 0.0 for one in hours):
        raise UsageError(f"{min(hours):g} hours; wanted more than 0")
    folder = output or config_path.parent / f"{config.output}_scaling"
    kept = _read_results(folder / RESULTS) if resume else ()
    points = {point.share: point for point in kept}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {folder}: {error.strerror}; give another with -o") from None
    missing = [share for share in wanted if str(share) not in points]
    for point in train_shares(config, config_path.parent, folder, missing, minutes, resume, say):
        points[point.share] = point
        with replacing(folder / RESULTS) as file:
            file.write(msgspec.json.encode(Results(config=config_path.name, points=tuple(points.values()))))
    if any(str(share) not in points for share in wanted):
        raise ConfigError(f"stopped after {len(points)} of {len(wanted)} shares; go on with --resume")
    found = summary(sorted(points.values(), key=lambda point: point.hours), hours)
    draw(found, folder / PICTURE)
    say(f"drawn: {folder / PICTURE}")
    return found


def _read_results(path: Path) -> tuple[Point, ...]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Results).points
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error}); remove it or drop --resume") from None


def summary(points: Sequence[Point], hours: Sequence[float]) -> dict[str, Any]:
    """The points, and for errors and loss the law through them with what it predicts."""
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


def table(found: dict[str, Any]) -> str:
    """For people."""
    lines = ["share     hours  speakers   dev WER  dev loss"]
    for point in found["points"]:
        lines.append(
            f"{point['share']:5} {point['hours']:9.3f} {point['speakers']:9} {point['wer']:9.1%} {point['loss']:9.3f}"
        )
    for kind, title in KINDS.items():
        law = found["laws"][kind]
        lines.append(
            f"{title}: {law['factor']:.3g} x hours^{-law['exponent']:.3f}, "
            f"{100 * law['tenfold']:.0f} % less for ten times the data"
        )
        for one in found["predictions"]:
            rate, low, high = (_shown(kind, value) for value in (one[kind]["rate"], *one[kind]["interval"]))
            lines.append(f"  {one['hours']:g} h: {rate}, 95 % interval {low} to {high}")
    if max(point["wer"] for point in found["points"]) > 0.9:
        lines.append(
            "a WER above 90 % is no longer on a power law, for it cannot grow: trust the loss, or train longer"
        )
    return "\n".join(lines)


def _shown(kind: str, value: float) -> str:
    if kind == "wer":
        return f"{value:.1%}" if value <= 1.0 else "more than 100%"
    return f"{value:.3g}"


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw points, laws and intervals as a PNG; matplotlib is needed for this only.

    Raises:
        UsageError: The file cannot be written.
    """
    figure = import_module("matplotlib.figure").Figure(figsize=(10.0, 4.2), layout="constrained")
    measured = [point["hours"] for point in found["points"]]
    predicted = [one["hours"] for one in found["predictions"]]
    span = np.geomspace(0.8 * min(measured), 1.2 * max([*measured, *predicted]), 60)
    for axes, (kind, title) in zip(figure.subplots(1, 2), KINDS.items(), strict=True):
        scale = 100.0 if kind == "wer" else 1.0
        fields = {name: value for name, value in found["laws"][kind].items() if name != "tenfold"}
        law = PowerLaw(**fields)
        bounds = np.array([law.interval(one) for one in span]) * scale
        axes.fill_between(span, bounds[:, 0], bounds[:, 1], color="#2a7f62", alpha=0.15, label="95 % interval")
        axes.plot(span, [law.rate(one) * scale for one in span], color="#2a7f62", label="power law")
        rates = [point[kind] * scale for point in found["points"]]
        axes.plot(measured, rates, "o", color="#1f2328", label="measured")
        for one in predicted:
            rate = law.rate(one) * scale
            axes.plot([one], [rate], "o", color="#c2703d", markerfacecolor="white")
            label = {"textcoords": "offset points", "ha": "right", "color": "#c2703d"}
            axes.annotate(f"{one:g} h: {rate:.3g}", (one, rate), (-5, -14), **label)
        shown = [*rates, *(law.rate(one) * scale for one in predicted)]
        axes.set_ylim(min(shown) / 2.0, max(shown) * 2.0)
        axes.set(xscale="log", yscale="log", xlabel="hours of speech", title=title + (", %" if kind == "wer" else ""))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.grid(True, which="major", alpha=0.3)
        axes.legend(loc="lower left", frameon=False)
    with replacing(path) as file:
        figure.savefig(file, dpi=130, format="png")
