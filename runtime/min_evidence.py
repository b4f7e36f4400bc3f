"""Rejection of segments whose words are probably noise, by their acoustic evidence."""

from __future__ import annotations

import math

from edgespeech.errors import UsageError
from edgespeech.runtime.decoder.hypothesis import Hypothesis, join_words
from edgespeech.runtime.options import DEFAULT_MIN_EVIDENCE

# The longest word must have two letters: noise is decoded as single letters, and hardly anyone says only "i".
# Characters that are words count together.
_MIN_LETTERS = 2

_LABELS_PER_WORD = 12.0 / 2.75  # of English text: 12 nats per word are 2.75 nats per label
_MIN_NATS_PER_SECOND = 16.0  # from the first label to the last: noise becomes labels that are far apart

_MIN_PHRASE_NATS_PER_SECOND = 50.0  # corrected by the label priors, at the default of the option


class MinEvidence:
    """Separates speech from noise by the acoustic model alone, without language model and word bonus.

    The evidence for a text is log p_ctc(text | audio) - log p_ctc(empty text | audio), where the empty text is the
    blank in every frame. Noise collects tens of nats as well, but few for each label and few for each second, while a
    short word has few in all and many for each label. The minimum confidence depends on the model and is part of the
    bundle.

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

        An accepted phrase of a grammar has been compared with other speech already. Corrected by the label priors, its
        evidence tells it from noise by the nats for each second alone.

        ``blank_score`` is the sum of the blank's natural-log probabilities over the frames of the segment.
        """
        if not self.nats_per_word:
            return True
        if hypothesis.phrase_evidence is not None:
            seconds = hypothesis.words[-1].end - hypothesis.words[0].start
            least = self.nats_per_word / DEFAULT_MIN_EVIDENCE * _MIN_PHRASE_NATS_PER_SECOND
            return hypothesis.phrase_evidence >= least * seconds
        words, evidence = hypothesis.words, hypothesis.acoustic_score - blank_score
        if not any(len(word) >= _MIN_LETTERS for word in join_words(words, plain=True).split()):
            return False
        enough = evidence >= self.nats_per_word / _LABELS_PER_WORD * len(hypothesis.labels)
        dense = evidence >= _MIN_NATS_PER_SECOND * (words[-1].end - words[0].start)
        confident = sum(word.confidence for word in words) >= self.min_confidence * len(words)
        return enough and dense and confident
