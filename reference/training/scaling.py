"""How errors fall with the hours of speech: a recipe trained on nested shares of its data, a power law through them.

Deep Speech 2, section 5.3: about 40 % fewer errors, relatively, for every tenfold of data. Every share makes as many
updates as the whole, so that shares differ in data alone; the model stays as large as it is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np

from edgespeech.errors import ConfigError
from edgespeech.reference.data.clips import build_labels, share_of, usable_clips
from edgespeech.reference.model.config import Record
from edgespeech.reference.training.config import TrainingConfig
from edgespeech.reference.training.train import train

FEWEST_POINTS = 3  # a line through two has no error to be seen
TRAINING_SHARE = 0.9  # of the minutes; the rest is for loading, looking at dev, and the end of the decay


class Point(Record, frozen=True):
    """What one share reached.

    Attributes:
        share: Of every speaker's clips, as a fraction: ``1/8``.
        hours: Of speech in it.
        speakers: In it.
        wer: Best greedy word error rate on dev.
        loss: Best CTC loss on dev, in nats per label.
        epochs: How often dev was looked at.
        minutes: Wall-clock limit of the run; None for none.
    """

    share: str
    hours: float
    speakers: int
    wer: float
    loss: float
    epochs: int
    minutes: float | None = None


@dataclass(frozen=True)
class PowerLaw:
    """``rate = factor * hours ** -exponent``, a straight line between logarithms (least squares).

    Attributes:
        factor: The rate at one hour.
        exponent: More than 0 where data helps.
        centre: Mean of log(hours) of the points.
        spread: Sum of squared distances of log(hours) from it.
        deviation: Of log(rate) from the line, with two degrees of freedom taken off.
        points: Number of points.
    """

    factor: float
    exponent: float
    centre: float
    spread: float
    deviation: float
    points: int

    def rate(self, hours: float) -> float:
        """On the line."""
        return float(self.factor * hours**-self.exponent)

    def interval(self, hours: float, coverage: float = 0.95) -> tuple[float, float]:
        """Where another run with so many hours would lie, if the law went on (prediction interval of the line).

        It holds the scatter of the points and what they leave open about slope and height, by Student's t with
        ``points - 2`` degrees of freedom; not that the law may bend, nor that the new speech may be of another kind.
        """
        from scipy.stats import t

        distance = np.log(hours) - self.centre
        error = self.deviation * np.sqrt(1.0 + 1.0 / self.points + distance**2 / self.spread)
        width = np.exp(float(t.ppf(0.5 + coverage / 2.0, self.points - 2)) * error)
        return self.rate(hours) / float(width), self.rate(hours) * float(width)

    @property
    def tenfold(self) -> float:
        """The share of errors that ten times the data takes away."""
        return 1.0 - float(10.0**-self.exponent)


def fit_power_law(hours: Sequence[float], rates: Sequence[float]) -> PowerLaw:
    """Fit.

    Raises:
        ConfigError: Fewer than three different hours, or a rate of zero.
    """
    if len(set(hours)) < FEWEST_POINTS:
        raise ConfigError(f"{len(set(hours))} points for a power law; wanted {FEWEST_POINTS} or more; add shares")
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


def read_shares(text: str) -> list[Fraction]:
    """Read ``1/8,1/4,1/2,1``; gives them in growing order.

    Raises:
        ConfigError: One is no fraction in (0, 1], or they are too few for a fit.
    """
    try:
        shares = sorted({Fraction(part.strip()) for part in text.split(",")})
    except (ValueError, ZeroDivisionError):
        raise ConfigError(
            f"shares {text!r}; wanted fractions with commas between them, such as 1/8,1/4,1/2,1"
        ) from None
    if not 0 < shares[0] <= shares[-1] <= 1:
        raise ConfigError(f"shares {text!r}; wanted more than 0 and at most 1")
    if len(shares) < FEWEST_POINTS:
        raise ConfigError(f"{len(shares)} shares; wanted {FEWEST_POINTS} or more, such as 1/8,1/4,1/2,1")
    return shares


def train_shares(
    config: TrainingConfig,
    base: Path,
    folder: Path,
    shares: Sequence[Fraction],
    minutes: float | None,
    resume: bool,
    report: Callable[[str], None],
) -> Iterator[Point]:
    """Train on one share after the other.

    Args:
        config: The recipe; its ``share`` and its ``output`` are replaced.
        base: Folder that its paths are relative to.
        folder: Each share gets a folder in it.
        shares: In any order.
        minutes: Wall-clock limit for each share; the learning rate decays within nine tenths of it.
        resume: Go on with shares that were begun.
        report: Takes lines for people.

    Yields:
        A point after every share; none any more once a signal has stopped a run.

    Raises:
        ConfigError: The recipe begins with a checkpoint, or no epoch was finished within the minutes.
    """
    if config.start is not None:
        raise ConfigError("start: its checkpoint has heard all of the data, which spoils the study; take start out")
    manifests = [base / path for path in config.data.train]
    clips, _ = usable_clips(manifests, build_labels(config.model, manifests), config.model, config.data)
    for share in shares:
        part = share_of(clips, float(share), config.optimisation.seed)
        output = folder / f"{share.numerator}of{share.denominator}"
        history = output / "history.jsonl"
        if not resume:
            history.unlink(missing_ok=True)
        study = _study(config, share, output, minutes)
        report(f"share {share}")
        began = time.monotonic()
        outcome = train(study, base, resume=resume, minutes=minutes, report=report)
        if not outcome.finished and (minutes is None or time.monotonic() - began < minutes * 60.0):
            return
        lines = history.read_text(encoding="utf-8").splitlines() if history.is_file() else []
        if not lines:
            raise ConfigError(f"share {share}: no epoch was finished in {minutes:g} minutes; give more --minutes")
        looks = [json.loads(line) for line in lines]
        yield Point(
            share=str(share),
            hours=sum(clip.seconds for clip in part) / 3600.0,
            speakers=len({clip.speaker for clip in part if clip.speaker}),
            wer=min(look["dev_wer"] for look in looks),
            loss=min(look["dev_loss"] for look in looks),
            epochs=len(looks),
            minutes=minutes,
        )


def _study(config: TrainingConfig, share: Fraction, output: Path, minutes: float | None) -> TrainingConfig:
    optimisation = config.optimisation
    if minutes is not None:
        optimisation = msgspec.structs.replace(optimisation, budget_minutes=TRAINING_SHARE * minutes)
    data = msgspec.structs.replace(config.data, share=float(share))
    return msgspec.structs.replace(config, data=data, optimisation=optimisation, output=str(output.absolute()))
