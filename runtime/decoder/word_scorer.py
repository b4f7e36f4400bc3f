"""What words add to the score of a prefix: alpha log p_lm + beta |words| + hot words, as labels arrive.

A prefix stands in a history (its complete words) and at a place (the letters since the last space, and the hot words
that may be going on). Places are few and shared by all prefixes; only the language model looks at the history. Nothing
is paid twice: what a place is worth is a total that the end of the word replaces. It is what hot words lend, and what
the word will cost at least: the best unigram of the known words that begin like this and beta, so that a small beam
does not keep prefixes that have no good end; or the charge for an unknown word as soon as no known word begins so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgespeech.errors import LanguageModelError
from edgespeech.runtime.decoder.hot_words import HotState, HotWords
from edgespeech.runtime.decoder.language_model import UNKNOWN_WORD, LanguageModel
from edgespeech.runtime.decoder.vocabulary import Vocabulary

SPACE_TOKEN = "\u2581"  # how a language model of characters writes the space


class Place(NamedTuple):
    """Where a prefix stands within a word.

    Attributes:
        hot_state: Hot words that may be going on.
        text: The letters since the last space; None where no known word begins with them.
    """

    hot_state: HotState
    text: str | None


START = Place((), "")


class Ending(NamedTuple):
    """What a label does that may end words.

    Attributes:
        words: The words it ends; None is one that is known to be unknown.
        hot_score: What hot words earn by them.
        place: Where a prefix stands after it.
        gain: What is added but for the language model's score of the words: beta, hot words, the place's worth.
        most: What is added at most, whatever the history.
        plain: The word, where it ends a single one that the language model knows.
    """

    words: tuple[str | None, ...]
    hot_score: float
    place: Place
    gain: float
    most: float
    plain: str | None


class History:
    """The complete words of a prefix.

    Attributes:
        lm_state: Language model state after them.
        lm_score: Natural log p_lm of them, charges for unknown words included.
        words: Their number.
        hot_score: What hot words have earned.
        gains: A cache of what labels that end words add from here, for :class:`Places`.
    """

    __slots__ = ("gains", "hot_score", "lm_score", "lm_state", "words")

    def __init__(self, lm_state: Any, lm_score: float, words: int, hot_score: float) -> None:
        """Make a history; all but the cache stays as it is."""
        self.lm_state = lm_state
        self.lm_score = lm_score
        self.words = words
        self.hot_score = hot_score
        self.gains: dict[int, float] = {}

    def forgetful(self) -> History:
        """Return the same history without its cache."""
        return History(self.lm_state, self.lm_score, self.words, self.hot_score)


class WordScorer:
    """Follows prefixes from word to word.

    Args:
        labels: Text of each label.
        lm: Language model, or None to count words only.
        alpha: Weight of the language model.
        beta: Natural log added for each word.
        unknown_score: Natural log added to the language model's score of each word it does not know.
        hot_words: Phrases with boosts.
        characters: The model's words are single characters: every character of a label is one.

    Attributes:
        labels: Number of labels.
        crosses: For each label, whether it may end a word.

    Raises:
        LanguageModelError: No label holds a space, or the labels cannot spell any word of the vocabulary.
    """

    def __init__(
        self,
        labels: Sequence[str],
        lm: LanguageModel | None,
        alpha: float,
        beta: float,
        unknown_score: float,
        hot_words: HotWords | None = None,
        characters: bool = False,
    ) -> None:
        """Cut the labels where words end in them."""
        self.labels = len(labels)
        self._lm = lm
        self._alpha = alpha
        self._beta = beta
        self._unknown_score = unknown_score
        self._hot_words = HotWords({}) if hot_words is None else hot_words
        if lm:
            _check_fit(labels, lm, characters)
        if characters:
            self._pieces = [[*text.replace(" ", SPACE_TOKEN), ""] for text in labels]
        elif lm or beta or self._hot_words:
            self._pieces = [text.split(" ") for text in labels]
        else:  # nobody asks for words
            self._pieces = [[""] for _ in labels]
        self.crosses = [len(pieces) > 1 for pieces in self._pieces]
        self._crossing = [label for label, crosses in enumerate(self.crosses) if crosses]
        self._by_letter: dict[str, list[int]] = {}
        for label, (first, *rest) in enumerate(self._pieces):
            if first and not rest:
                self._by_letter.setdefault(first[0], []).append(label)
        # Which letters may become a word: any, where the model does not tell its words.
        known = lm.vocabulary if lm else Vocabulary(())
        self._lexicon = known.with_words(self._hot_words.tokens) if known is not None else None
        self._charge = alpha * unknown_score if lm and known is not None else 0.0
        self._lost = self._charge  # what a place without a known word is worth
        self._unigrams = np.zeros(0)
        self._begin = 0.0  # what a place before the first letter of a word is worth
        if lm and known is not None and self._lexicon is not None:
            self._lost += alpha * lm.unknown_score + beta
            self._unigrams = lm.unigrams
            self._begin = alpha * float(lm.unigrams.max(initial=lm.unknown_score))
            if self._lexicon is not known:
                unigrams = dict(zip(known, lm.unigrams.tolist(), strict=True))
                self._unigrams = np.array([unigrams.get(word, lm.unknown_score) for word in self._lexicon])
        self._lost_row = np.full(self.labels, self._lost)

    def begin(self) -> History:
        """Return the history of the empty prefix."""
        return History(self._lm.begin() if self._lm else None, 0.0, 0, 0.0)

    def bonus(self, history: History) -> float:
        """Return what complete words add to the score."""
        return self._alpha * history.lm_score + self._beta * history.words + history.hot_score

    def worth(self, place: Place) -> float:
        """Return what a prefix has here beyond its history: charged, lent or paid ahead until the word ends."""
        if place.text is None:
            return self._lost
        worth = self._hot_words.lend(place.text, place.hot_state) if self._hot_words else 0.0
        if not len(self._unigrams) or self._lexicon is None:
            return worth
        if not place.text:
            return worth + self._begin
        first, last = self._lexicon.span(place.text)
        return worth + self._alpha * float(self._unigrams[first:last].max()) + self._beta

    def follow(self, place: Place, label: int) -> Place:
        """Return the place after a label that ends no word."""
        text = self._grow(place.text, self._pieces[label][0])
        return Place(() if text is None else place.hot_state, text)

    def row(self, place: Place) -> npt.NDArray[np.float64]:
        """Return for each label what a prefix has beyond its history after it.

        It is exact for labels that end no word; for others it is the most that it can be, whatever the history.
        """
        row = self._lost_row.copy()
        hot_state, text = place
        if self._lexicon is None:
            row[:] = [self.worth(self.follow(place, label)) for label in range(self.labels)]
        elif text is not None:
            letters, starts, end = self._lexicon.letters_after(text)
            best = [0.0] * len(letters)
            if letters and len(self._unigrams):
                best = (np.maximum.reduceat(self._unigrams[:end], starts) * self._alpha + self._beta).tolist()
            for letter, ahead in zip(letters, best, strict=True):
                for label in self._by_letter.get(letter, ()):
                    plain = not self._hot_words and len(self._pieces[label][0]) == 1
                    row[label] = ahead if plain else self.worth(self.follow(place, label))
        for label in self._crossing:
            if self._pieces[label] == ["", ""] and text and not self._hot_words:  # most often, a label that is a space
                row[label] = self._beta + self._begin + (self._charge if self._is_unknown(text) else 0.0)
            else:
                row[label] = self.end(place, label).most
        return row

    def end(self, place: Place, label: int) -> Ending:
        """Return what a label does here that may end words."""
        hot_state, text = place
        first, *rest = self._pieces[label]
        text = self._grow(text, first)
        words, hot_score = [], 0.0
        for piece in rest:
            if text != "":
                words.append(text)
                gain, hot_state = self._hot_words.step(text, hot_state)
                hot_score += gain
            text = self._grow("", piece)
        place = Place(hot_state, text)
        gain = self._beta * len(words) + hot_score + self.worth(place)
        unknown = sum(map(self._is_unknown, words))
        plain = words[0] if len(words) == 1 and self._lm is not None and words[0] in self._lm else None
        return Ending(tuple(words), hot_score, place, gain, gain + self._charge * unknown, plain)

    def gain(self, history: History, ending: Ending) -> float:
        """Return what an ending adds to the score of a prefix with this history, its place included."""
        if self._lm is None:
            return ending.gain
        if ending.plain is not None:
            return ending.gain + self._alpha * self._lm.log_prob(history.lm_state, ending.plain)
        return ending.gain + self._alpha * (self.cross(history, ending).lm_score - history.lm_score)

    def cross(self, history: History, ending: Ending) -> History:
        """Return the history after an ending."""
        lm_state, lm_score = history.lm_state, history.lm_score
        if self._lm:
            for word in ending.words:
                log_prob, lm_state = self._score_word(lm_state, word)
                lm_score += log_prob
        return History(lm_state, lm_score, history.words + len(ending.words), history.hot_score + ending.hot_score)

    def finish(self, history: History, place: Place) -> History:
        """End the last word, if there is one, and the sentence."""
        if place.text != "":
            gain, _ = self._hot_words.step(place.text, place.hot_state)
            history = self.cross(history, Ending((place.text,), gain, START, 0.0, 0.0, None))
        end = self._lm.end(history.lm_state) if self._lm else 0.0
        return History(None, history.lm_score + end, history.words, history.hot_score)

    def _grow(self, text: str | None, piece: str) -> str | None:
        if not piece or text is None:
            return text
        text += piece
        return text if self._lexicon is None or self._lexicon.is_prefix(text) else None

    def _is_unknown(self, word: str | None) -> bool:
        return word is None or (self._lexicon is not None and word not in self._lexicon)

    def _score_word(self, lm_state: Any, word: str | None) -> tuple[float, Any]:
        """Return natural log p_lm of a word, with the charge for an unknown one, and the state after it."""
        assert self._lm is not None
        log_prob, lm_state, known = self._lm.score(lm_state, word or UNKNOWN_WORD)
        if not known and word not in self._hot_words.tokens:
            log_prob += self._unknown_score
        return log_prob, lm_state


def _check_fit(labels: Sequence[str], lm: LanguageModel, characters: bool) -> None:
    spaces = any(" " in text for text in labels)
    vocabulary = lm.vocabulary
    if not characters and not spaces:
        raise LanguageModelError(
            "a word language model cannot be applied: none of the labels holds a space; decode without it, "
            "or give a model of characters"
        )
    if vocabulary is None:
        return
    if characters and spaces and SPACE_TOKEN not in vocabulary:
        raise LanguageModelError(
            f"the language model of characters does not know {SPACE_TOKEN}, which stands for the labels' space; "
            f"build it from text whose spaces are written {SPACE_TOKEN}"
        )
    if not vocabulary.spelled_with("".join(labels)):
        raise LanguageModelError(
            f"the labels cannot spell any of the {len(vocabulary)} words of the language model; "
            "build it from text normalised to these labels (same case, same characters)"
        )
