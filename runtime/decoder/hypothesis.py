"""What a search returns: words with their times and complete hypotheses with their scores."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """A recognised word.

    Attributes:
        word: The text, without spaces.
        start: Seconds from the beginning of the audio to the word's first label.
        end: Seconds from the beginning of the audio to the end of the word's last label.
        confidence: In [0, 1]; how likely the word is right: how surely its labels were heard, and what share of the
            surviving probability agrees.
    """

    word: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Hypothesis:
    """One complete reading of an utterance; scores are natural logarithms.

    ``score = acoustic_score + alpha * lm_score + beta * len(words) + hot_word_score``.

    Attributes:
        text: The labels joined.
        words: Words with times; confidence is filled for the best hypothesis, and is that of the best for the others.
        score: What the search ranks by.
        acoustic_score: log p_ctc(labels | audio), summed over the alignments that the beam kept.
        lm_score: log p_lm(words), charges for unknown words included; 0 without a language model.
        labels: Label indices without blanks.
        frames: For each label, the output frame in which it was emitted.
        hot_word_score: What hot words add; with a grammar, what speech outside it costs.
    """

    text: str
    words: tuple[Word, ...]
    score: float
    acoustic_score: float
    lm_score: float
    labels: tuple[int, ...]
    frames: tuple[int, ...]
    hot_word_score: float = 0.0
