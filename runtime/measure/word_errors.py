"""Word and character error rates as fractions, with intervals and confusions; the only module that imports jiwer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import jiwer
import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from edgespeech.runtime.measure.normalisation import without_gaps

RESAMPLES = 2000
MIN_SPEAKERS = 10  # fewer say too little about how speakers differ


def normalise(text: str) -> str:
    """Return the text in lower case with single spaces, the form in which word errors are counted."""
    return " ".join(text.lower().split())


@dataclass(frozen=True)
class WordErrors:
    """Errors summed over all utterances, and per utterance; numbers are those of words.

    Attributes:
        wer, cer: Word and character error rate, fractions of the reference words and characters.
        utterance_errors, utterance_words: Errors and reference words of each utterance, int64 [utterances].
        substituted: Counts of (reference word, hypothesis word).
        deleted, inserted: Counts of words that only the reference or only the hypothesis has.
    """

    wer: float
    cer: float
    substitutions: int
    deletions: int
    insertions: int
    words: int
    utterance_errors: NDArray[np.int64]
    utterance_words: NDArray[np.int64]
    substituted: Counter[tuple[str, str]] = field(default_factory=Counter)
    deleted: Counter[str] = field(default_factory=Counter)
    inserted: Counter[str] = field(default_factory=Counter)

    @property
    def deletion_rate(self) -> float:
        """Deleted words, a fraction of the reference words."""
        return self.deletions / max(1, self.words)


def align_and_count(references: Sequence[str], hypotheses: Sequence[str]) -> WordErrors:
    """Align each hypothesis with its reference and count the errors; some references, but not all, may be empty."""
    aligned = jiwer.process_words(list(references), list(hypotheses))
    substituted: Counter[tuple[str, str]] = Counter()
    deleted: Counter[str] = Counter()
    inserted: Counter[str] = Counter()
    errors = []
    for reference, hypothesis, chunks in zip(aligned.references, aligned.hypotheses, aligned.alignments, strict=True):
        wrong = 0
        for chunk in chunks:
            left = reference[chunk.ref_start_idx : chunk.ref_end_idx]
            right = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
            if chunk.type == "equal":
                continue
            wrong += max(len(left), len(right))
            if chunk.type == "substitute":
                substituted.update(zip(left, right, strict=True))
            deleted.update(left if chunk.type == "delete" else ())
            inserted.update(right if chunk.type == "insert" else ())
        errors.append(wrong)
    return WordErrors(
        wer=float(aligned.wer),
        cer=character_error_rate(references, hypotheses),
        substitutions=aligned.substitutions,
        deletions=aligned.deletions,
        insertions=aligned.insertions,
        words=aligned.hits + aligned.substitutions + aligned.deletions,
        utterance_errors=np.array(errors, np.int64),
        utterance_words=np.array([len(words) for words in aligned.references], np.int64),
        substituted=substituted,
        deleted=deleted,
        inserted=inserted,
    )


def word_error_rate(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Return the word errors as a fraction of the reference words."""
    return float(jiwer.wer(list(references), list(hypotheses)))


def character_error_rate(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """Return the character errors as a fraction of the reference characters."""
    return float(jiwer.cer([*map(without_gaps, references)], [*map(without_gaps, hypotheses)]))


def word_edit_distance(reference: str, hypothesis: str) -> int:
    """Return the word-level Levenshtein distance of two texts; much faster than an alignment."""
    return int(Levenshtein.distance(reference.split(), hypothesis.split()))


def correct_words(reference: str, hypothesis: str) -> NDArray[np.bool_]:
    """Return for each word of the hypothesis whether it is aligned with the same word of the reference."""
    correct = np.zeros(len(hypothesis.split()), dtype=bool)
    for chunk in jiwer.process_words(reference, hypothesis).alignments[0]:
        if chunk.type == "equal":
            correct[chunk.hyp_start_idx : chunk.hyp_end_idx] = True
    return correct


@dataclass(frozen=True)
class Interval:
    """A 95 % bootstrap interval of an error rate; ``resampled`` is either ``speakers`` or ``utterances``."""

    low: float
    high: float
    resampled: str

    def __str__(self) -> str:
        return f"{100 * self.low:.1f} to {100 * self.high:.1f}"


def wer_interval(errors: WordErrors, speakers: Sequence[str | None], seed: int = 0) -> Interval:
    """Compute a bootstrap percentile interval of the word error rate (Bisani and Ney, ICASSP 2004).

    At least ten speakers (None where unknown) are resampled as a whole, because the errors of one speaker are
    correlated; otherwise utterances are, and the interval is too narrow for unseen speakers.
    """
    return _interval(errors.utterance_words, errors.utterance_errors, speakers, seed)


def difference_interval(
    errors: WordErrors, other: WordErrors, speakers: Sequence[str | None], seed: int = 0
) -> Interval:
    """Compute a bootstrap interval of ``errors - other`` on the same utterances (Bisani and Ney, section 3).

    Both are resampled together, so the difficulty of an utterance cancels and the interval is far narrower than those
    of the two rates. If it contains 0, the difference is within noise.
    """
    return _interval(errors.utterance_words, errors.utterance_errors - other.utterance_errors, speakers, seed)


def _interval(
    words: NDArray[np.int64], errors: NDArray[np.int64], speakers: Sequence[str | None], seed: int
) -> Interval:
    known = {speaker for speaker in speakers if speaker is not None}
    by_speaker = None not in speakers and len(known) >= MIN_SPEAKERS
    order = {speaker: index for index, speaker in enumerate(sorted(known))}
    group = np.array([order[str(speaker)] for speaker in speakers]) if by_speaker else np.arange(len(words))
    errors_in, words_in = (np.bincount(group, weights=counts) for counts in (errors, words))
    random = np.random.default_rng(seed)
    uniform = np.full(len(words_in), 1.0 / len(words_in))
    drawn = [random.multinomial(len(words_in), uniform) for _ in range(RESAMPLES)]
    rates = [float(times @ errors_in) / max(1.0, float(times @ words_in)) for times in drawn]
    low, high = np.quantile(rates, [0.025, 0.975])
    return Interval(float(low), float(high), "speakers" if by_speaker else "utterances")
