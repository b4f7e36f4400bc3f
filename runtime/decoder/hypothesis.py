"""Results of the search: words with times, and hypotheses with scores."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """A recognised word, with times in seconds from the beginning of the audio.

    Attributes:
        word: Text without spaces.
        start: Beginning of the word's first label.
        end: End of the word's last label.
        confidence: Estimate, in [0, 1], that the word is right: certainty of its labels times the probability of the
            surviving hypotheses that contain it.
    """

    word: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Hypothesis:
    """A possible text of an utterance; scores are natural logarithms.

    ``score = acoustic_score + alpha * lm_score + beta * len(words) + hot_word_score``.

    Attributes:
        text: The labels joined.
        words: Words with times and confidences.
        score: Total, by which hypotheses are ranked.
        acoustic_score: log p_ctc(labels | audio), summed over the alignments that the beam kept.
        lm_score: log p_lm(words), including out-of-vocabulary penalties; 0 without a language model.
        labels: Label indices without blanks.
        frames: Output frame in which each label was emitted.
        hot_word_score: Boosts of hot words; with a grammar, the cost of speech outside it.
    """

    text: str
    words: tuple[Word, ...]
    score: float
    acoustic_score: float
    lm_score: float
    labels: tuple[int, ...]
    frames: tuple[int, ...]
    hot_word_score: float = 0.0
