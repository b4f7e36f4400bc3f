"""CPU time of the beam search with thousands of labels against that with 29, in turns, on random log-probabilities.

Run: python -m edgespeech.demo.experiments.many_labels [LABELS] [BEAM_WIDTH] [FEW.bin MANY.bin]

The last two are language models of characters for 29 and for LABELS labels, which are the characters from U+4E00 on.
With the word "text" before LABELS it prints sentences to make one of: `edgespeech lm build --characters --order 3
--prune "0 0 0" --labels CHARACTERS`.
"""

from __future__ import annotations

import sys
import time
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.measure.tables import Table, output_text

FRAMES, CHUNK, TURNS = 300, 10, 5
FEW, FIRST = 29, 0x4E00
# How much likelier the best label of a frame is than the others (natural log): from noise to a trained model.
PEAKS = (0.0, 3.0, 6.0, 8.0, 10.0, 16.0)
Settings: TypeAlias = tuple[dict[str, Any], dict[str, Any]]
"""Arguments of the decoders for few and for many labels."""


def log_probs_of(labels: int, peak: float) -> NDArray[np.float32]:
    """Draw log-probabilities [frames, labels] with one likely label in each frame, the blank in 7 of 10."""
    draw = np.random.default_rng(0)
    logits = draw.standard_normal((FRAMES, labels)).astype(np.float32)
    best = np.where(draw.random(FRAMES) < 0.7, 0, draw.integers(1, labels, FRAMES))
    logits[np.arange(FRAMES), best] += peak
    normal: NDArray[np.float32] = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return normal


def print_text(labels: int) -> None:
    """Print sentences in which a few characters are frequent, and six in ten follow from the one before."""
    draw = np.random.default_rng(labels)
    characters = labels - 1
    frequent = 1.0 / np.arange(1, characters + 1) ** 0.9
    frequent /= frequent.sum()
    followers = draw.choice(characters, (characters, 30), p=frequent)
    for _ in range(max(3000, 10 * labels)):
        at = int(draw.choice(characters, p=frequent))
        sentence = [at]
        for _ in range(draw.integers(8, 30)):
            if draw.random() < 0.6:
                at = int(followers[at, min(29, int(draw.exponential(6)))])
            else:
                at = int(draw.choice(characters, p=frequent))
            sentence.append(at)
        print("".join(chr(FIRST + at) for at in sentence))


def seconds(decoder: BeamSearchDecoder, log_probs: NDArray[np.float32]) -> float:
    """Measure the CPU time of a stream of a decoder that has decoded another one before, as in a server."""
    decoder.decode(log_probs)
    began, state = time.process_time(), decoder.initial_state()
    for start in range(0, FRAMES, CHUNK):
        _, state = decoder.step(log_probs[start : start + CHUNK], state)
    decoder.finish(state, 1)
    return time.process_time() - began


def measure(many: int, beam_width: int, search: str, peak: float, settings: Settings) -> list[str]:
    """Return the cells of the table for one search of one kind of log-probabilities."""
    times: dict[int, list[float]] = {FEW: [], many: []}
    for _ in range(TURNS):
        for labels, measured in times.items():
            symbols = ("", *map(chr, range(FIRST, FIRST + labels - 1)))
            decoder = BeamSearchDecoder(
                symbols, search=search, beam_width=beam_width, unit="character", **settings[labels != FEW]
            )
            measured.append(seconds(decoder, log_probs_of(labels, peak)))
    few, more = (1e6 * min(times[labels]) / FRAMES for labels in (FEW, many))
    return [f"{peak:g}", f"{few:.0f}", f"{more:.0f}", f"{more / few:.1f}"]


def main() -> None:
    """Print the time of a frame for both label sets and both searches."""
    if sys.argv[1:2] == ["text"]:
        print_text(int(sys.argv[2]))
        return
    given = [int(number) for number in sys.argv[1:3]]
    many, width = [*given, *(4000, 64)[len(given) :]]
    hot_words = {"hot_words": {chr(FIRST + at) + chr(FIRST + at + 1): 6.0 for at in range(0, 20, 2)}}
    cases: dict[str, Settings] = {"labels alone": ({}, {}), "10 hot words": (hot_words, hot_words)}
    if len(sys.argv) == 5:
        few_lm, many_lm = ({"lm": LanguageModel(path)} for path in sys.argv[3:])
        cases["language model"] = (few_lm, many_lm)
    rows = [
        (search, name, *measure(many, width, search, peak, settings))
        for search in ("native", "numpy")
        for name, settings in cases.items()
        for peak in PEAKS
    ]
    headings = ("search", "case", "peak", f"{FEW} labels (us)", f"{many} labels (us)", "ratio")
    print(output_text([Table(headings, rows, left=3)]))


if __name__ == "__main__":
    main()
