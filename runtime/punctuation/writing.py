"""The written form of finals: marks and capitals by the tagger, numbers as digits, hot words as they were given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from edgespeech.runtime.decoder.hypothesis import Word
from edgespeech.runtime.punctuation.features import SEGMENT_END, pause_class
from edgespeech.runtime.punctuation.tagger import Context, PunctuationTagger
from edgespeech.runtime.punctuation.tags import MARKS, Case, Mark, Tag

Numerals = Callable[[Sequence[str]], Sequence[tuple[int, int, str]]]
"""Finds the numbers in words: first word, word behind the last, and digits."""


@dataclass(frozen=True)
class WritingState:
    """What a stream has written so far: the words before, and whether the next word begins a sentence."""

    context: Context
    sentence_begins: bool = True


@dataclass(frozen=True)
class Writer:
    """Writes the words of finals, each once: what a segment looks like never depends on the segments behind it.

    Attributes:
        tagger: Decides marks and cases.
        cased: Words and phrases that are written as given, by their words in lower case.
        numerals: Finds numbers to write as digits; None leaves them as words.
    """

    tagger: PunctuationTagger
    cased: Mapping[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    numerals: Numerals | None = None

    def initial_state(self) -> WritingState:
        """Return the state before the first segment."""
        return WritingState(self.tagger.initial_state())

    def step(self, words: Sequence[Word], state: WritingState) -> tuple[tuple[Word, ...], WritingState]:
        """Write a segment.

        Args:
            words: Words with times.
            state: From `initial_state` or the segment before.

        Returns:
            The words with their written forms, and the state for the segment behind it.
        """
        plain = [word.word.lower() for word in words]
        tags, context = self.tagger.step(plain, _pauses(words), state.context)
        written = self._written([word.word for word in words], tags, state.sentence_begins)
        state = WritingState(context, tags[-1].mark is Mark.PERIOD if tags else state.sentence_begins)
        return tuple(replace(word, written=text) for word, text in zip(words, written, strict=True)), state

    def _written(self, words: Sequence[str], tags: Sequence[Tag], sentence_begins: bool) -> list[str]:
        found = [_in_case(word, case) for word, case in zip(words, cases_in_text(tags, sentence_begins), strict=True)]
        self._restore(words, found)
        if self.numerals is not None:
            for first, behind, digits in self.numerals(words):
                found[first:behind] = [digits, *[""] * (behind - first - 1)]
                tags = [*tags[:first], tags[behind - 1], *tags[first + 1 :]]
        return [text + MARKS[tag.mark] if text else "" for text, tag in zip(found, tags, strict=True)]

    def _restore(self, words: Sequence[str], found: list[str]) -> None:
        """Write the phrases that are known with their case."""
        for first in range(len(words) if self.cased else 0):
            for phrase, cased in self.cased.items():
                if tuple(words[first : first + len(phrase)]) == phrase:
                    found[first : first + len(phrase)] = cased


def cases_in_text(tags: Sequence[Tag], sentence_begins: bool) -> list[Case]:
    """Return the cases of words: behind a period there is a capital, and elsewhere what the tagger decided.

    Not every question ends a sentence: "What? said he" goes on in lower case.
    """
    begins = [sentence_begins, *(tag.mark is Mark.PERIOD for tag in tags)]
    return [
        Case.CAPITAL if first and tag.case is Case.LOWER else tag.case for tag, first in zip(tags, begins, strict=False)
    ]


def cased_phrases(phrases: Iterable[str]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Return the phrases that have a capital, by their words in lower case."""
    found = (tuple(phrase.split()) for phrase in phrases)
    return {tuple(map(str.lower, phrase)): phrase for phrase in found if any(map(_has_capital, phrase))}


def _has_capital(word: str) -> bool:
    return word != word.lower()


def _in_case(word: str, case: Case) -> str:
    if case is Case.CAPITALS:
        return word.upper()
    if case is Case.LOWER:
        return word
    return word[:1].upper() + word[1:] if word[:1].isalpha() else word[:2].upper() + word[2:]


def _pauses(words: Sequence[Word]) -> list[int]:
    inside = [pause_class(after.start - word.end) for word, after in zip(words, words[1:], strict=False)]
    return [*inside, SEGMENT_END]
