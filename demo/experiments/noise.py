"""Words that a bundle invents where nobody speaks, with and without the noise gate.

Run: python -m edgespeech.demo.experiments.noise FOLDER_OF_NOISE... (silence and hiss are always tried)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgespeech.runtime import audio
from edgespeech.runtime.decoder.hypothesis import Hypothesis
from edgespeech.runtime.min_evidence import MinEvidence
from edgespeech.runtime.recognizer import Recognizer

SECONDS = 600


class OpenGate(MinEvidence):
    """Lets everything pass, and counts the words that a closed one would have let through."""

    def __init__(self, closed: MinEvidence) -> None:
        """Nothing has come yet."""
        super().__init__(0.0)
        self._closed, self.words = closed, 0

    def passes(self, hypothesis: Hypothesis, blank_score: float) -> bool:
        """Always."""
        self.words += len(hypothesis.words) * self._closed.passes(hypothesis, blank_score)
        return True


def sounds(folders: list[str]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Ten minutes of each kind, or what there is."""
    hiss = np.random.default_rng(0).standard_normal(SECONDS * audio.SAMPLE_RATE, dtype=np.float32)
    for level in (0.0, 1e-4, 1e-2):
        yield f"hiss of {level:g}", hiss * np.float32(level)
    for folder in folders:
        files = sorted(path for path in Path(folder).iterdir() if path.suffix in {".wav", ".flac", ".opus", ".ogg"})
        order = np.random.default_rng(0).permutation(len(files))
        yield folder, np.concatenate([audio.read(files[index]) for index in order])[: SECONDS * audio.SAMPLE_RATE]


def main(folders: list[str], recognizer: Recognizer | None = None) -> None:
    """Print a table of words per minute."""
    recognizer = recognizer or Recognizer()
    closed = recognizer.parts.min_evidence
    print(f"{'sound':<40} {'minutes':>8} {'open':>10} {f'gate {closed.nats_per_word:g}':>10}")
    for name, sound in sounds(folders):
        minutes = len(sound) / audio.SAMPLE_RATE / 60.0
        gate = OpenGate(closed)
        opened = Recognizer(recognizer.bundle, parts=replace(recognizer.parts, min_evidence=gate))
        invented = len(opened.transcribe((sound, audio.SAMPLE_RATE)).words)
        print(f"{name[-40:]:<40} {minutes:>8.1f} {invented / minutes:>10.2f} {gate.words / minutes:>10.2f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
