"""Compares the compiled search with that in numpy on real log-probabilities: results, and CPU time in turns.

Run: python -m edgespeech.demo.experiments.native_search MANIFEST... [EVERY]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgespeech.demo.tune_decoder.log_prob_cache import AcousticUtterance, compute_log_probs
from edgespeech.runtime.bundle import Bundle, load_bundle
from edgespeech.runtime.bundle_decoder import bundle_decoder
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.hypothesis import Hypothesis, Partial
from edgespeech.runtime.measure.progress import track
from edgespeech.runtime.measure.tables import Table, output_text
from edgespeech.runtime.options import RecognizerOptions

Floats = NDArray[np.float32]

CHUNK_FRAMES = 10
TOLERANCE = 1e-6
CASES: dict[str, dict[str, Any]] = {
    "language model, beam 512": {"beam_width": 512},
    "language model, beam 64": {"beam_width": 64},
    "language model, beam 16": {"beam_width": 16},
    "no language model, beam 64": {"use_lm": False, "beam_width": 64},
    "hot words, beam 512": {"beam_width": 512, "hot_words": {"knit": 8.0, "two together": 8.0, "saint louis": 8.0}},
    "grammar, beam 64": {"beam_width": 64, "grammar": ("knit", "two together", "yes", "no")},
}


class Timed:
    """A decoder with the CPU time that its streams took."""

    def __init__(self, bundle: Bundle, settings: dict[str, Any]) -> None:
        self.decoder: BeamSearchDecoder = bundle_decoder(bundle, RecognizerOptions(**settings))
        self.seconds = 0.0

    def stream(self, log_probs: Floats) -> tuple[list[Partial], list[Hypothesis]]:
        """Decode a stream in chunks, and return all its partial results and hypotheses; the best one is timed."""
        started = time.process_time()
        state, partials = self.decoder.initial_state(), []
        for start in range(0, len(log_probs), CHUNK_FRAMES):
            partial, state = self.decoder.step(log_probs[start : start + CHUNK_FRAMES], state)
            partials.append(partial)
        self.decoder.finish(state, 1)
        self.seconds += time.process_time() - started
        return partials, self.decoder.finish(state)


def equal(found: Sequence[Hypothesis], wanted: Sequence[Hypothesis]) -> bool:
    """Return whether texts, labels, frames and word times are the same, and scores to a millionth."""
    if len(found) != len(wanted):
        return False
    for one, other in zip(found, wanted, strict=True):
        if _exact(one) != _exact(other) or not np.allclose(_numbers(one), _numbers(other), rtol=0.0, atol=TOLERANCE):
            return False
    return True


def _exact(found: Hypothesis) -> tuple[Any, ...]:
    return found.text, found.labels, found.frames, [(word.word, word.start, word.end) for word in found.words]


def _numbers(found: Hypothesis) -> list[float]:
    scores = [found.score, found.acoustic_score, found.lm_score, found.hot_word_score]
    return [*scores, *(word.confidence for word in found.words)]


def measure(name: str, bundle: Bundle, utterances: Sequence[AcousticUtterance]) -> list[str]:
    """Return the cells of the table for one case."""
    native, reference = (Timed(bundle, {**CASES[name], "search": search}) for search in ("native", "numpy"))
    different = 0
    for index, utterance in enumerate(track(utterances, name)):
        turns = (native, reference) if index % 2 else (reference, native)
        results = {one: one.stream(utterance.log_probs) for one in turns}
        partials, found = results[native]
        wanted_partials, wanted = results[reference]
        different += partials != wanted_partials or not equal(found, wanted)
    audio = sum(utterance.seconds for utterance in utterances)
    per_second = [one.seconds / audio for one in (reference, native)]
    return [name, *(f"{seconds:.5f}" for seconds in per_second), f"{per_second[1] / per_second[0]:.3f}", str(different)]


def main(*arguments: str) -> None:
    """Print a table with one row per kind of search; the last argument may be a number: every n-th utterance."""
    every = int(arguments[-1]) if arguments[-1].isdigit() else 1
    manifests = [Path(one) for one in arguments if not one.isdigit()]
    bundle = load_bundle()
    utterances = [one for manifest in manifests for one in compute_log_probs(bundle, manifest)][::every]
    headings = ("search", "numpy, CPU s/s", "native, CPU s/s", "ratio", "utterances that differ")
    audio = sum(utterance.seconds for utterance in utterances)
    rows = [measure(name, bundle, utterances) for name in CASES]
    print(output_text([Table(headings, rows), f"{len(utterances)} utterances, {audio:.0f} s of audio."]))


if __name__ == "__main__":
    main(*sys.argv[1:])
