"""How errors fall with the hours of speech: a recipe trained on nested fractions of its data, and a power law.

Deep Speech 2, section 5.3: about 40 % fewer errors, relatively, for ten times the data. Every fraction is trained with
as many updates as the whole and with the same model.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np

from edgespeech.errors import ConfigError
from edgespeech.reference.data.clips import build_labels, take_fraction, usable_clips
from edgespeech.reference.model.config import Record
from edgespeech.reference.training.config import TrainingConfig
from edgespeech.reference.training.train import train

log = logging.getLogger(__name__)

MIN_POINTS = 3  # a line through two points has no residual
TRAINING_TIME = 0.9  # fraction of the minutes; the rest is for loading, evaluation on dev, and the end of the decay


class Point(Record, frozen=True):
    """Result of training on one fraction of every speaker's clips, such as ``1/8``.

    Attributes:
        wer: Lowest greedy word error rate on dev.
        loss: Lowest CTC loss on dev, in nats per label.
        epochs: Number of evaluations on dev.
        minutes: Wall-clock limit of the run; None without a limit.
    """

    fraction: str = msgspec.field(name="share")  # the key in the files of earlier studies
    hours: float
    speakers: int
    wer: float
    loss: float
    epochs: int
    minutes: float | None = None


@dataclass(frozen=True)
class PowerLaw:
    """``rate = factor * hours ** -exponent``, fitted as a straight line between logarithms (least squares).

    Attributes:
        centre: Mean of log(hours) of the points.
        spread: Sum of squared distances of log(hours) from ``centre``.
        deviation: Standard deviation of log(rate) from the line, with two degrees of freedom removed.
    """

    factor: float
    exponent: float
    centre: float
    spread: float
    deviation: float
    points: int

    def rate(self, hours: float) -> float:
        """Return the rate on the line."""
        return float(self.factor * hours**-self.exponent)

    def interval(self, hours: float, coverage: float = 0.95) -> tuple[float, float]:
        """Return the prediction interval of the line for another run with this many hours.

        It covers the scatter of the points and the uncertainty of slope and height, by Student's t with ``points - 2``
        degrees of freedom. It does not cover that the law may bend or that new speech may differ.
        """
        from scipy.stats import t

        distance = np.log(hours) - self.centre
        error = self.deviation * np.sqrt(1.0 + 1.0 / self.points + distance**2 / self.spread)
        width = np.exp(float(t.ppf(0.5 + coverage / 2.0, self.points - 2)) * error)
        return self.rate(hours) / float(width), self.rate(hours) * float(width)

    @property
    def tenfold(self) -> float:
        """Fraction of the errors that ten times the data removes."""
        return 1.0 - float(10.0**-self.exponent)


def fit_power_law(hours: Sequence[float], rates: Sequence[float]) -> PowerLaw:
    """Fit a power law; fewer than three different hours, or a rate of zero, are a ConfigError."""
    if len(set(hours)) < MIN_POINTS:
        raise ConfigError(f"{len(set(hours))} points for a power law; wanted {MIN_POINTS} or more; add fractions")
    if min(rates) <= 0.0:
        raise ConfigError("an error rate of 0 has no logarithm; take harder dev speech or less training")
    x, y = np.log(hours), np.log(rates)
    slope, height = np.polyfit(x, y, 1)
    residuals = y - (height + slope * x)
    return PowerLaw(
        factor=float(np.exp(height)),
        exponent=-float(slope),
        centre=float(x.mean()),
        spread=float(np.square(x - x.mean()).sum()),
        deviation=float(np.sqrt(np.square(residuals).sum() / (len(x) - 2))),
        points=len(x),
    )


def read_fractions(text: str) -> list[Fraction]:
    """Parse ``1/8,1/4,1/2,1`` into ascending fractions; one outside (0, 1], or fewer than three, are a ConfigError."""
    try:
        fractions = sorted({Fraction(part.strip()) for part in text.split(",")})
    except (ValueError, ZeroDivisionError):
        raise ConfigError(
            f"fractions {text!r}; wanted fractions with commas between them, such as 1/8,1/4,1/2,1"
        ) from None
    if not 0 < fractions[0] <= fractions[-1] <= 1:
        raise ConfigError(f"fractions {text!r}; wanted more than 0 and at most 1")
    if len(fractions) < MIN_POINTS:
        raise ConfigError(f"{len(fractions)} fractions; wanted {MIN_POINTS} or more, such as 1/8,1/4,1/2,1")
    return fractions


def train_fractions(
    config: TrainingConfig,
    base: Path,
    folder: Path,
    fractions: Sequence[Fraction],
    minutes: float | None,
    resume: bool,
) -> Iterator[Point]:
    """Train on one fraction after another, and yield a point for each, until a signal stops a run.

    The recipe's ``fraction`` and ``output`` are replaced: each fraction gets a folder in ``folder``. The learning rate
    decays within nine tenths of the minutes. With ``resume``, the fractions that were started are continued.

    Raises:
        ConfigError: The recipe starts from a checkpoint, or no epoch was finished within the minutes.
    """
    if config.start is not None:
        raise ConfigError("start: its checkpoint was trained on all of the data, so the study is invalid; remove start")
    manifests = [base / path for path in config.data.train]
    labels = build_labels(config.model, manifests, config.labels)
    clips, _ = usable_clips(manifests, labels, config.model, config.data)
    for fraction in fractions:
        part = take_fraction(clips, float(fraction), config.optimisation.seed)
        output = folder / f"{fraction.numerator}of{fraction.denominator}"
        history = output / "history.jsonl"
        if not resume:
            history.unlink(missing_ok=True)
        log.info("fraction %s", fraction)
        began = time.monotonic()
        outcome = train(_configure(config, fraction, output, minutes), base, resume=resume, minutes=minutes)
        if not outcome.finished and (minutes is None or time.monotonic() - began < minutes * 60.0):
            return
        lines = history.read_text(encoding="utf-8").splitlines() if history.is_file() else []
        if not lines:
            raise ConfigError(f"fraction {fraction}: no epoch was finished in {minutes:g} minutes; give more --minutes")
        # A training that was killed between an epoch and its state repeats the epoch.
        results = list({one["epoch"]: one for one in map(json.loads, lines)}.values())
        yield Point(
            fraction=str(fraction),
            hours=sum(clip.seconds for clip in part) / 3600.0,
            speakers=len({clip.speaker for clip in part if clip.speaker}),
            wer=min(result["dev_wer"] for result in results),
            loss=min(result["dev_loss"] for result in results),
            epochs=len(results),
            minutes=minutes,
        )


def _configure(config: TrainingConfig, fraction: Fraction, output: Path, minutes: float | None) -> TrainingConfig:
    optimisation = config.optimisation
    if minutes is not None:
        optimisation = msgspec.structs.replace(optimisation, budget_minutes=TRAINING_TIME * minutes)
    data = msgspec.structs.replace(config.data, fraction=float(fraction))
    return msgspec.structs.replace(config, data=data, optimisation=optimisation, output=str(output.absolute()))
