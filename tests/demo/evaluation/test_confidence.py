"""Calibration of confidences, compared with a count by hand."""

from __future__ import annotations

import pytest

from edgespeech.demo.evaluation.confidence import calibrate


def test_calibration_matches_a_count_by_hand() -> None:
    found = calibrate([0.05, 0.05, 0.95, 0.95, 1.0], [False, True, True, True, False])
    assert [(one.words, one.correct) for one in found.bins] == [(2, 0.5), (3, pytest.approx(2 / 3))]
    assert found.error == pytest.approx((2 * 0.45 + 3 * (2.9 / 3 - 2 / 3)) / 5)
    # Right: .05 .95 .95, wrong: .05 1: one tie and two above the lower, none above the higher.
    assert found.ranking == pytest.approx((0.5 + 1 + 1) / 6)
    assert "ranking" in found.table()
    assert calibrate([], []).error == 0.0
