"""Words that a bundle invents where nobody speaks, with and without the noise gate.

Run: python -m edgespeech.demo.live_noise FOLDER_OF_NOISE... (silence and hiss are always tried)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgespeech.runtime import audio
from edgespeech.runtime.noise_gate import NoiseGate
from edgespeech.runtime.recognizer import Recognizer
from edgespeech.runtime.transcript import Hypothesis

SECONDS = 600


class OpenGate(NoiseGate):
    """Lets everything pass, and counts the words that a closed one would have let through."""

    def __init__(self, closed: NoiseGate) -> None:
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


def main(folders: list[str]) -> None:
    """Print a table of words per minute."""
    recognizer = Recognizer()
    closed = recognizer.noise_gate
    print(f"{'sound':<40} {'minutes':>8} {'open':>10} {f'gate {closed.nats_per_word:g}':>10}")
    for name, sound in sounds(folders):
        minutes = len(sound) / audio.SAMPLE_RATE / 60.0
        recognizer.noise_gate = gate = OpenGate(closed)
        invented = len(recognizer.transcribe((sound, audio.SAMPLE_RATE)).words)
        print(f"{name[-40:]:<40} {minutes:>8.1f} {invented / minutes:>10.2f} {gate.words / minutes:>10.2f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
