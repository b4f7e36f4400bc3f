"""The law is found where there is one, its interval holds what it promises, and shares are really trained on."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgespeech.errors import ConfigError
from edgespeech.reference.training.scaling import fit_power_law, read_shares, train_shares
from tests.reference.tones import configuration, write_tones

HOURS = [2.5, 5.0, 10.0, 20.0]


def test_an_exact_law_is_found_again() -> None:
    law = fit_power_law(HOURS, [0.8 * hours**-0.25 for hours in HOURS])
    assert (law.factor, law.exponent) == pytest.approx((0.8, 0.25))
    assert law.rate(1000.0) == pytest.approx(0.8 * 1000.0**-0.25)
    assert law.tenfold == pytest.approx(1.0 - 10.0**-0.25)
    assert law.interval(1000.0) == pytest.approx((law.rate(1000.0), law.rate(1000.0)))


def test_the_interval_holds_another_run_as_often_as_it_says() -> None:
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


def test_what_cannot_be_fitted() -> None:
    with pytest.raises(ConfigError, match="2 points"):
        fit_power_law([1.0, 2.0, 2.0], [0.5, 0.4, 0.41])
    with pytest.raises(ConfigError, match="error rate of 0"):
        fit_power_law(HOURS, [0.5, 0.2, 0.1, 0.0])


def test_shares_are_read_in_growing_order() -> None:
    assert read_shares("1, 1/2,0.25,1/2") == [Fraction(1, 4), Fraction(1, 2), Fraction(1)]


@pytest.mark.parametrize(
    ("text", "named"),
    [("1/2,1", "2 shares"), ("1/2,one,1", "wanted fractions"), ("1/0,1/2,1", "wanted fractions"),
     ("1/2,1,2", "at most 1"),     ("0,1/2,1", "more than 0"), ("", "wanted fractions")],
)  # fmt: skip
def test_shares_that_are_none(text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        read_shares(text)


def test_shares_are_trained_on_with_as_many_updates(tmp_path: Path) -> None:
    write_tones(tmp_path)
    shares = [Fraction(1, 2), Fraction(1)]
    said: list[str] = []
    points = list(train_shares(configuration(epochs=2), tmp_path, tmp_path / "study", shares, None, False, said.append))
    assert [point.share for point in points] == ["1/2", "1"]
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
    assert "share 1/2" in said
    # Once more, without --resume: the history does not grow.
    again = list(
        train_shares(configuration(epochs=1), tmp_path, tmp_path / "study", shares[:1], None, False, said.append)
    )
    assert again[0].epochs == 1


def test_a_run_that_is_too_short_and_a_recipe_that_begins_with_a_checkpoint(tmp_path: Path) -> None:
    write_tones(tmp_path)
    config = configuration(epochs=2)
    with pytest.raises(ConfigError, match="no epoch was finished in 0.0001 minutes"):
        list(train_shares(config, tmp_path, tmp_path / "study", [Fraction(1)], 1e-4, False, lambda _: None))
    with pytest.raises(ConfigError, match="take start out"):
        started = msgspec.structs.replace(config, start="best.pt")
        list(train_shares(started, tmp_path, tmp_path / "study", [Fraction(1)], None, False, lambda _: None))
