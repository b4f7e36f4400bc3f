"""Whether confidences can be believed: of the words heard with a confidence, how many were said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jiwer
import numpy as np
from rich.console import Console
from rich.progress import track

from edgespeech.errors import ManifestError
from edgespeech.runtime.manifest import read_manifest, read_samples
from edgespeech.runtime.recognizer import Recognizer

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Words whose confidence lies in one tenth of the range."""

    words: int
    confidence: float
    right: float


@dataclass(frozen=True)
class Calibration:
    """How well confidences agree with the truth.

    Attributes:
        bins: From low confidence to high; those without words are left out.
        error: Expected calibration error: distance of confidence and share of right words, averaged over all words.
        ranking: Probability that a right word has a higher confidence than a wrong one; 0.5 is chance.
    """

    bins: tuple[Bin, ...]
    error: float
    ranking: float

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "calibration_error": self.error,
            "ranking": self.ranking,
            "bins": [{"words": one.words, "confidence": one.confidence, "right": one.right} for one in self.bins],
        }

    def table(self) -> str:
        """For people."""
        lines = [f"{'words':>6} {'confidence':>10} {'right':>6}"]
        lines += [f"{one.words:6} {one.confidence:10.2f} {one.right:6.2f}" for one in self.bins]
        return "\n".join([*lines, f"expected calibration error {self.error:.3f}, ranking {self.ranking:.3f}"])


def calibration(confidences: list[float], right: list[bool]) -> Calibration:
    """Compare the confidence of words with whether they were right."""
    values, truth = np.array(confidences), np.array(right, dtype=float)
    tenths = np.minimum((values * BINS).astype(int), BINS - 1)
    bins = [
        Bin(int((tenths == tenth).sum()), float(values[tenths == tenth].mean()), float(truth[tenths == tenth].mean()))
        for tenth in np.unique(tenths)
    ]
    error = sum(abs(one.confidence - one.right) * one.words for one in bins) / max(1, len(values))
    good, bad = np.sort(values[truth == 1.0]), np.sort(values[truth == 0.0])
    pairs = len(good) * len(bad)
    below = bad.searchsorted(good, "left").sum() + bad.searchsorted(good, "right").sum()
    return Calibration(tuple(bins), float(error), float(below / 2 / pairs) if pairs else 0.5)


def calibrate_on(recognizer: Recognizer, manifest: Path) -> Calibration:
    """Transcribe every utterance that has a text, and compare confidences with the references.

    Raises:
        ManifestError: The manifest, or a file of it, is unusable, or no utterance has a text.
    """
    utterances = [one for one in read_manifest(manifest, check_files=True) if one.text.split()]
    if not utterances:
        raise ManifestError(f"{manifest} has no utterance with a text; confidences are compared with references")
    confidences: list[float] = []
    right: list[bool] = []
    console = Console(stderr=True)
    for utterance in track(utterances, "confidence", console=console, disable=not console.is_terminal):
        words = recognizer.transcribe((read_samples(utterance, recognizer.sample_rate), recognizer.sample_rate)).words
        if not words:
            continue
        confidences += [word.confidence for word in words]
        said = np.zeros(len(words), dtype=bool)
        aligned = jiwer.process_words(" ".join(utterance.text.lower().split()), " ".join(word.word for word in words))
        for chunk in aligned.alignments[0]:
            if chunk.type == "equal":
                said[chunk.hyp_start_idx : chunk.hyp_end_idx] = True
        right += said.tolist()
    return calibration(confidences, right)
