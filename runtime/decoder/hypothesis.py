"""Results of the search: text so far, words with times, and hypotheses with scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Partial:
    """Text that has been recognised so far, ``committed + tentative``.

    Attributes:
        text: Text of the best prefix.
        committed: Beginning that all surviving prefixes share; it only grows.
        tentative: The rest, which may still change.
    """

    text: str
    committed: str
    tentative: str


@dataclass(frozen=True)
class Word:
    """A recognised word, with times in seconds from the beginning of the audio.

    Attributes:
        word: Text without spaces.
        start: Beginning of the word's first label.
        end: End of the word's last label.
        confidence: Estimate, in [0, 1], that the word is right: certainty of its labels times the probability of the
            surviving hypotheses that contain it.
        written: The word as it is written, with the mark behind it; empty for the further words of a number, and None
            if only the plain text is asked for.
        joined: Whether it follows the word before it without a space: where no label contains a space, every character
            is a word.
    """

    word: str
    start: float
    end: float
    confidence: float
    written: str | None = None
    joined: bool = False


def join_words(words: Iterable[Word], plain: bool = False) -> str:
    """Return the text of words as they are written, or plain; a number is the written form of its first word."""
    text = ""
    for word in words:
        form = word.word if plain or word.written is None else word.written
        if form:
            text += form if word.joined or not text else f" {form}"
    return text


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
        hot_word_score: Boosts of hot words; with a grammar, the cost of speech outside it, or what the accepted phrase
            is preferred by.
        phrase_evidence: Natural log by which the phrases of a grammar that all of the segment was accepted as exceed
            silence, corrected by the label priors; None for anything else, and without label priors.
    """

    text: str
    words: tuple[Word, ...]
    score: float
    acoustic_score: float
    lm_score: float
    labels: tuple[int, ...]
    frames: tuple[int, ...]
    hot_word_score: float = 0.0
    phrase_evidence: float | None = None
