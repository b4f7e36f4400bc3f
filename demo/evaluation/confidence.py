"""Calibration of word confidences: of the words with a given confidence, the fraction that is correct."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgespeech.runtime.measure.references import read_references, read_speech
from edgespeech.runtime.measure.tables import Page, Table
from edgespeech.runtime.measure.word_errors import correct_words
from edgespeech.runtime.recognizer import Recognizer

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Words whose confidence lies in one tenth of the range: their number, mean confidence and fraction correct."""

    words: int
    confidence: float
    correct: float


@dataclass(frozen=True)
class Calibration:
    """Agreement of confidences with the fraction of correct words.

    Attributes:
        bins: From low confidence to high, without the empty ones.
        error: Expected calibration error: |confidence - fraction correct| of the bins, averaged over all words.
        auc: Probability that a correct word has a higher confidence than a wrong one (area under the ROC curve).
    """

    bins: tuple[Bin, ...]
    error: float
    auc: float

    def as_dict(self) -> dict[str, object]:
        """Return the figures under the keys of ``confidence --json``."""
        return {
            "calibration_error": self.error,
            "ranking": self.auc,
            "bins": [{"words": one.words, "confidence": one.confidence, "right": one.correct} for one in self.bins],
        }

    def page(self) -> Page:
        """Lay out a table of the bins, followed by the two summary figures."""
        rows = [(str(one.words), f"{one.confidence:.2f}", f"{one.correct:.2f}") for one in self.bins]
        table = Table(("words", "confidence", "correct"), rows, left=0)
        return [table, f"expected calibration error {self.error:.3f}, AUC {self.auc:.3f}"]


def calibrate(confidences: Sequence[float], correct: Sequence[bool]) -> Calibration:
    """Compare the confidence of each word with whether it is correct."""
    values, truth = np.array(confidences), np.array(correct, dtype=float)
    tenths = np.minimum((values * BINS).astype(int), BINS - 1)
    bins = [
        Bin(int((tenths == tenth).sum()), float(values[tenths == tenth].mean()), float(truth[tenths == tenth].mean()))
        for tenth in np.unique(tenths)
    ]
    error = sum(abs(one.confidence - one.correct) * one.words for one in bins) / max(1, len(values))
    good, bad = np.sort(values[truth == 1.0]), np.sort(values[truth == 0.0])
    pairs = len(good) * len(bad)
    below = bad.searchsorted(good, "left").sum() + bad.searchsorted(good, "right").sum()
    return Calibration(tuple(bins), float(error), float(below / 2 / pairs) if pairs else 0.5)


def measure_calibration(recognizer: Recognizer, manifest: Path) -> Calibration:
    """Transcribe the utterances of `read_references`, and compare the confidences of their words with the texts."""
    confidences: list[float] = []
    correct: list[bool] = []
    references = read_references(manifest).for_labels(recognizer.labels)
    references.log()
    for _, text, samples in read_speech(references, recognizer.sample_rate, "confidence"):
        words = recognizer.transcribe((samples, recognizer.sample_rate)).words
        # The rule may divide a word, or leave nothing of it.
        pieces = [(word.confidence, piece) for word in words for piece in references.normalise(word.word).split()]
        if pieces:
            confidences += [confidence for confidence, _ in pieces]
            correct += correct_words(text, " ".join(piece for _, piece in pieces)).tolist()
    return calibrate(confidences, correct)
