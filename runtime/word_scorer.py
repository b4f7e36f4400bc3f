"""What words add to the score of a prefix: alpha log p_lm + beta |words|, as labels arrive.

A word is scored when a space ends it, wherever in a label the space stands ("e ", " a", "a b"), and at the end of the
utterance. The charge for an unknown word falls due as soon as no word of the vocabulary begins like the part heard so
far; bonuses are totals, not increments, so the same charge is never counted twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgespeech.errors import LanguageModelError
from edgespeech.runtime.language_model import LanguageModel


class WordContext(NamedTuple):
    """Where a prefix stands between words.

    Attributes:
        state: Language model state after the complete words.
        partial: The letters since the last space.
        lm_score: Natural log p_lm of the complete words, charges for unknown words included.
        words: Number of complete words.
        unknown: No word of the vocabulary begins with ``partial``.
        bonus: alpha log p_lm + beta |words| of the prefix, with the charge for an unknown ``partial``.
    """

    state: Any
    partial: str
    lm_score: float
    words: int
    unknown: bool
    bonus: float


class WordScorer:
    """Follows prefixes from word to word.

    Args:
        labels: Text of each label.
        lm: Word language model, or None to count words only.
        alpha: Weight of the language model.
        beta: Natural log added for each word.
        unknown_score: Natural log added to the language model's score of each word it does not know.

    Raises:
        LanguageModelError: No label holds a space, or the labels cannot spell any word of the vocabulary.
    """

    def __init__(
        self, labels: Sequence[str], lm: LanguageModel | None, alpha: float, beta: float, unknown_score: float
    ) -> None:
        """Split the labels at their spaces."""
        self._lm = lm
        self._alpha = alpha
        self._beta = beta
        self._unknown_score = unknown_score
        self._pieces = [text.split(" ") for text in labels]
        self._vocabulary = lm.vocabulary if lm else None
        has_space = np.array([" " in text for text in labels])
        if lm and not has_space.any():
            raise LanguageModelError(
                "a word language model cannot be applied: none of the labels holds a space; decode without it"
            )
        if self._vocabulary is not None and not self._vocabulary.spelled_with("".join(labels)):
            raise LanguageModelError(
                f"the labels cannot spell any of the {len(self._vocabulary)} words of the language model; "
                "build it from text normalised to these labels (same case, same characters)"
            )
        at_spaces = np.where(has_space & bool(lm or beta), np.nan, 0.0)
        self._gains = np.stack([at_spaces, np.full(len(labels), np.nan)])

    def begin(self) -> WordContext:
        """Return the context of the empty prefix."""
        return WordContext(self._lm.begin() if self._lm else None, "", 0.0, 0, False, 0.0)

    def extend(self, context: WordContext, label: int) -> WordContext:
        """Return the context of the prefix with one more label."""
        state, partial, lm_score, words, unknown, _ = context
        first, *rest = self._pieces[label]
        partial += first
        for piece in rest:
            if partial:
                state, word_score = self._score_word(state, partial)
                lm_score += word_score
                words += 1
            partial, unknown = piece, False
        if self._vocabulary is not None and partial and not unknown:
            unknown = not self._vocabulary.is_prefix(partial)
        charged = lm_score + self._unknown_score if unknown else lm_score
        bonus = self._alpha * charged + self._beta * words
        return WordContext(state, partial, lm_score, words, unknown, bonus)

    def finish(self, context: WordContext) -> tuple[float, int]:
        """Return natural log p_lm with the last word and the end of the sentence, and the number of words."""
        state, lm_score, words = context.state, context.lm_score, context.words
        if context.partial:
            state, word_score = self._score_word(state, context.partial)
            lm_score += word_score
            words += 1
        return lm_score + (self._lm.end(state) if self._lm else 0.0), words

    def gains(self, contexts: Sequence[WordContext]) -> npt.NDArray[np.float64]:
        """Tell what each label adds to the bonus, [contexts, labels]: 0 where certain, NaN where to be worked out."""
        if self._vocabulary is None:
            return self._gains[np.zeros(len(contexts), dtype=np.intp)]
        return self._gains[[0 if context.unknown else 1 for context in contexts]]

    def _score_word(self, state: Any, word: str) -> tuple[Any, float]:
        if self._lm is None:
            return None, 0.0
        log_prob, state, known = self._lm.score(state, word)
        return state, log_prob if known else log_prob + self._unknown_score
