"""Compares ways to mix the default language model with one of a text: perplexity on the text's domain and elsewhere.

Run: python -m edgespeech.demo.experiments.vocabulary.mixtures SPEECH [--domain coffee|learners]

SPEECH is the folder that `own_text` takes. One model, as `edgespeech adapt --text` makes it, is compared with two that
are asked for every word and mixed there: linearly with a fixed weight, linearly with the weight of Bayes' rule after
all words of the sentence so far, and log-linearly, with the sum over all words as the divisor.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edgespeech.demo.experiments.vocabulary.own_text import DOMAINS
from edgespeech.reference.language_model.kenlm_tools import find_tool, run_tool
from edgespeech.reference.language_model.mixing import Union, unite
from edgespeech.reference.language_model.ngrams import Floats, NGramArrays, Tokens, read_ngrams
from edgespeech.reference.language_model.sampling import Distributions
from edgespeech.runtime.bundle import load_bundle
from edgespeech.runtime.manifest import read_manifest
from edgespeech.runtime.measure.tables import Table

WEIGHTS = (0.03, 0.1, 0.3, 0.5)
ALONE = 1e-12  # weight of the other model where one is asked alone
SENTENCES = 60  # of each text, for the log-linear mixture takes a sum over all words for every word


def one_model(union: Union, weight: float, by_context: bool) -> Callable[[Tokens], Floats]:
    """Return the scores of the mixture as a model of its own."""
    return union.mix(weight, by_context).score


class TwoModels:
    """Both models over the words of both, asked for every word."""

    def __init__(self, union: Union) -> None:
        self.models = [union.mix(weight, by_context=False) for weight in (ALONE, 1.0 - ALONE)]
        self._distributions = [Distributions(model) for model in self.models]

    def linear(self, weight: float, by_context: bool) -> Callable[[Tokens], Floats]:
        """Return the scores with a fixed weight, or with that after the words of the sentence so far."""

        def score(tokens: Tokens) -> Floats:
            first, second = (model.score(tokens) for model in self.models)
            odds = np.log(weight) - np.log1p(-weight) + (self._evidence(tokens, second - first) if by_context else 0.0)
            mixed: Floats = np.logaddexp(first - np.logaddexp(0.0, odds), second - np.logaddexp(0.0, -odds))
            return mixed

        return score

    def _evidence(self, tokens: Tokens, gains: Floats) -> Floats:
        before = np.concatenate([[0.0], np.cumsum(gains)[:-1]])
        begins = np.concatenate([[True], tokens.starts[1:] != tokens.starts[:-1]])
        offsets = before[np.maximum.accumulate(np.where(begins, np.arange(len(gains)), 0))]
        return np.asarray(before - offsets)

    def log_linear(self, weight: float) -> Callable[[Tokens], Floats]:
        """Return the scores of a normalised log-linear mixture."""

        def score(tokens: Tokens) -> Floats:
            scores = []
            for word, place, start in zip(tokens.words, tokens.places, tokens.starts, strict=True):
                history = tokens.line[max(start, place - len(self.models[0].orders) + 1) : place].tolist()
                first, second = (one.after(history) for one in self._distributions)
                mixed = (1.0 - weight) * first + weight * second
                scores.append(mixed[word] - np.logaddexp.reduce(mixed))
            return np.array(scores)

        return score


def text_model(lines: Sequence[str], order: int, folder: Path) -> NGramArrays:
    """Estimate a model of sentences."""
    text, arpa, packed = (folder / name for name in ("text.txt", "text.arpa", "text.bin"))
    text.write_text("\n".join(lines) + "\n", encoding="utf-8")
    run_tool([find_tool("lmplz"), "-o", str(order), "--discount_fallback", "--text", str(text)], arpa)
    run_tool([find_tool("build_binary"), "trie", str(arpa), str(packed)])
    return read_ngrams(packed)


def main() -> None:
    """Print a row for each mixture and weight."""
    parser = argparse.ArgumentParser(description="Compare mixtures of two language models.")
    parser.add_argument("speech", type=Path)
    parser.add_argument("--domain", choices=sorted(DOMAINS), default="coffee")
    given = parser.parse_args()
    bundle = load_bundle()
    assert bundle.language_model_path is not None
    domain = DOMAINS[given.domain](bundle, given.speech)
    base = read_ngrams(bundle.language_model_path)
    with tempfile.TemporaryDirectory() as folder:
        union = unite(base, text_model(domain.text, len(base.orders), Path(folder)))
    two = TwoModels(union)
    own = sorted({one.reference for one in domain.tests})[:SENTENCES]
    other = [one.text for one in read_manifest(given.speech / "librispeech" / "dev.jsonl")][:SENTENCES]
    tokens = [two.models[0].tokens(lines) for lines in (own, other)]
    rows = [("default model", "", *(_perplexity(two.models[0].score, one) for one in tokens))]
    for weight in WEIGHTS:
        ways = {
            "one model, weights by context": one_model(union, weight, True),
            "one model, fixed weight": one_model(union, weight, False),
            "two models, weights by all words before": two.linear(weight, True),
            "two models, fixed weight": two.linear(weight, False),
            "two models, log-linear": two.log_linear(weight),
        }
        rows += [(name, f"{weight:g}", *(_perplexity(way, one) for one in tokens)) for name, way in ways.items()]
    print(Table(("mixture", "weight", f"perplexity: {domain.name}", "LibriSpeech dev"), rows).text())


def _perplexity(score: Callable[[Tokens], Floats], tokens: Tokens) -> str:
    return f"{np.exp(-score(tokens).mean()):.1f}"


if __name__ == "__main__":
    main()
