"""Scores of sentences under a KenLM model: log-probability, perplexity, out-of-vocabulary words."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from edgespeech.errors import LanguageModelError
from edgespeech.runtime.decoder.language_model import LanguageModel

SPACE_TOKEN = "\u2581"  # the space between words in a model over characters
_LN10 = math.log(10.0)
# KenLM gives 10**-100 to unknown words of a model without <unk>; the decoder and this module use 10**-7 instead.
_MISSING_UNKNOWN = -99.0
_UNKNOWN_LOG10 = -7.0


def spell(line: str, with_spaces: bool = True) -> str:
    """Write a line as a model over characters reads it: "ab c" becomes "a b ▁ c"."""
    return " ".join(SPACE_TOKEN if letter == " " else letter for letter in line if with_spaces or letter != " ")


class SentenceScore(NamedTuple):
    """Natural log-probability of a sentence and its end, number of its tokens, and how many of them are unknown."""

    log_prob: float
    tokens: int
    unknown: int


@dataclass(frozen=True)
class Perplexity:
    """Perplexity per token of a model on a text; ends of sentences count, unknown words count as ``<unk>``.

    ``tokens`` are words, or characters in a model over characters, without the ends of sentences.
    """

    perplexity: float
    tokens: int
    unknown: int
    lines: int

    def __str__(self) -> str:
        fraction = self.unknown / self.tokens if self.tokens else 0.0
        return (
            f"perplexity {self.perplexity:.1f}, {fraction:.2%} out of vocabulary "
            f"({self.tokens} tokens in {self.lines} lines)"
        )


class SentenceScorer:
    """A KenLM binary or ARPA file that scores whole sentences; ``characters`` tells whether its tokens are characters.

    Raises:
        LanguageModelError: The file is missing, damaged, or not a language model.
        MissingDependencyError: Only the ``kenlm`` package can read the file, and it is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._model = LanguageModel(path)
        vocabulary = self._model.vocabulary
        self.characters = vocabulary is not None and vocabulary.is_of_characters()
        self._with_spaces = vocabulary is not None and SPACE_TOKEN in vocabulary

    def score(self, line: str) -> SentenceScore:
        """Score a line of words with single spaces."""
        log_prob, unknown, tokens = 0.0, 0, -1
        sentence = spell(line, self._with_spaces) if self.characters else line
        for log10, out_of_vocabulary in self._model.full_scores(sentence):
            log_prob += _LN10 * (_UNKNOWN_LOG10 if log10 < _MISSING_UNKNOWN else log10)
            unknown += out_of_vocabulary
            tokens += 1
        return SentenceScore(log_prob, tokens, unknown)

    def perplexity(self, lines: Iterable[str]) -> Perplexity:
        """Measure the perplexity of lines; if there are none, it is a LanguageModelError."""
        scores = [self.score(line) for line in lines if line]
        if not scores:
            raise LanguageModelError("no usable line to measure perplexity on; give text with one sentence per line")
        tokens = sum(score.tokens for score in scores)
        mean = sum(score.log_prob for score in scores) / (tokens + len(scores))
        return Perplexity(math.exp(-mean), tokens, sum(score.unknown for score in scores), len(scores))
