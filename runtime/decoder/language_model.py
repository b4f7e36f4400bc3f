"""An n-gram language model over words, read with KenLM and converted to natural logarithms."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgespeech.errors import LanguageModelError, MissingDependencyError
from edgespeech.runtime.decoder.vocabulary import (
    Vocabulary,
    is_kenlm_binary,
    read_arpa_words,
    read_kenlm_words,
    read_word_list,
)

UNKNOWN_WORD = "<unk>"
_LN10 = math.log(10.0)
# KenLM gives 10**-100 to unknown words of a model without <unk>. One in ten million leaves them possible.
_KENLM_MISSING_UNKNOWN = -99.0
_UNKNOWN_LOG10 = -7.0


class LanguageModel:
    """A KenLM binary or an ARPA file of any order.

    Args:
        path: File of the model.
        vocabulary: Words that the model knows (an iterable, or a text file). By default they are read from the model:
            an ARPA file always contains them, a KenLM binary unless it was built without.

    Attributes:
        path: File of the model.
        order: The n of n-gram.
        vocabulary: The known words, for prefix checks; None if the model does not contain them.
        unknown_score: Natural log p of an unknown word without context.

    Raises:
        LanguageModelError: The file is missing, damaged, or not a language model.
        MissingDependencyError: The ``kenlm`` package is not installed.
    """

    def __init__(self, path: str | Path, vocabulary: Iterable[str] | Path | None = None) -> None:
        self.path = Path(path)
        self._kenlm: Any = _import_kenlm()
        self._model: Any = _open(self._kenlm, self.path)
        self.order: int = self._model.order
        self.vocabulary = _find_vocabulary(self.path, vocabulary)
        self._begin: Any = self._kenlm.State()
        self._model.BeginSentenceWrite(self._begin)
        self._nothing, self._ignored = self._kenlm.State(), self._kenlm.State()
        self._model.NullContextWrite(self._nothing)
        unknown_log10 = self._model.BaseScore(self._nothing, UNKNOWN_WORD, self._ignored)
        lift = _UNKNOWN_LOG10 - unknown_log10 if unknown_log10 < _KENLM_MISSING_UNKNOWN else 0.0
        self._unknown_lift: float = lift * _LN10
        self.unknown_score: float = (unknown_log10 + lift) * _LN10

    @cached_property
    def unigrams(self) -> npt.NDArray[np.float64]:
        """Natural log p(word) without context, for each word of the vocabulary, sorted; empty without a vocabulary."""
        words = () if self.vocabulary is None else self.vocabulary
        scores = np.array([self.log_prob(self._nothing, word) for word in words])
        unigrams: npt.NDArray[np.float64] = np.maximum(scores, self.unknown_score)
        return unigrams

    def spelled_fraction(self, characters: str) -> float:
        """Return the fraction of running words, by the unigrams, that these characters can write; 1 without words."""
        if not self.vocabulary:
            return 1.0
        spelled = np.array(self.vocabulary.spelled(characters))
        probabilities = np.exp(self.unigrams)
        return float(probabilities[spelled].sum() / probabilities.sum())

    def begin(self) -> Any:
        """Return the state at the beginning of a sentence, after ``<s>``."""
        return self._begin

    def score(self, state: Any, word: str) -> tuple[float, Any, bool]:
        """Score one word without changing the state, which is from :meth:`begin` or an earlier call.

        Returns:
            The natural log p(word | state), the state after the word, and whether the model knows the word. An
            unknown word has the score of ``<unk>``, or about 1e-7 if the model does not contain it.
        """
        after = self._kenlm.State()
        result = self._model.BaseFullScore(state, word, after)
        log_prob = result.log_prob * _LN10
        if result.oov:
            return log_prob + self._unknown_lift, after, False
        return log_prob, after, True

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and word in self._model

    def log_prob(self, state: Any, word: str) -> float:
        """Return natural log p(word | state) of a word that the model knows, faster than :meth:`score`."""
        return float(self._model.BaseScore(state, word, self._ignored)) * _LN10

    def end(self, state: Any) -> float:
        """Return the natural log p(``</s>`` | state)."""
        return self.log_prob(state, "</s>")


def _import_kenlm() -> Any:
    try:
        return import_module("kenlm")
    except ImportError as error:
        raise MissingDependencyError(
            "a language model needs the package kenlm, which is not installed; "
            "run: pip install kenlm, or decode without a language model (--no-lm)"
        ) from error


def _open(kenlm: Any, path: Path) -> Any:
    wanted = "wanted a KenLM binary (build_binary) or an ARPA file (lmplz) of order 2 or more"
    if not path.exists():
        raise LanguageModelError(f"no language model at {path}; {wanted}")
    if not path.is_file():
        raise LanguageModelError(f"{path} is not a file; {wanted}")
    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    try:
        return kenlm.Model(str(path), config)
    except (OSError, RuntimeError, ValueError, MemoryError) as error:
        raise LanguageModelError(f"{path} is damaged or not a language model; {wanted}") from error


def _find_vocabulary(path: Path, given: Iterable[str] | Path | None) -> Vocabulary | None:
    if isinstance(given, (str, Path)):
        return read_word_list(Path(given))
    if given is not None:
        return Vocabulary(given)
    return read_kenlm_words(path) if is_kenlm_binary(path) else read_arpa_words(path)
