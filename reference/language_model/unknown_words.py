"""Words of a text that a language model does not know, for a list of hot words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgespeech.errors import LanguageModelError, UsageError
from edgespeech.reference.language_model.text import read_lines, spoken_line
from edgespeech.runtime.decoder.hot_words import MAX_BOOST, MAX_WORD_LETTERS
from edgespeech.runtime.decoder.language_model import LanguageModel


@dataclass(frozen=True, kw_only=True)
class WordsRequest:
    """Which words of a text to list.

    Attributes:
        texts: Sentences, one per line (.txt, .gz, .xz, .bz2), or manifests.
        lm: The language model; words that it knows are left out.
        labels: The labels to which the text is normalised.
        min_count: How often a word must occur.
        min_letters: How many letters it must have; short ones are easily recognised in other words.
        limit: How many words to list at most.
        boost: Natural log that each word adds as a hot word, above 0 and up to 100.
    """

    texts: tuple[Path, ...]
    lm: Path
    labels: tuple[str, ...]
    min_count: int = 1
    min_letters: int = 4
    limit: int = 1000
    boost: float = 8.0

    def __post_init__(self) -> None:
        for name in ("min_count", "min_letters", "limit"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name.replace('_', '-')} is {getattr(self, name)}; wanted 1 or more")
        if not 0.0 < self.boost <= MAX_BOOST:
            raise UsageError(f"boost is {self.boost:g}; wanted a number above 0, up to {MAX_BOOST:g}")


@dataclass(frozen=True)
class UnknownWords:
    """The words that a language model does not know, and those listed.

    Attributes:
        running: Number of running words of the text.
        unknown: Number of running words that are not known.
        different: Number of different words that are not known.
        listed: Words with their counts, the most frequent first.
    """

    running: int
    unknown: int
    different: int
    listed: tuple[tuple[str, int], ...]
    boost: float

    def lines(self) -> Iterator[str]:
        """Yield the lines of a file of hot words, after a comment on what was found."""
        yield (
            f"# {len(self.listed)} of {self.different} words that the language model does not know; they are "
            f"{self.unknown} of {self.running} running words"
        )
        yield from (f"{word}:{self.boost:g}" for word, _ in self.listed)


def find_unknown_words(request: WordsRequest) -> UnknownWords:
    """List the words of a text that a language model does not know.

    Raises:
        LanguageModelError: The model or a text cannot be read, the model does not store words or is over characters, or
            it knows all words.
    """
    known = LanguageModel(request.lm).vocabulary
    if known is None or known.is_of_characters():
        raise LanguageModelError(f"{request.lm} does not list words; give a model over words that stores them")
    counts = Counter(_words(request.texts, request.labels))
    unknown = {word: count for word, count in counts.items() if word not in known}
    listed = sorted(
        (
            (word, count) for word, count in unknown.items()
            if count >= request.min_count and request.min_letters <= len(word) <= MAX_WORD_LETTERS
        ),
        key=lambda one: (-one[1], one[0]),
    )[: request.limit]  # fmt: skip
    if not listed:
        raise LanguageModelError(
            f"no word to list: {len(unknown)} of {len(counts)} words of the text are unknown, none of them with "
            f"{request.min_letters} letters or more and {request.min_count} or more times; give another text"
        )
    return UnknownWords(counts.total(), sum(unknown.values()), len(unknown), tuple(listed), request.boost)


def _words(texts: Iterable[Path], labels: Sequence[str]) -> Iterator[str]:
    alphabet = frozenset("".join(labels))
    for path in texts:
        for raw in read_lines(path):
            yield from (spoken_line(raw, alphabet) or "").split()
