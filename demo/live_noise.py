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
from edgespeech.runtime.noise_gate import NATS_PER_WORD
from edgespeech.runtime.recognizer import Recognizer

SECONDS = 600


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
    gates = (0.0, NATS_PER_WORD)
    recognizers = [Recognizer(noise_gate=gate) for gate in gates]
    print(f"{'sound':<40} {'minutes':>8}" + "".join(f" {f'gate {gate:g}':>10}" for gate in gates))
    for name, sound in sounds(folders):
        minutes = len(sound) / audio.SAMPLE_RATE / 60.0
        rates = [len(one.transcribe((sound, audio.SAMPLE_RATE)).words) / minutes for one in recognizers]
        print(f"{name[-40:]:<40} {minutes:>8.1f}" + "".join(f" {rate:>10.2f}" for rate in rates), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
