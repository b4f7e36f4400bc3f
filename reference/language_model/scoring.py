"""What a KenLM model thinks of sentences: scores, perplexity, unknown words; it builds and decodes nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from edgespeech.errors import LanguageModelError
from edgespeech.runtime.decoder.language_model import LanguageModel

SPACE_TOKEN = "\u2581"  # how a model over characters writes the space between words
_LN10 = math.log(10.0)
# KenLM gives 10**-100 to unknown words of a model without <unk>; the search takes 10**-7 instead, and so does this.
_MISSING_UNKNOWN = -99.0
_UNKNOWN_LOG10 = -7.0


def spell(line: str, with_spaces: bool = True) -> str:
    """Write a line as a model over characters reads it: "ab c" becomes "a b ▁ c"."""
    return " ".join(SPACE_TOKEN if letter == " " else letter for letter in line if with_spaces or letter != " ")


class SentenceScore(NamedTuple):
    """A sentence's natural log p, its end included, the number of its tokens, and how many of them are unknown."""

    log_prob: float
    tokens: int
    unknown: int


@dataclass(frozen=True)
class Perplexity:
    """How well a model foretells a text.

    Attributes:
        perplexity: Per token; ends of sentences count, unknown words count as ``<unk>``.
        tokens: Words, or characters of a model over characters, without the ends of sentences.
        unknown: How many of them the model does not know.
        lines: Sentences.
    """

    perplexity: float
    tokens: int
    unknown: int
    lines: int

    def __str__(self) -> str:
        """For people."""
        share = self.unknown / self.tokens if self.tokens else 0.0
        return (
            f"perplexity {self.perplexity:.1f}, {share:.2%} out of vocabulary "
            f"({self.tokens} tokens in {self.lines} lines)"
        )


class SentenceScorer:
    """A KenLM model that scores whole sentences.

    Args:
        path: A KenLM binary or an ARPA file.

    Attributes:
        characters: Whether its tokens are characters.

    Raises:
        LanguageModelError: The file is missing, damaged, or no language model.
        MissingDependencyError: The ``kenlm`` package is not installed.
    """

    def __init__(self, path: Path) -> None:
        """Open the model; `LanguageModel` finds what is wrong with it."""
        vocabulary = LanguageModel(path).vocabulary
        self.characters = vocabulary is not None and vocabulary.is_of_characters()
        self._with_spaces = vocabulary is not None and SPACE_TOKEN in vocabulary
        kenlm = import_module("kenlm")
        config = kenlm.Config()
        config.show_progress = False
        config.arpa_complain = kenlm.ARPALoadComplain.NONE
        self._model: Any = kenlm.Model(str(path), config)

    def score(self, line: str) -> SentenceScore:
        """Score a line of words with single spaces."""
        log_prob, unknown, tokens = 0.0, 0, -1
        sentence = spell(line, self._with_spaces) if self.characters else line
        for log10, _, out_of_vocabulary in self._model.full_scores(sentence):
            log_prob += _LN10 * (_UNKNOWN_LOG10 if log10 < _MISSING_UNKNOWN else log10)
            unknown += out_of_vocabulary
            tokens += 1
        return SentenceScore(log_prob, tokens, unknown)

    def perplexity(self, lines: Iterable[str]) -> Perplexity:
        """Measure the perplexity of lines.

        Raises:
            LanguageModelError: There are none.
        """
        scores = [self.score(line) for line in lines if line]
        if not scores:
            raise LanguageModelError("there is no usable line to measure perplexity on; give text, a sentence per line")
        tokens = sum(score.tokens for score in scores)
        mean = sum(score.log_prob for score in scores) / (tokens + len(scores))
        return Perplexity(math.exp(-mean), tokens, sum(score.unknown for score in scores), len(scores))
