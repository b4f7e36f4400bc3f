"""Rejection of segments whose words are probably noise, by their acoustic evidence."""

from __future__ import annotations

import math

from edgespeech.errors import UsageError
from edgespeech.runtime.decoder.hypothesis import Hypothesis
from edgespeech.runtime.options import DEFAULT_MIN_EVIDENCE

# The longest word must have two letters: noise is decoded as single letters, and hardly anyone says only "i".
_MIN_LETTERS = 2


class MinEvidence:
    """Separates speech from noise by the acoustic model alone, without language model and word bonus.

    The evidence for a text is log p_ctc(text | audio) - log p_ctc(empty text | audio), where the empty text is the
    blank in every frame. A confident model finds tens of nats of evidence for words in noise too, but hardly any letter
    of them is probable; hence the minimum confidence, which depends on the model and is part of the bundle.

    Raises:
        UsageError: The number is negative or not finite.
    """

    def __init__(self, nats_per_word: float = DEFAULT_MIN_EVIDENCE, min_confidence: float = 0.0) -> None:
        if not 0.0 <= nats_per_word < math.inf:
            raise UsageError(
                f"a minimum evidence of {nats_per_word:g} nats per word; wanted 0 (accept everything) or more"
            )
        self.nats_per_word = nats_per_word
        self.min_confidence = min_confidence

    def passes(self, hypothesis: Hypothesis, blank_score: float) -> bool:
        """Return whether the best hypothesis of a finished segment is probably speech.

        ``blank_score`` is the sum of the blank's natural-log probabilities over the frames of the segment.
        """
        if not self.nats_per_word:
            return True
        evidence = hypothesis.acoustic_score - blank_score
        enough = evidence >= self.nats_per_word * len(hypothesis.words)
        confident = sum(word.confidence for word in hypothesis.words) >= self.min_confidence * len(hypothesis.words)
        return enough and confident and any(len(word.word) >= _MIN_LETTERS for word in hypothesis.words)
