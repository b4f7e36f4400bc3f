"""An n-gram language model over words in KenLM's formats, with natural logarithms.

The ``kenlm`` package reads the file. Where it is not installed, our own reader does: slower, and only binaries of the
kind trie.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgespeech.errors import LanguageModelError, MissingDependencyError
from edgespeech.runtime.decoder import kenlm_reader
from edgespeech.runtime.decoder.kenlm_trie import OtherKindError
from edgespeech.runtime.decoder.vocabulary import (
    Vocabulary,
    is_arpa,
    is_kenlm_binary,
    read_arpa_words,
    read_kenlm_words,
    read_word_list,
)

log = logging.getLogger(__name__)

UNKNOWN_WORD = "<unk>"
_LN10 = math.log(10.0)
# KenLM gives 10**-100 to unknown words of a model without <unk>. One in ten million leaves them possible.
_KENLM_MISSING_UNKNOWN = -99.0
_UNKNOWN_LOG10 = -7.0


class LanguageModel:
    """A KenLM binary or an ARPA file of any order; without the ``kenlm`` package, a KenLM binary of the kind trie.

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
        MissingDependencyError: The file is of another kind, and the ``kenlm`` package is not installed.
    """

    def __init__(self, path: str | Path, vocabulary: Iterable[str] | Path | None = None) -> None:
        self.path = Path(path)
        self._kenlm, problem = _import_kenlm()
        self._model: Any = _open(self._kenlm, self.path)
        if problem:
            _report_once(problem)
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

    def full_scores(self, sentence: str) -> Iterator[tuple[float, bool]]:
        """Score words with white space between, then ``</s>``: KenLM's base-10 log p, and whether it is unknown."""
        for log_prob, _, unknown in self._model.full_scores(sentence):
            yield log_prob, unknown


def how_to_install_kenlm() -> str:
    """Return the command; since Python 3.13 the source distribution of the package does not compile."""
    return "see CONTRIBUTING.md on kenlm for Python 3.13" if sys.version_info >= (3, 13) else "pip install kenlm"


def _import_kenlm() -> tuple[Any, str]:
    """Return the package and no problem, or our own reader and why it takes the package's place."""
    try:
        return import_module("kenlm"), ""
    except ModuleNotFoundError:
        return kenlm_reader, "not installed"
    except ImportError as error:
        return kenlm_reader, f"installed, but cannot be imported ({error})"


@cache
def _report_once(problem: str) -> None:
    log.info(
        "the package kenlm is %s; language models are read without it, which is slower; for speed: %s",
        problem,
        how_to_install_kenlm(),
    )


def _open(kenlm: Any, path: Path) -> Any:
    wanted = "wanted a KenLM binary (build_binary) or an ARPA file (lmplz) of order 2 or more"
    if not path.exists():
        raise LanguageModelError(f"no language model at {path}; {wanted}")
    if not path.is_file():
        raise LanguageModelError(f"{path} is not a file; {wanted}")
    try:
        return _open_without_kenlm(path) if kenlm is kenlm_reader else _open_with_kenlm(kenlm, path)
    except (OSError, RuntimeError, ValueError, MemoryError) as error:
        raise LanguageModelError(f"{path} is damaged or not a language model; {wanted}") from error


def _open_with_kenlm(kenlm: Any, path: Path) -> Any:
    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    return kenlm.Model(str(path), config)


def _open_without_kenlm(path: Path) -> kenlm_reader.Model:
    kind, advice = "an ARPA file", "convert it with KenLM's build_binary trie"
    if is_kenlm_binary(path) or not is_arpa(path):
        try:
            return kenlm_reader.Model(path)
        except OtherKindError as error:
            kind = f"a KenLM binary of the kind {error}"
            advice = "build it from its ARPA file with KenLM's build_binary trie"
    raise MissingDependencyError(
        f"{path} is {kind}, and without the package kenlm only KenLM binaries of the kind trie can be read; "
        f"{advice}, or install kenlm: {how_to_install_kenlm()}"
    )


def _find_vocabulary(path: Path, given: Iterable[str] | Path | None) -> Vocabulary | None:
    if isinstance(given, (str, Path)):
        return read_word_list(Path(given))
    if given is not None:
        return Vocabulary(given)
    return read_kenlm_words(path) if is_kenlm_binary(path) else read_arpa_words(path)
