"""Scores of n-grams by the ``kenlm`` package; where it is not installed, by our own reader.

The reader is slower, and reads only binaries of the kind trie.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from edgespeech.errors import LanguageModelError, MissingDependencyError
from edgespeech.runtime.decoder.kenlm_guard import check_binary
from edgespeech.runtime.decoder.kenlm_trie import KenlmTrie, OtherKindError
from edgespeech.runtime.decoder.vocabulary import is_arpa, is_kenlm_binary

log = logging.getLogger(__name__)

LN10 = math.log(10.0)
LOWEST = -1e4  # base 10; also in native/kenlm_trie.cpp


class NGramScores:
    """The n-grams of a file, with natural logarithms.

    Args:
        path: The file.
        trie: Its content if it is a KenLM binary of the kind trie, which our own reader then does not read again.

    Attributes:
        order: The n of n-gram.
        begin: State at the beginning of a sentence.
        nothing: State without any word before.

    Raises:
        LanguageModelError: The file is missing, damaged, or not a language model.
        MissingDependencyError: The file is of another kind, and the ``kenlm`` package is not installed.
    """

    def __init__(self, path: Path, trie: KenlmTrie | None = None) -> None:
        self._kenlm, problem = _import_kenlm()
        self._model: Any = _open(self._kenlm, path, trie)
        if problem:
            _report_once(problem)
        self.order: int = self._model.order
        self.begin: Any = self._kenlm.State()
        self._model.BeginSentenceWrite(self.begin)
        self.nothing, self._ignored = self._kenlm.State(), self._kenlm.State()
        self._model.NullContextWrite(self.nothing)

    def full_score(self, state: Any, word: str) -> tuple[float, Any, bool]:
        """Return the natural log p(word | state), the state after the word, and whether the word is unknown."""
        after = self._kenlm.State()
        result = self._model.BaseFullScore(state, word, after)
        return _finite(result.log_prob) * LN10, after, result.oov

    def score(self, state: Any, word: str) -> float:
        """Return the natural log p(word | state)."""
        return _finite(self._model.BaseScore(state, word, self._ignored)) * LN10

    def sentence(self, text: str) -> Iterator[tuple[float, bool]]:
        """Score words with white space between, then ``</s>``: KenLM's base-10 log p, and whether it is unknown."""
        for log_prob, _, unknown in self._model.full_scores(text):
            yield _finite(log_prob), unknown

    def __contains__(self, word: str) -> bool:
        return word in self._model


def _finite(log_prob: float) -> float:
    """Return a base-10 logarithm, or a very small one for what is none, as a damaged file can have it."""
    return log_prob if LOWEST < log_prob < -LOWEST else LOWEST


def how_to_install_kenlm() -> str:
    """Return the command and what it needs; since Python 3.13 the package's source distribution does not compile."""
    command = "see CONTRIBUTING.md on kenlm for Python 3.13" if sys.version_info >= (3, 13) else "pip install kenlm"
    return f"{command} (compiles it with g++ and cmake)"


def _import_kenlm() -> tuple[Any, str]:
    """Return the package and no problem, or our own reader and why it takes the package's place."""
    try:
        return import_module("kenlm"), ""
    except ModuleNotFoundError:
        return _own_reader(), "not installed"
    except ImportError as error:
        return _own_reader(), f"installed, but cannot be imported ({error})"


def _own_reader() -> Any:
    return import_module("edgespeech.runtime.decoder.kenlm_reader")


@cache
def _report_once(problem: str) -> None:
    log.debug(
        "the package kenlm is %s; KenLM binaries of the kind trie are read without it; for other kinds: %s",
        problem,
        how_to_install_kenlm(),
    )


def _open(kenlm: Any, path: Path, trie: KenlmTrie | None) -> Any:
    wanted = "wanted a KenLM binary (build_binary) or an ARPA file (lmplz) of order 2 or more"
    if not path.exists():
        raise LanguageModelError(f"no language model at {path}; {wanted}")
    if not path.is_file():
        raise LanguageModelError(f"{path} is not a file; {wanted}")
    try:
        if not hasattr(kenlm, "Config"):
            return kenlm.Model(trie or _read_trie(path))
        if is_kenlm_binary(path):
            check_binary(path, trie)
        return _open_with_kenlm(kenlm, path)
    except (OSError, RuntimeError, ValueError, MemoryError) as error:
        raise LanguageModelError(f"{path} is damaged or not a language model; {wanted}") from error


def _open_with_kenlm(kenlm: Any, path: Path) -> Any:
    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    return kenlm.Model(str(path), config)


def _read_trie(path: Path) -> KenlmTrie:
    kind, advice = "an ARPA file", "convert it with KenLM's build_binary trie"
    if is_kenlm_binary(path) or not is_arpa(path):
        try:
            return KenlmTrie(path)
        except OtherKindError as error:
            kind = f"a KenLM binary of the kind {error}"
            advice = "build it from its ARPA file with KenLM's build_binary trie"
    raise MissingDependencyError(
        f"{path} is {kind}, and without the package kenlm only KenLM binaries of the kind trie can be read; "
        f"{advice}, or install kenlm: {how_to_install_kenlm()}"
    )
