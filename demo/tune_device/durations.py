"""Estimates how long a search will take, from a short trial of the configurations that it begins with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from edgespeech.demo.bench.plan import Plan, Speech
from edgespeech.demo.bench.request import Effort
from edgespeech.demo.bench.trial import Trial, TrialFigures, estimate
from edgespeech.demo.bench.worker import in_fresh_process


@dataclass(frozen=True)
class Durations:
    """Estimated seconds of the parts of a search.

    Attributes:
        combinations: Measurement of provider, chunk and threads.
        word_errors: Word errors of one beam width.
        evaluations: Number of beam widths of which word errors are counted.
        beam_widths: Measurement of the beam widths.
    """

    combinations: float
    word_errors: float
    evaluations: int
    beam_widths: float

    @property
    def total(self) -> float:
        """Estimated seconds of the whole search."""
        return self.combinations + self.evaluations * self.word_errors + self.beam_widths


def estimate_durations(
    plans: Sequence[Plan], widths: Mapping[str, int], speech: Speech, rounds: int, dev_seconds: float
) -> Durations:
    """Try the first plans, and estimate how long measuring them and what follows will take.

    Args:
        plans: Plans to begin with.
        widths: Number of beam widths that will be tried for each bundle.
        speech: Speech that is processed in each round.
        rounds: Most rounds of a measurement.
        dev_seconds: Length of the speech that word errors are counted on.

    Raises:
        UsageError: A plan or the speech is invalid.
    """
    figures = in_fresh_process(Trial(plans=list(plans), speech=speech), TrialFigures)
    tried = list(zip(plans, figures.configurations, strict=True))
    fastest = [min((one for plan, one in tried if plan.bundle == folder), key=lambda one: one.rtf, default=None)
               for folder in widths]  # fmt: skip
    later = [one for one, count in zip(fastest, widths.values(), strict=True) if one for _ in range(count)]
    slowest = max(one.rtf for one in later)

    def together(some: TrialFigures) -> float:
        effort = Effort(rounds=rounds, max_seconds=float(rounds), max_streams=0)
        return estimate(some, effort, 0.0).together

    return Durations(
        combinations=together(figures),
        word_errors=slowest * dev_seconds,
        evaluations=len(later) + 1,
        beam_widths=together(msgspec.structs.replace(figures, configurations=later)),
    )
