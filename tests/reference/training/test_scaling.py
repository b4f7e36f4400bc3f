"""The fitted power law, its prediction interval, and training on fractions of the data."""

from __future__ import annotations

import json
import logging
from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgespeech.errors import ConfigError
from edgespeech.reference.training.scaling import fit_power_law, read_fractions, train_fractions
from tests.reference.tones import configuration, write_tones

HOURS = [2.5, 5.0, 10.0, 20.0]


def test_an_exact_law_is_recovered() -> None:
    law = fit_power_law(HOURS, [0.8 * hours**-0.25 for hours in HOURS])
    assert (law.factor, law.exponent) == pytest.approx((0.8, 0.25))
    assert law.rate(1000.0) == pytest.approx(0.8 * 1000.0**-0.25)
    assert law.tenfold == pytest.approx(1.0 - 10.0**-0.25)
    assert law.interval(1000.0) == pytest.approx((law.rate(1000.0), law.rate(1000.0)))


def test_the_interval_has_the_stated_coverage() -> None:
    random = np.random.default_rng(0)
    inside = 0
    for _ in range(600):
        rates = [0.8 * hours**-0.25 * np.exp(0.03 * random.standard_normal()) for hours in HOURS]
        low, high = fit_power_law(HOURS, rates).interval(100.0)
        inside += low <= 0.8 * 100.0**-0.25 * np.exp(0.03 * random.standard_normal()) <= high
    assert inside / 600 == pytest.approx(0.95, abs=0.03)


def test_the_interval_widens_with_the_distance() -> None:
    law = fit_power_law(HOURS, [0.62, 0.55, 0.43, 0.38])
    widths = [np.log(high / low) for low, high in (law.interval(hours) for hours in (7.0, 20.0, 100.0, 1000.0))]
    assert widths == sorted(widths) and widths[-1] > 1.5 * widths[0]


def test_too_few_points_and_zero_rates_are_rejected() -> None:
    with pytest.raises(ConfigError, match="2 points"):
        fit_power_law([1.0, 2.0, 2.0], [0.5, 0.4, 0.41])
    with pytest.raises(ConfigError, match="error rate of 0"):
        fit_power_law(HOURS, [0.5, 0.2, 0.1, 0.0])


def test_fractions_are_read_in_ascending_order() -> None:
    assert read_fractions("1, 1/2,0.25,1/2") == [Fraction(1, 4), Fraction(1, 2), Fraction(1)]


@pytest.mark.parametrize(
    ("text", "named"),
    [("1/2,1", "2 fractions"), ("1/2,one,1", "wanted fractions"), ("1/0,1/2,1", "wanted fractions"),
     ("1/2,1,2", "at most 1"), ("0,1/2,1", "more than 0"), ("", "wanted fractions")],
)  # fmt: skip
def test_invalid_fractions_are_named(text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        read_fractions(text)


def test_fractions_are_trained_with_the_same_number_of_updates(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edgespeech")
    write_tones(tmp_path)
    fractions, study = [Fraction(1, 2), Fraction(1)], tmp_path / "study"
    points = list(train_fractions(configuration(epochs=2), tmp_path, study, fractions, None, False))
    assert [point.fraction for point in points] == ["1/2", "1"]
    assert points[0].hours < 0.8 * points[1].hours and all(point.epochs == 2 for point in points)
    steps = []
    for name in ("1of2", "1of1"):
        lines = [json.loads(line) for line in (tmp_path / "study" / name / "history.jsonl").read_text().splitlines()]
        assert len(lines) == 2
        steps.append(lines[-1]["step"])
    assert abs(steps[0] - steps[1]) <= 0.4 * steps[1]
    assert points[0].loss == min(
        json.loads(line)["dev_loss"]
        for line in (tmp_path / "study" / "1of2" / "history.jsonl").read_text().splitlines()
    )
    assert "fraction 1/2" in caplog.messages
    # A second run without --resume starts a new history.
    again = list(train_fractions(configuration(epochs=1), tmp_path, study, fractions[:1], None, False))
    assert again[0].epochs == 1


def test_too_short_runs_and_recipes_with_a_start_are_rejected(tmp_path: Path) -> None:
    write_tones(tmp_path)
    config = configuration(epochs=2)
    with pytest.raises(ConfigError, match="no epoch was finished in 0.0001 minutes"):
        list(train_fractions(config, tmp_path, tmp_path / "study", [Fraction(1)], 1e-4, False))
    with pytest.raises(ConfigError, match="remove start"):
        started = msgspec.structs.replace(config, start="best.pt")
        list(train_fractions(started, tmp_path, tmp_path / "study", [Fraction(1)], None, False))
