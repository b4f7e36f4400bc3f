"""Word errors of many utterances: counts, an interval for the rate, what was mistaken for what; jiwer aligns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import jiwer
import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
FEWEST_SPEAKERS = 10  # fewer do not tell how speakers differ


@dataclass(frozen=True)
class WordErrors:
    """Counts over all utterances.

    Attributes:
        wer: Errors as a share of the words said.
        cer: Wrong characters as a share of the characters said.
        substitutions, deletions, insertions: Words.
        words: Said.
        errors: int64 [utterances].
        said: Words of each utterance, int64 [utterances].
        substituted: How often (said, heard).
        deleted: How often a word was not heard.
        inserted: How often a word was heard that nobody said.
    """

    wer: float
    cer: float
    substitutions: int
    deletions: int
    insertions: int
    words: int
    errors: NDArray[np.int64]
    said: NDArray[np.int64]
    substituted: Counter[tuple[str, str]] = field(default_factory=Counter)
    deleted: Counter[str] = field(default_factory=Counter)
    inserted: Counter[str] = field(default_factory=Counter)


def count_errors(references: Sequence[str], hypotheses: Sequence[str]) -> WordErrors:
    """Align and count.

    Args:
        references: What was said; every text has a word.
        hypotheses: What was heard, in the same order.
    """
    aligned = jiwer.process_words(list(references), list(hypotheses))
    substituted: Counter[tuple[str, str]] = Counter()
    deleted: Counter[str] = Counter()
    inserted: Counter[str] = Counter()
    errors = []
    for said, heard, chunks in zip(aligned.references, aligned.hypotheses, aligned.alignments, strict=True):
        wrong = 0
        for chunk in chunks:
            left = said[chunk.ref_start_idx : chunk.ref_end_idx]
            right = heard[chunk.hyp_start_idx : chunk.hyp_end_idx]
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
        cer=float(jiwer.cer(list(references), list(hypotheses))),
        substitutions=aligned.substitutions,
        deletions=aligned.deletions,
        insertions=aligned.insertions,
        words=aligned.hits + aligned.substitutions + aligned.deletions,
        errors=np.array(errors, np.int64),
        said=np.array([len(words) for words in aligned.references], np.int64),
        substituted=substituted,
        deleted=deleted,
        inserted=inserted,
    )


@dataclass(frozen=True)
class Interval:
    """Where the error rate of other such speech lies in 95 of 100 cases; ``over`` is what was drawn anew."""

    low: float
    high: float
    over: str

    def __str__(self) -> str:
        """In percent."""
        return f"{100 * self.low:.1f} to {100 * self.high:.1f}"


def wer_interval(errors: WordErrors, speakers: Sequence[str | None], seed: int = 0) -> Interval:
    """Bootstrap percentile interval of the word error rate (Bisani and Ney, ICASSP 2004).

    Whole speakers are drawn where there are ten or more of them, because the errors of a speaker go together;
    otherwise utterances are, and the interval is too narrow for speech of other people.

    Args:
        errors: Counts of each utterance.
        speakers: Who says each utterance; None where unknown.
        seed: Of the draws.
    """
    return _interval(errors.said, errors.errors, speakers, seed)


def difference_interval(
    errors: WordErrors, other: WordErrors, speakers: Sequence[str | None], seed: int = 0
) -> Interval:
    """Interval of the difference of two error rates on the same utterances, drawn together: ``errors - other``.

    What makes an utterance hard is the same for both and falls out, so this is far narrower than what the two
    intervals leave open (Bisani and Ney, ICASSP 2004, section 3). An interval around 0 is a difference within noise.

    Args:
        errors: Counts of each utterance.
        other: Of another recognizer, in the same order.
        speakers: As above.
        seed: Of the draws.
    """
    return _interval(errors.said, errors.errors - other.errors, speakers, seed)


def _interval(said: NDArray[np.int64], wrong: NDArray[np.int64], speakers: Sequence[str | None], seed: int) -> Interval:
    """Of wrong by said, over draws of speakers or utterances."""
    known = {speaker for speaker in speakers if speaker is not None}
    by_speaker = None not in speakers and len(known) >= FEWEST_SPEAKERS
    order = {speaker: index for index, speaker in enumerate(sorted(known))}
    group = np.array([order[str(speaker)] for speaker in speakers]) if by_speaker else np.arange(len(said))
    wrong_in, said_in = (np.bincount(group, weights=counts) for counts in (wrong, said))
    random = np.random.default_rng(seed)
    evenly = np.full(len(said_in), 1.0 / len(said_in))
    drawn = [random.multinomial(len(said_in), evenly) for _ in range(RESAMPLES)]
    rates = [float(times @ wrong_in) / float(times @ said_in) for times in drawn]
    low, high = np.quantile(rates, [0.025, 0.975])
    return Interval(float(low), float(high), "speakers" if by_speaker else "utterances")
