"""Counts words that a bundle finds in noise, with and without the minimum evidence per word.

Run: python -m edgespeech.demo.experiments.noise FOLDER_OF_NOISE... [--down DECIBELS]
Silence and hiss are always tried; the noise of the folders is made quieter by DECIBELS.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgespeech.runtime import audio
from edgespeech.runtime.decoder.hypothesis import Hypothesis
from edgespeech.runtime.measure.progress import track
from edgespeech.runtime.measure.tables import Table, output_text
from edgespeech.runtime.min_evidence import MinEvidence
from edgespeech.runtime.recognizer import Recognizer

SECONDS = 600
HISS_LEVELS = (0.0, 1e-4, 1e-2)
MAX_NAME = 40  # characters


class AcceptAll(MinEvidence):
    """Accepts every segment, and counts the words that another rule would accept.

    Attributes:
        words: Number of words in the segments that the rule accepts.
    """

    def __init__(self, rule: MinEvidence) -> None:
        super().__init__(0.0)
        self._rule, self.words = rule, 0

    def passes(self, hypothesis: Hypothesis, blank_score: float) -> bool:
        """Return True after counting the accepted words."""
        self.words += len(hypothesis.words) * self._rule.passes(hypothesis, blank_score)
        return True


def noises(folders: list[str], decibels: float = 0.0) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield names and samples of up to ten minutes of each kind of noise."""
    hiss = np.random.default_rng(0).standard_normal(SECONDS * audio.SAMPLE_RATE, dtype=np.float32)
    for level in HISS_LEVELS:
        yield f"hiss of {level:g}", hiss * np.float32(level)
    for folder in folders:
        files = sorted(path for path in Path(folder).iterdir() if path.suffix in {".wav", ".flac", ".opus", ".ogg"})
        order = np.random.default_rng(0).permutation(len(files))
        joined = np.concatenate([audio.read(files[index]) for index in order])[: SECONDS * audio.SAMPLE_RATE]
        yield folder, joined * np.float32(10.0 ** (-decibels / 20.0))


def main(folders: list[str], recognizer: Recognizer | None = None, decibels: float = 0.0) -> None:
    """Print a table of words per minute."""
    recognizer = recognizer or Recognizer()
    rule = recognizer.parts.min_evidence
    rows = []
    for name, samples in track(noises(folders, decibels), "noise", total=len(HISS_LEVELS) + len(folders)):
        minutes = len(samples) / audio.SAMPLE_RATE / 60.0
        counting = AcceptAll(rule)
        accepting = Recognizer(recognizer.bundle, parts=replace(recognizer.parts, min_evidence=counting))
        invented = len(accepting.transcribe((samples, audio.SAMPLE_RATE)).words)
        per_minute = (f"{words / minutes:.2f}" for words in (invented, counting.words))
        rows.append([name[-MAX_NAME:], f"{minutes:.1f}", *per_minute])
    headings = ("noise", "minutes", "without", f"{rule.nats_per_word:g} nats")
    print(output_text([Table(headings, rows, title="words per minute, with and without the minimum evidence")]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Count words that the default bundle finds in noise.")
    parser.add_argument("folders", nargs="*")
    parser.add_argument("--down", type=float, default=0.0, metavar="DECIBELS")
    given = parser.parse_args()
    main(given.folders, decibels=given.down)
