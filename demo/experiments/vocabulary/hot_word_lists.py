"""Counts what lists of 1 to 10,000 hot words gain on their words, and what they cost on all others.

Run: python -m edgespeech.demo.experiments.vocabulary.hot_word_lists SPEECH CMUDICT [--boosts 4,8]

SPEECH is a folder with librispeech and speechocean762, whose dev sets are decoded. The rarest words of their texts are
taken out of the language model of the default bundle, so that it does not know them. Short lists divide these words
among themselves; longer ones have all of them, and words of CMUDICT that nobody says.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgespeech.demo.evaluation.hot_words import HotWordRates, count_hot_words
from edgespeech.demo.tune_decoder.log_prob_cache import AcousticUtterance, compute_log_probs
from edgespeech.reference.language_model.arpa import write_arpa
from edgespeech.reference.language_model.kenlm_tools import find_tool, run_tool
from edgespeech.reference.language_model.mixing import with_backoffs
from edgespeech.reference.language_model.ngrams import BEGIN, MISSING, NGramArrays, Order, read_ngrams
from edgespeech.runtime.bundle import Bundle, load_bundle
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.measure.normalisation import scoring_text
from edgespeech.runtime.measure.progress import track
from edgespeech.runtime.measure.tables import Table

TARGETS = 100
MIN_LETTERS = 4
LENGTHS = (1, 10, 100, 1_000, 10_000)
PASSES = 2  # how often an utterance without a word of the list is decoded with short lists
HEADINGS = ("list", "boost", "lists", "spoken", "recall %", "precision %", "WER % where spoken before", "after",
            "words elsewhere", "WER % elsewhere before", "after", "change")  # fmt: skip


@dataclass(frozen=True)
class Rates:
    """Counts over all lists of one length: words of the lists, and errors in utterances without any of them."""

    spoken: int
    recognised: int
    correct: int
    errors_where_spoken: float
    words_where_spoken: int
    errors_elsewhere: float
    words_elsewhere: int

    def __add__(self, other: Rates) -> Rates:
        return Rates(*(one + two for one, two in zip(vars(self).values(), vars(other).values(), strict=True)))


def without_words(model: NGramArrays, words: frozenset[str]) -> NGramArrays:
    """Take words and all n-grams with them out of a model; the others fill their place."""
    kept = np.array([word not in words for word in model.words])
    places = np.where(kept, np.cumsum(kept) - 1, MISSING)
    below, numbers = kept, places
    orders: list[Order] = []
    for order in model.orders:
        left = kept[order.first] & (below[order.ends] if orders else True)
        at = places[order.ends[left]] if orders else numbers[order.first[left]]
        contexts = places[order.contexts[left]] if orders else order.contexts[left]
        log_probs = order.log_probs[left]
        if not orders:
            predicted = np.arange(len(kept))[left] != model.numbers[BEGIN]
            log_probs = log_probs - np.log(np.exp(log_probs[predicted]).sum())
        thinner = Order(numbers[order.first[left]], at, contexts, log_probs, np.zeros(len(log_probs)))
        orders = with_backoffs(orders, thinner, log_probs)
        if len(orders) > 1:
            below, places = left, np.where(left, np.cumsum(left) - 1, MISSING)
    return NGramArrays(tuple(word for word in model.words if word not in words), tuple(orders))


def rarest_words(model: NGramArrays, utterances: Sequence[AcousticUtterance]) -> list[str]:
    """Return the words of the references that are least probable without context."""
    words = {word for one in utterances for word in one.reference.split() if len(word) >= MIN_LETTERS}
    known = sorted(words & set(model.words), key=lambda word: model.orders[0].log_probs[model.numbers[word]])
    return known[:TARGETS]


@dataclass(frozen=True)
class Trial:
    """Speech, the settings of a bundle, and a language model without the words."""

    bundle: Bundle
    lm: LanguageModel
    utterances: Sequence[AcousticUtterance]

    def texts(self, hot_words: Mapping[str, float], utterances: Sequence[AcousticUtterance]) -> list[str]:
        """Decode utterances with hot words."""
        manifest = self.bundle.manifest
        decoder = BeamSearchDecoder(
            manifest.labels, manifest.blank, self.lm, manifest.decoder.options(), hot_words=hot_words
        )
        found = []
        for one in utterances:
            _, state = decoder.step(one.log_probs, decoder.initial_state())
            found.append(scoring_text(decoder.finish(state)[0].text))
        return found

    def measure(self, lists: Sequence[Sequence[str]], boost: float, before: Sequence[str]) -> tuple[Rates, Rates]:
        """Return the rates without hot words, and with each of these lists.

        All utterances with a word of a list are decoded with it; of the others, each with a part of the lists.
        """
        total: list[Rates] = []
        every = max(1, len(lists) // PASSES)
        for number, words in enumerate(track(lists, f"{len(lists[0])} words, boost {boost:g}")):
            phrases = dict.fromkeys(words, boost)
            chosen = [
                place for place, one in enumerate(self.utterances)
                if place % every == number % every or not phrases.keys().isdisjoint(one.reference.split())
            ]  # fmt: skip
            utterances = [self.utterances[place] for place in chosen]
            texts = self.texts(phrases, utterances)
            references = [one.reference for one in utterances]
            rates = [_rates(phrases, references, one) for one in ([before[place] for place in chosen], texts)]
            total = [one + other for one, other in zip(total, rates, strict=True)] if total else rates
        return total[0], total[1]


def _rates(phrases: Mapping[str, float], references: Sequence[str], texts: Sequence[str]) -> Rates:
    found: HotWordRates = count_hot_words(phrases, references, texts)
    lengths = [(len(text.split()), any(word in phrases for word in text.split())) for text in references]
    spoken, elsewhere = (sum(length for length, has in lengths if has is wanted) for wanted in (True, False))
    return Rates(
        found.spoken, found.recognised, found.correct, found.wer_with * spoken, spoken,
        found.wer_without * elsewhere, elsewhere,
    )  # fmt: skip


def _cells(length: int, boost: float, lists: int, before: Rates, after: Rates) -> tuple[str, ...]:
    where = [100.0 * one.errors_where_spoken / one.words_where_spoken for one in (before, after)]
    elsewhere = [100.0 * one.errors_elsewhere / one.words_elsewhere for one in (before, after)]
    return (
        str(length), f"{boost:g}", str(lists), str(after.spoken), f"{100.0 * after.correct / after.spoken:.1f}",
        f"{100.0 * after.correct / max(after.recognised, 1):.1f}", f"{where[0]:.1f}", f"{where[1]:.1f}",
        str(after.words_elsewhere), f"{elsewhere[0]:.2f}", f"{elsewhere[1]:.2f}",
        f"{elsewhere[1] - elsewhere[0]:+.2f}",
    )  # fmt: skip


def write_model(model: NGramArrays, folder: Path) -> LanguageModel:
    """Write a model as a trie, and open it."""
    with (folder / "lm.arpa").open("w", encoding="utf-8") as out:
        write_arpa(model, out)
    run_tool([find_tool("build_binary"), "-a", "255", "trie", str(folder / "lm.arpa"), str(folder / "lm.bin")])
    return LanguageModel(folder / "lm.bin")


def main() -> None:
    """Print a row for each length and boost."""
    parser = argparse.ArgumentParser(description="Measure lists of hot words of different lengths.")
    parser.add_argument("speech", type=Path)
    parser.add_argument("cmudict", type=Path)
    parser.add_argument("--boosts", default="4,8,12")
    given = parser.parse_args()
    bundle = load_bundle()
    assert bundle.language_model_path is not None
    model = read_ngrams(bundle.language_model_path)
    dev = [compute_log_probs(bundle, given.speech / name / "dev.jsonl") for name in ("librispeech", "speechocean762")]
    utterances = [one for part in dev for one in part]
    targets = rarest_words(model, utterances)
    known = set(model.words) | {word for one in utterances for word in one.reference.split()}
    entries = (line.split(" ")[0] for line in given.cmudict.read_text(encoding="utf-8").splitlines())
    others = sorted({word for word in entries if word.isalpha() and len(word) >= MIN_LETTERS} - known)
    random.Random(0).shuffle(others)
    random.Random(0).shuffle(targets)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        lm = write_model(without_words(model, frozenset(targets)), Path(folder))
        trial = Trial(bundle, lm, utterances)
        before = trial.texts({}, utterances)
        for boost in map(float, given.boosts.split(",")):
            for length in LENGTHS:
                lists = _lists(targets, others, length)
                rows.append(_cells(length, boost, len(lists), *trial.measure(lists, boost, before)))
                print(" | ".join(rows[-1]), flush=True)
    print(f"{len(targets)} words: {', '.join(sorted(targets)[:12])}, ...")
    print(Table(HEADINGS, rows).text())


def _lists(targets: Sequence[str], others: Sequence[str], length: int) -> list[Sequence[str]]:
    if length >= len(targets):
        return [[*targets, *others[: length - len(targets)]]]
    return [targets[start : start + length] for start in range(0, len(targets), length)]


if __name__ == "__main__":
    main()
