"""What is added to a model's logits before its search: a score for the blank, and less for labels that are frequent.

A CTC model learns how often each letter occurs in its training texts. The language model knows that too, and better, so
in a search with both it counts twice. Dividing the label's frequency out, to a power, corrects it; Miao et al. 2015
("EESEN", arXiv 1507.08240) divide by the frequency itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgespeech.reference.model.labels import BLANK, Labels
from edgespeech.runtime.decoder.language_model import LanguageModel


def label_scores(
    labels: Labels, blank_score: float = 0.0, prior_power: float = 0.0, lm: Path | None = None
) -> NDArray[np.float32]:
    """Return what is added to the logit of each label, natural logarithm, float32 [labels].

    Args:
        labels: Labels of the model.
        blank_score: What is added to the blank.
        prior_power: Power of the frequencies that the other labels are divided by. The mean over running labels is not
            changed, so that the blank keeps its weight.
        lm: KenLM model whose words, by their probabilities, give the frequencies; used if the power is not 0.

    Raises:
        LanguageModelError: The language model is unusable.
    """
    scores = np.zeros(len(labels), np.float32)
    if prior_power and lm is not None:
        counts = _count_labels(labels, LanguageModel(lm))
        used = counts > 0.0
        logs = np.log(counts[used] / counts.sum())
        scores[used] = -prior_power * (logs - np.average(logs, weights=counts[used]))
    scores[BLANK] = blank_score
    return scores


def recorded_settings(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the provenance of a bundle records of the arguments of `label_scores`; 0.0 for what it does not."""
    return {name: float(provenance.get(name, 0.0)) for name in ("blank_score", "prior_power")}


def _count_labels(labels: Labels, lm: LanguageModel) -> NDArray[np.float64]:
    """Return the expected number of each label in a word of the language model; a word has a space, if labels have."""
    counts = np.zeros(len(labels))
    symbols = set("".join(labels.symbols))
    end = labels.encode(" ") if " " in labels.symbols else []
    for word, log_probability in zip(lm.vocabulary or (), lm.unigrams, strict=False):
        if symbols.issuperset(word):
            np.add.at(counts, labels.encode(word) + end, np.exp(log_probability))
    return counts
