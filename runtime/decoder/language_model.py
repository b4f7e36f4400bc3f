"""An n-gram language model over words in KenLM's formats, with natural logarithms.

The native search reads a binary of the kind trie by itself. What else scores words, such as the search in numpy, opens
the file when it does so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgespeech.errors import LanguageModelError
from edgespeech.runtime.decoder.kenlm_trie import KenlmTrie
from edgespeech.runtime.decoder.ngram_scores import LN10, NGramScores
from edgespeech.runtime.decoder.vocabulary import (
    Vocabulary,
    is_kenlm_binary,
    read_arpa_words,
    read_stored_words,
    read_word_list,
)

UNKNOWN_WORD = "<unk>"
# KenLM gives 10**-100 to unknown words of a model without <unk>. One in ten million leaves them possible.
_KENLM_MISSING_UNKNOWN = -99.0 * LN10
_UNKNOWN = -7.0 * LN10


class LanguageModel:
    """A KenLM binary or an ARPA file of any order; without the ``kenlm`` package, a KenLM binary of the kind trie.

    Args:
        path: File of the model.
        vocabulary: Words that the model knows (an iterable, or a text file). By default they are read from the model:
            an ARPA file always contains them, a KenLM binary unless it was built without.

    Attributes:
        path: File of the model.
        trie: The n-grams, as the native search reads them; None if the file is not a KenLM binary of the kind trie.
        order: The n of n-gram.
        vocabulary: The known words, for prefix checks; None if the model does not contain them.
        unknown_score: Natural log p of an unknown word without context.
        unknown_lift: Natural log added to the scores of unknown words, for a model that makes them impossible.

    Raises:
        LanguageModelError: The file is missing, damaged, or not a language model.
        MissingDependencyError: The file is of another kind, and the ``kenlm`` package is not installed.
    """

    def __init__(self, path: str | Path, vocabulary: Iterable[str] | Path | None = None) -> None:
        self.path = Path(path)
        self.trie = _find_trie(self.path)
        self.order = self.trie.order if self.trie else self._scores.order
        is_binary = is_kenlm_binary(self.path)
        stored = read_stored_words(self.path) if is_binary else None
        numbers = None  # those of the vocabulary's words in the trie
        if isinstance(vocabulary, (str, Path)):
            self.vocabulary: Vocabulary | None = read_word_list(Path(vocabulary))
        elif vocabulary is not None:
            self.vocabulary = Vocabulary(vocabulary)
        elif stored is not None:
            self.vocabulary, numbers = Vocabulary.of_stored(stored)
        elif is_binary:
            self.vocabulary = None
        else:
            self.vocabulary = read_arpa_words(self.path)
        unknown = self._score_unknown()
        self.unknown_lift = _UNKNOWN - unknown if unknown < _KENLM_MISSING_UNKNOWN else 0.0
        self.unknown_score = unknown + self.unknown_lift
        if self.trie and stored and numbers is not None and stored.count(0) == len(self.trie.hashes) + 1:
            found = self.trie.unigram_log_probs()[numbers]
            self.unigrams = np.maximum(found.astype(np.float64) * LN10, self.unknown_score)

    def _score_unknown(self) -> float:
        if self.trie:
            return self.trie.unigram(0)[0] * LN10
        return self._scores.score(self._scores.nothing, UNKNOWN_WORD)

    @cached_property
    def _scores(self) -> NGramScores:
        """Scores in context; the native search reads the trie instead."""
        return NGramScores(self.path, self.trie)

    @cached_property
    def unigrams(self) -> npt.NDArray[np.float64]:
        """Natural log p(word) without context, for each word of the vocabulary, sorted; empty without a vocabulary."""
        words = () if self.vocabulary is None else self.vocabulary
        scores = np.array([self.log_prob(self._scores.nothing, word) for word in words])
        unigrams: npt.NDArray[np.float64] = np.maximum(scores, self.unknown_score)
        return unigrams

    def spelled_fraction(self, characters: str) -> float:
        """Return the fraction of running words, by the unigrams, that these characters can write; 1 without words."""
        if not self.vocabulary or self.vocabulary.is_spelled_with(characters):
            return 1.0
        spelled = np.array(self.vocabulary.spelled(characters))
        probabilities = np.exp(self.unigrams)
        return float(probabilities[spelled].sum() / probabilities.sum())

    def begin(self) -> Any:
        """Return the state at the beginning of a sentence, after ``<s>``."""
        return self._scores.begin

    def score(self, state: Any, word: str) -> tuple[float, Any, bool]:
        """Score one word without changing the state, which is from :meth:`begin` or an earlier call.

        Returns:
            The natural log p(word | state), the state after the word, and whether the model knows the word. An
            unknown word has the score of ``<unk>``, or about 1e-7 if the model does not contain it.
        """
        log_prob, after, is_unknown = self._scores.full_score(state, word)
        return (log_prob + self.unknown_lift if is_unknown else log_prob), after, not is_unknown

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and word in self._scores

    def log_prob(self, state: Any, word: str) -> float:
        """Return natural log p(word | state) of a word that the model knows, faster than :meth:`score`."""
        return self._scores.score(state, word)

    def end(self, state: Any) -> float:
        """Return the natural log p(``</s>`` | state)."""
        return self.log_prob(state, "</s>")

    def full_scores(self, sentence: str) -> Iterator[tuple[float, bool]]:
        """Score words with white space between, then ``</s>``: KenLM's base-10 log p, and whether it is unknown."""
        return self._scores.sentence(sentence)


def _find_trie(path: Path) -> KenlmTrie | None:
    """Return the n-grams of a KenLM binary of the kind trie; of any other file, `NGramScores` tells what it is."""
    try:
        return KenlmTrie(path)
    except (LanguageModelError, OSError):
        return None
