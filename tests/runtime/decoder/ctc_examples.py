"""Log-probabilities for tests of the search, and the sums over all alignments that it has to reproduce."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgespeech.runtime.decoder.hypothesis import Hypothesis
from edgespeech.runtime.decoder.language_model import LanguageModel

Array = npt.NDArray[np.float64]
Labels = tuple[int, ...]

GOLDEN = Path(__file__).parents[2] / "golden"
LN10 = math.log(10.0)
LETTERS = ("", " ", "a", "b")
PIECES = ("", "a", "b ", " a", "a b")
ALPHABET = ("", " ", *"abcdefghijklmnopqrstuvwxyz'")
EXACT: dict[str, Any] = {
    "symbol_mass": 1.0,
    "max_symbols": None,
    "beam_width": 1_000_000,
    "beam_threshold": None,
    "max_tentative": None,
}


def random_log_probs(seed: int, frames: int, labels: int, peak: float = 1.0) -> Array:
    """Draw log-probabilities [frames, labels]; a higher peak makes them more certain."""
    logits = np.random.default_rng(seed).normal(size=(frames, labels)) * peak
    return np.asarray(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))


def spoken(text: str, labels: Sequence[str], sure: float = 0.98, blanks: int = 1) -> Array:
    """Make log-probabilities in which each label of the text has one frame, followed by frames of blank."""
    indices = [index for label in text for index in (labels.index(label), *[0] * blanks)]
    probabilities = np.full((len(indices), len(labels)), (1.0 - sure) / (len(labels) - 1))
    probabilities[np.arange(len(indices)), indices] = sure
    return np.asarray(np.log(probabilities))


def all_alignments(log_probs: Array) -> dict[Labels, float]:
    """Sum the probability of every path into the label sequence it collapses to; blank is 0."""
    totals: dict[Labels, float] = {}
    frames, labels = log_probs.shape
    for alignment in itertools.product(range(labels), repeat=frames):
        collapsed = tuple(label for label, _ in itertools.groupby(alignment) if label)
        score = sum(float(log_probs[t, label]) for t, label in enumerate(alignment))
        totals[collapsed] = float(np.logaddexp(totals.get(collapsed, -np.inf), score))
    return totals


def bigram_log_prob(
    arpa: Path, words: Sequence[str], unknown_score: float, free: Iterable[str] = (), boundary: bool = True
) -> float:
    """Score words by the text of an ARPA file of bigrams: natural log, sentence markers included.

    Args:
        arpa: The file.
        words: Words of the sentence.
        unknown_score: Penalty for each unknown word.
        free: Unknown words without the penalty.
        boundary: Whether the sentence ends.
    """
    probability: dict[tuple[str, ...], float] = {}
    backoff: dict[str, float] = {}
    for line in arpa.read_text(encoding="utf-8").splitlines():
        columns = line.split("\t")
        if len(columns) == 1:
            continue
        probability[tuple(columns[1].split())] = float(columns[0])
        if len(columns) == 3:
            backoff[columns[1]] = float(columns[2])
    total, before = 0.0, "<s>"
    for word in (*words, "</s>") if boundary else words:
        known = word if (word,) in probability else "<unk>"
        if (before, known) in probability:
            total += probability[before, known] * LN10
        else:
            total += (backoff[before] + probability[(known,)]) * LN10
        total += unknown_score if known == "<unk>" and word not in free else 0.0
        before = known
    return total


def best_cover(words: Sequence[str], boosts: Mapping[str, float]) -> float:
    """Return the largest sum of boosts of phrases that do not overlap, found by trying every choice."""
    if not words:
        return 0.0
    best = best_cover(words[1:], boosts)
    for phrase, boost in boosts.items():
        length = len(phrase.split())
        if tuple(words[:length]) == tuple(phrase.split()):
            best = max(best, boost + best_cover(words[length:], boosts))
    return best


def spell_words(labels: Sequence[str]) -> Callable[[Labels], list[str]]:
    """Return a function from label indices to words."""
    return lambda indices: "".join(labels[index] for index in indices).split()


def chatter(lm: LanguageModel, seed: int, frames: int) -> Array:
    """Make log-probabilities of random words of the model, mixed with strong noise."""
    assert lm.vocabulary is not None
    words = np.random.default_rng(seed).choice(list(lm.vocabulary), frames // 12)
    clean = spoken(" ".join(words)[: frames // 2].ljust(frames // 2), ALPHABET, 0.7)
    mixed = np.logaddexp(clean, random_log_probs(seed, len(clean), len(ALPHABET), 3.0) - 0.5)
    return np.asarray(mixed - np.logaddexp.reduce(mixed, axis=1, keepdims=True))


def exact(found: Hypothesis) -> tuple[Any, ...]:
    """Return what is the same in both searches: text, labels, frames, and words with their times."""
    return found.text, found.labels, found.frames, [(word.word, word.start, word.end) for word in found.words]


def numbers(found: Hypothesis) -> list[float]:
    """Return what the searches may round differently: scores and confidences."""
    scores = [found.score, found.acoustic_score, found.lm_score, found.hot_word_score]
    return [*scores, *(word.confidence for word in found.words)]


def anonymous_memory() -> int:
    """Return the resident bytes of this process that belong to no file."""
    return 1024 * int(Path("/proc/self/status").read_text().partition("RssAnon:")[2].split()[0])
