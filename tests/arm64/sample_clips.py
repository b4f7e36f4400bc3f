"""Recognise the sample clips, and write texts, word error rate and log-probabilities, to compare two machines.

``python sample_clips.py FILE [BUNDLE]`` runs on both machines; it imports nothing but the runtime.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.manifest import SAMPLE_CLIPS, read_manifest, read_samples
from edgespeech.runtime.measure.word_errors import normalise, word_error_rate
from edgespeech.runtime.recognizer import Recognizer


def main(path: str, bundle: str | None = None) -> None:
    """Write the results with a bundle, or with the default bundle."""
    recognizer = Recognizer(load_bundle(Path(bundle) if bundle else None))
    utterances = read_manifest(SAMPLE_CLIPS, check_files=True)
    texts = [recognizer.transcribe(utterance.path).text for utterance in utterances]
    rate = recognizer.model.audio.sample_rate
    log_probs = {
        f"log_probs_{index}": recognizer.model.stream(read_samples(utterance, rate)[None])[0]
        for index, utterance in enumerate(utterances)
    }
    wer = word_error_rate([normalise(one.text) for one in utterances], [normalise(text) for text in texts])
    np.savez(path, texts=np.array(texts), wer=np.array(wer), **log_probs)


if __name__ == "__main__":
    main(*sys.argv[1:])
