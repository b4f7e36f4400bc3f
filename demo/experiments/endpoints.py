"""What endpoint rules do: when finals come, how often the sound is cut, what it costs in words. Nothing is timed.

Run: python -m edgespeech.demo.experiments.endpoints MANIFEST [UTTERANCES]
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import jiwer
import numpy as np
from numpy.typing import NDArray

from edgespeech.runtime import audio
from edgespeech.runtime.endpoint import Endpointer, EndpointRules, EndpointState
from edgespeech.runtime.live.sources import BLOCK_SECONDS
from edgespeech.runtime.manifest import read_manifest
from edgespeech.runtime.recognizer import Recognizer

HISS = 1e-3  # in the pauses, so that they are not told by their loudness
PAUSES = (1.5, 3.0)  # seconds
RULES = (
    EndpointRules(None, None, None),
    EndpointRules(),
    EndpointRules(after_speech=0.5),
    EndpointRules(after_speech=0.3, longest=5.0),
)


class Patient(Endpointer):
    """Counts silence only once its outputs are certain."""

    def may_end(self, state: EndpointState, frames: int) -> bool:
        """Never before the look-ahead is there."""
        return False


def spoken(manifest: Path, utterances: int) -> tuple[NDArray[np.float32], str]:
    """Recordings in a random order with pauses around them, and what is said in them."""
    random = np.random.default_rng(0)
    known = read_manifest(manifest)
    chosen = [known[index] for index in random.permutation(len(known))[:utterances]]

    def pause() -> NDArray[np.float32]:
        samples = round(random.uniform(*PAUSES) * audio.SAMPLE_RATE)
        return HISS * random.standard_normal(samples, dtype=np.float32)

    pieces = [pause(), *(piece for one in chosen for piece in (audio.read(one.path), pause()))]
    return np.concatenate(pieces).astype(np.float32), " ".join(one.text for one in chosen)


def measure(recognizer: Recognizer, sound: NDArray[np.float32], reference: str) -> str:
    """Columns of the table: segments, delays of their finals in seconds of sound, and word errors."""
    stream, texts, delays = recognizer.stream(), [], []
    size = round(BLOCK_SECONDS * audio.SAMPLE_RATE)
    for start in range(0, len(sound), size):
        for event in stream.accept(sound[start : start + size]):
            if event.type == "final":
                texts.append(event.text)
                delays.append(stream.seconds_processed - event.end)
    texts += [event.text for event in stream.finish() if event.type == "final"]
    median, most = (f"{1000.0 * np.quantile(delays, q):.0f} ms" if delays else "at the end" for q in (0.5, 1.0))
    return f"{len(texts):>8} {median:>13} {most:>12} {jiwer.wer(reference, ' '.join(texts)):>8.1%}"


def main(manifest: str, utterances: str = "25") -> None:
    """Print a table."""
    sound, reference = spoken(Path(manifest), int(utterances))
    recognizer = Recognizer()
    facts = recognizer.bundle.manifest
    print(f"{'silence, longest':<18} {'counted':<12} {'finals':>8} {'after, median':>13} {'at most':>12} {'WER':>8}")
    for rules in RULES:
        for kind, how in ((Patient, "certain"), (Endpointer, "as heard")):
            if kind is Patient and rules.after_speech is None:
                continue
            endpointer = kind(facts.audio.frame_seconds, facts.labels, facts.blank, rules)
            changed = Recognizer(recognizer.bundle, parts=replace(recognizer.parts, endpointer=endpointer))
            name = "none" if rules.after_speech is None else f"{rules.after_speech:g} s, {rules.longest:g} s"
            print(f"{name:<18} {how:<12} {measure(changed, sound, reference)}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
