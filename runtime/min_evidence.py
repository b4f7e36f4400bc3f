"""Words that noise alone made: segments with too little evidence are dropped."""

from __future__ import annotations

import math

from edgespeech.errors import UsageError
from edgespeech.runtime.decoder.hypothesis import Hypothesis
from edgespeech.runtime.options import DEFAULT_MIN_EVIDENCE

_LETTERS = 2  # of the longest word: noise becomes single letters, and no utterance is only "i"


class MinEvidence:
    """Tells speech from noise by what the acoustic model says, without the language model and the bonus for words.

    The evidence for a text is log p_ctc(text | sound) - log p_ctc(nothing | sound), and "nothing" is the blank in every
    frame. A sure model gives tens of nats to words that it makes of noise, too, but hardly a letter of them is likely:
    hence a least confidence, which is the bundle's, because what is usual differs from model to model.

    Args:
        nats_per_word: Evidence that a segment needs for each of its words; 0 lets everything pass.
        min_confidence: Mean confidence that its words need, 0 to 1.

    Raises:
        UsageError: The number is negative or not finite.
    """

    def __init__(self, nats_per_word: float = DEFAULT_MIN_EVIDENCE, min_confidence: float = 0.0) -> None:
        """Remember the thresholds."""
        if not 0.0 <= nats_per_word < math.inf:
            raise UsageError(
                f"a minimum evidence of {nats_per_word:g} nats per word; wanted 0 (accept everything) or more"
            )
        self.nats_per_word = nats_per_word
        self.min_confidence = min_confidence

    def passes(self, hypothesis: Hypothesis, blank_score: float) -> bool:
        """Whether the words of a finished segment are worth showing.

        Args:
            hypothesis: The best one.
            blank_score: Sum of the blank's natural-log probabilities over the frames of the segment.
        """
        if not self.nats_per_word:
            return True
        evidence = hypothesis.acoustic_score - blank_score
        enough = evidence >= self.nats_per_word * len(hypothesis.words)
        sure = sum(word.confidence for word in hypothesis.words) >= self.min_confidence * len(hypothesis.words)
        return enough and sure and any(len(word.word) >= _LETTERS for word in hypothesis.words)
