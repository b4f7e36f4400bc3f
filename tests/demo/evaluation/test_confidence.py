"""Calibration of confidences, compared with a count by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgespeech.demo.evaluation.confidence import calibrate, measure_calibration
from edgespeech.runtime.decoder.hypothesis import Word
from edgespeech.runtime.transcript import Segment, Transcript
from tests.runtime.measure.test_evaluation import write_manifest


def test_calibration_matches_a_count_by_hand() -> None:
    found = calibrate([0.05, 0.05, 0.95, 0.95, 1.0], [False, True, True, True, False])
    assert [(one.words, one.correct) for one in found.bins] == [(2, 0.5), (3, pytest.approx(2 / 3))]
    assert found.error == pytest.approx((2 * 0.45 + 3 * (2.9 / 3 - 2 / 3)) / 5)
    # Right: .05 .95 .95, wrong: .05 1: one tie and two above the lower, none above the higher.
    assert found.auc == pytest.approx((0.5 + 1 + 1) / 6)
    assert found.page()[-1] == f"expected calibration error {found.error:.3f}, AUC 0.417"
    assert calibrate([], []).error == 0.0


class SpokenTwice:
    """A recognizer that finds the same words in every recording."""

    sample_rate = 16000
    labels = ("", " ", "a")

    def transcribe(self, source: Any) -> Transcript:
        """Return words of which the rule divides one and removes one."""
        words = (Word("Well-known", 0.0, 1.0, 0.9), Word("--", 1.0, 1.0, 0.1), Word("fact", 1.0, 1.5, 0.9))
        return Transcript("", (Segment("", 0.0, 1.5, words),), 1.5, 0.0)


def test_words_are_compared_by_the_rule_and_all_are_wrong_where_nothing_is_spoken(tmp_path: Path) -> None:
    recognizer: Any = SpokenTwice()
    found = measure_calibration(recognizer, write_manifest(tmp_path, {"text": "well known fact!"}, {"text": ""}))
    assert [(one.words, one.correct) for one in found.bins] == [(6, 0.5)]
