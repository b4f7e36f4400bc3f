"""Measures what a language model is worth of which the labels can spell only a fraction of the words.

Run: python -m edgespeech.demo.experiments.spelling MANIFEST [BUNDLE]

The words that can be spelled are drawn at random. Running words are counted by the model's unigrams. Without a language
model the search is the bundle's own with a word bonus of 0.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from edgespeech.demo.tune_decoder.log_prob_cache import compute_log_probs
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.measure.normalisation import scoring_text
from edgespeech.runtime.measure.progress import track
from edgespeech.runtime.measure.tables import Table, output_text
from edgespeech.runtime.measure.word_errors import word_error_rate

FRACTIONS = (1.0, 0.9, 0.75, 0.5, 0.25, 0.1)


def main(manifest: str, folder: str | None = None) -> None:
    """Print the word error rate for each fraction, and without a language model."""
    bundle = load_bundle(folder)
    utterances = compute_log_probs(bundle, Path(manifest))
    path, options = bundle.language_model_path, bundle.manifest.decoder.options()
    assert path is not None
    model = LanguageModel(path)
    words, probabilities = list(model.vocabulary or ()), np.exp(model.unigrams)
    order = np.random.default_rng(0).permutation(len(words))

    def error_rate(decoder: BeamSearchDecoder) -> str:
        texts = [scoring_text(decoder.decode(one.log_probs, 1)[0].text) for one in utterances]
        return f"{word_error_rate([one.reference for one in utterances], texts):.1%}"

    labels, blank = bundle.manifest.labels, bundle.manifest.blank
    rows = []
    for fraction in track(FRACTIONS, "spelling"):
        kept = order[: round(fraction * len(words))]
        running = f"{probabilities[kept].sum() / probabilities.sum():.0%}"
        decoder = BeamSearchDecoder(labels, blank, LanguageModel(path, [words[index] for index in kept]), options)
        rows.append([f"{fraction:.0%}", running, error_rate(decoder)])
    rows.append(["no model", "", error_rate(BeamSearchDecoder(labels, blank, None, options, beta=0.0))])
    print(output_text([Table(("words", "running words", "WER"), rows)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
