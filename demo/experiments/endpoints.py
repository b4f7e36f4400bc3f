"""Measures endpoint rules: delay of finals, number of segments and word errors. Delays exclude computing.

Run: python -m edgespeech.demo.experiments.endpoints MANIFEST [UTTERANCES]
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgespeech.runtime import audio
from edgespeech.runtime.endpoint import Endpointer, EndpointRules, EndpointState
from edgespeech.runtime.live.sources import BLOCK_SECONDS
from edgespeech.runtime.manifest import read_manifest
from edgespeech.runtime.measure.progress import track
from edgespeech.runtime.measure.tables import Table, output_text
from edgespeech.runtime.measure.word_errors import word_error_rate
from edgespeech.runtime.recognizer import Recognizer

HISS = 1e-3  # in the pauses, so that their level does not give them away
PAUSES = (1.5, 3.0)  # seconds
RULES = (
    EndpointRules(None, None, None),
    EndpointRules(),
    EndpointRules(endpoint_seconds=0.5),
    EndpointRules(endpoint_seconds=0.3, longest_seconds=5.0),
)


class LateEndpointer(Endpointer):
    """Counts silence only once its outputs are certain."""

    def may_end(self, state: EndpointState, frames: int) -> bool:
        """Return False: frames inside the look-ahead never end a segment."""
        return False


KINDS: tuple[tuple[type[Endpointer], str], ...] = ((LateEndpointer, "certain"), (Endpointer, "as it arrives"))


def joined_speech(manifest: Path, utterances: int) -> tuple[NDArray[np.float32], str]:
    """Return recordings in random order with pauses around them, and their text."""
    random = np.random.default_rng(0)
    known = read_manifest(manifest)
    chosen = [known[index] for index in random.permutation(len(known))[:utterances]]

    def pause() -> NDArray[np.float32]:
        samples = round(random.uniform(*PAUSES) * audio.SAMPLE_RATE)
        return HISS * random.standard_normal(samples, dtype=np.float32)

    pieces = [pause(), *(piece for one in chosen for piece in (audio.read(one.path), pause()))]
    return np.concatenate(pieces).astype(np.float32), " ".join(one.text for one in chosen)


def measure(recognizer: Recognizer, samples: NDArray[np.float32], reference: str) -> list[str]:
    """Return cells of the table: segments, median and longest delay of their finals, word error rate."""
    stream, texts, delays = recognizer.stream(), [], []
    size = round(BLOCK_SECONDS * audio.SAMPLE_RATE)
    for start in range(0, len(samples), size):
        for event in stream.accept(samples[start : start + size]):
            if event.type == "final":
                texts.append(event.text)
                delays.append(stream.seconds_processed - event.end)
    texts += [event.text for event in stream.finish() if event.type == "final"]
    median, longest = (f"{1000.0 * np.quantile(delays, q):.0f} ms" if delays else "at the end" for q in (0.5, 1.0))
    return [str(len(texts)), median, longest, f"{word_error_rate([reference], [' '.join(texts)]):.1%}"]


def main(manifest: str, utterances: str = "25") -> None:
    """Print a table with one row per set of rules and way to count silence."""
    samples, reference = joined_speech(Path(manifest), int(utterances))
    recognizer = Recognizer()
    facts = recognizer.bundle.manifest
    cases = [(rules, *kind) for rules in RULES for kind in KINDS if rules.endpoint_seconds or kind[0] is Endpointer]
    rows = []
    for rules, kind, counted in track(cases, "endpoint rules"):
        endpointer = kind(facts.audio.frame_seconds, facts.labels, facts.blank, rules)
        changed = Recognizer(recognizer.bundle, parts=replace(recognizer.parts, endpointer=endpointer))
        silence, longest = rules.endpoint_seconds, rules.longest_seconds
        name = "none" if silence is None else f"{silence:g} s, {longest:g} s"
        rows.append([name, counted, *measure(changed, samples, reference)])
    headings = ("silence, longest", "silence counted", "finals", "after, median", "at most", "WER")
    print(output_text([Table(headings, rows, left=2)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
