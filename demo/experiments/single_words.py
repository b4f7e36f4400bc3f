"""Counts one-word utterances that come out empty, and those that are right, with the minimum evidence and without it.

Run: python -m edgespeech.demo.experiments.single_words MANIFEST... (100 utterances of each, from all over it)
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from edgespeech.runtime.manifest import read_manifest, read_samples
from edgespeech.runtime.measure.progress import track
from edgespeech.runtime.measure.tables import Table, output_text
from edgespeech.runtime.measure.word_errors import normalise
from edgespeech.runtime.min_evidence import MinEvidence
from edgespeech.runtime.recognizer import Recognizer

UTTERANCES = 100


def main(manifests: Iterable[str], recognizer: Recognizer | None = None) -> None:
    """Print a table with one row per manifest."""
    recognizer = recognizer or Recognizer()
    parts = replace(recognizer.parts, min_evidence=MinEvidence(0.0))
    accepts_all = Recognizer(recognizer.bundle, recognizer.options, parts=parts)
    rows = []
    for name in manifests:
        known = [one for one in read_manifest(Path(name)) if len(one.text.split()) == 1]
        chosen = known[:: max(1, len(known) // UTTERANCES)][:UTTERANCES]
        cells = [f"{Path(name).absolute().parent.name}/{Path(name).name}", str(len(chosen))]
        clips = [read_samples(one, recognizer.sample_rate) for one in chosen]
        for each in (recognizer, accepts_all):
            title = f"{cells[0]}, {'default' if each is recognizer else 'all accepted'}"
            texts = [normalise(each.transcribe((clip, each.sample_rate)).text) for clip in track(clips, title)]
            right = sum(text == normalise(one.text) for text, one in zip(texts, chosen, strict=True))
            cells += [str(texts.count("")), str(right)]
        rows.append(cells)
    headings = ("utterances of one word", "number", "empty", "right", "empty, all accepted", "right")
    print(output_text([Table(headings, rows)]))


if __name__ == "__main__":
    main(sys.argv[1:])
