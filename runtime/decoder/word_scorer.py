"""Word-level scores as labels arrive: alpha log p_lm + beta |words| + hot words.

A prefix has a history (its complete words) and a prefix state (the letters since the last space, and the hot words that
may continue). Prefix states are few and shared by all prefixes; only the language model looks at the history.

Inside a word the score contains a look-ahead score, which is replaced when the word ends: the boost of a hot word so
far, and the language model's look-ahead: the best unigram of the known words with this beginning, and beta. A narrow
beam thus drops prefixes that cannot end well. Once no known word has this beginning, the score contains the
out-of-vocabulary penalty instead.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgespeech.errors import LanguageModelError
from edgespeech.runtime.decoder.hot_words import HotState, HotWords
from edgespeech.runtime.decoder.language_model import UNKNOWN_WORD, LanguageModel
from edgespeech.runtime.decoder.vocabulary import Vocabulary
from edgespeech.runtime.decoder.word_times import any_space

log = logging.getLogger(__name__)

# With fewer of its words, a language model makes more errors than none (docs/log/decisions.md); fractions of running
# words.
MIN_SPELLED_FRACTION = 0.5
ALL_SPELLED_FRACTION = 0.95  # below this, a warning
SPACE_TOKEN = "\u2581"  # how a language model of characters writes the space


class PrefixState(NamedTuple):
    """The part of a prefix that decides how it can continue within a word."""

    hot_state: HotState  # hot words that may continue
    text: str | None  # letters since the last space; None if no known word begins with them


START = PrefixState((), "")


class Ending(NamedTuple):
    """Effect of a label that may end words, in one prefix state."""

    words: tuple[str | None, ...]  # the words that it ends; None is an out-of-vocabulary word
    hot_score: float  # boosts of the hot words among them
    state: PrefixState  # after the label
    gain: float  # added score without the language model's score of the words: beta, hot words, look-ahead
    max_gain: float  # upper bound of the added score for any history
    known_word: str | None  # the word, if it is the only one and the language model knows it


class History:
    """The complete words of a prefix."""

    __slots__ = ("gains", "hot_score", "lm_score", "lm_state", "words")

    def __init__(self, lm_state: Any, lm_score: float, words: int, hot_score: float) -> None:
        self.lm_state = lm_state
        self.lm_score = lm_score  # natural log p_lm, including out-of-vocabulary penalties
        self.words = words  # number of them
        self.hot_score = hot_score  # boosts of the hot words among them
        self.gains: dict[int, float] = {}  # cache of `PrefixStates`: score that each label adds when it ends words

    def without_cache(self) -> History:
        """Return this history with an empty cache."""
        return History(self.lm_state, self.lm_score, self.words, self.hot_score)


class WordScorer:
    """Scores prefixes word by word, with the settings of `DecoderOptions`.

    With ``characters``, every character counts as a word, for a language model of characters.

    Raises:
        LanguageModelError: No label contains a space, or the labels cannot spell any word of the vocabulary.
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
        self.labels = len(labels)
        self.lm = lm
        self.alpha = alpha
        self.beta = beta
        self.unknown_score = unknown_score
        self.hot_words = HotWords({}) if hot_words is None else hot_words
        if lm:
            _check_fit(labels, lm, characters)
        if not (lm or beta or self.hot_words):  # words have no score of their own
            self.pieces = [[""] for _ in labels]
        elif characters:
            self.pieces = [[*text.replace(" ", SPACE_TOKEN), ""] for text in labels]
        else:
            self.pieces = [text.split(" ") for text in labels]
        # For each label, whether it may end a word.
        self.ends_words = [len(pieces) > 1 for pieces in self.pieces]
        self._word_end_labels = [label for label, ends_words in enumerate(self.ends_words) if ends_words]
        self._labels_by_letter: dict[str, list[int]] = {}
        for label, (first, *rest) in enumerate(self.pieces):
            if first and not rest:
                self._labels_by_letter.setdefault(first[0], []).append(label)
        # The words that letters may become; None, if the model does not list its words, allows any.
        known = lm.vocabulary if lm else Vocabulary(())
        self.lexicon = known.with_words(self.hot_words.tokens) if known is not None else None
        self.penalty = alpha * unknown_score if lm and known is not None else 0.0
        self.unknown_lookahead = self.penalty
        self.start_lookahead = 0.0
        self.unigrams = np.zeros(0)
        if lm and known is not None and self.lexicon is not None:
            self.unknown_lookahead += alpha * lm.unknown_score + beta
            self.unigrams = lm.unigrams
            self.start_lookahead = alpha * float(lm.unigrams.max(initial=lm.unknown_score))
            if self.lexicon is not known:
                added = [known.index(word) for word in sorted(self.hot_words.tokens) if word not in known]
                self.unigrams = np.insert(lm.unigrams, added, lm.unknown_score)
        self._unknown_row = np.full(self.labels, self.unknown_lookahead)
        # Where no label leaves an incomplete word, hot words alone distinguish states, for the labels that spell them.
        self._whole_words = self.lexicon is not None and not any(pieces[-1] for pieces in self.pieces)
        tokens = self.hot_words.tokens
        self._hot_labels = [label for label in self._word_end_labels if not tokens.isdisjoint(self.pieces[label])]

    def begin(self) -> History:
        """Return the history of the empty prefix."""
        return History(self.lm.begin() if self.lm else None, 0.0, 0, 0.0)

    def history_score(self, history: History) -> float:
        """Return the score that the complete words add."""
        return self.alpha * history.lm_score + self.beta * history.words + history.hot_score

    def lookahead_score(self, state: PrefixState) -> float:
        """Return the score that a prefix in this state has in addition to that of its history."""
        if state.text is None:
            return self.unknown_lookahead
        score = self.hot_words.lookahead_score(state.text, state.hot_state) if self.hot_words else 0.0
        if not len(self.unigrams) or self.lexicon is None:
            return score
        if not state.text:
            return score + self.start_lookahead
        first, last = self.lexicon.span(state.text)
        return score + self.alpha * float(self.unigrams[first:last].max()) + self.beta

    def follow(self, state: PrefixState, label: int) -> PrefixState:
        """Return the state after a label that ends no word."""
        text = self._grow(state.text, self.pieces[label][0])
        return PrefixState(() if text is None else state.hot_state, text)

    def lookahead_row(self, state: PrefixState) -> npt.NDArray[np.float64]:
        """Compute for each label the score that a prefix has after it, in addition to that of its history.

        It is exact for labels that end no word, and an upper bound over all histories for the others.
        """
        if self._whole_words and state != START:
            row = self._start_row.copy()
            for label in self._hot_labels:
                row[label] = self.ending(state, label).max_gain
            return row
        row = self._unknown_row.copy()
        text = state.text
        if self.lexicon is None:
            row[:] = [self.lookahead_score(self.follow(state, label)) for label in range(self.labels)]
        elif text is not None:
            letters, starts, end = self.lexicon.letters_after(text)
            best = [0.0] * len(letters)
            if letters and len(self.unigrams):
                best = (np.maximum.reduceat(self.unigrams[:end], starts) * self.alpha + self.beta).tolist()
            for letter, score in zip(letters, best, strict=True):
                for label in self._labels_by_letter.get(letter, ()):
                    plain = not self.hot_words and len(self.pieces[label][0]) == 1
                    row[label] = score if plain else self.lookahead_score(self.follow(state, label))
        for label in self._word_end_labels:
            if self.pieces[label] == ["", ""] and text and not self.hot_words:  # usually the only one: a space
                row[label] = self.beta + self.start_lookahead + (self.penalty if self._is_unknown(text) else 0.0)
            else:
                row[label] = self.ending(state, label).max_gain
        return row

    @cached_property
    def _start_row(self) -> npt.NDArray[np.float64]:
        return self.lookahead_row(START)

    def ending(self, state: PrefixState, label: int) -> Ending:
        """Compute the effect of a label that may end words."""
        hot_state, text = state
        first, *rest = self.pieces[label]
        text = self._grow(text, first)
        words, hot_score = [], 0.0
        for piece in rest:
            if text != "":
                words.append(text)
                boost, hot_state = self.hot_words.step(text, hot_state)
                hot_score += boost
            text = self._grow("", piece)
        state = PrefixState(hot_state, text)
        gain = self.beta * len(words) + hot_score + self.lookahead_score(state)
        unknown = sum(map(self._is_unknown, words))
        known_word = words[0] if len(words) == 1 and self.lm is not None and words[0] in self.lm else None
        return Ending(tuple(words), hot_score, state, gain, gain + self.penalty * unknown, known_word)

    def gain(self, history: History, ending: Ending) -> float:
        """Return the score that an ending adds to a prefix with this history, look-ahead included."""
        if self.lm is None:
            return ending.gain
        if ending.known_word is not None:
            return ending.gain + self.alpha * self.lm.log_prob(history.lm_state, ending.known_word)
        return ending.gain + self.alpha * (self.end_words(history, ending).lm_score - history.lm_score)

    def end_words(self, history: History, ending: Ending) -> History:
        """Return the history after an ending."""
        lm_state, lm_score = history.lm_state, history.lm_score
        if self.lm:
            for word in ending.words:
                log_prob, lm_state = self._score_word(lm_state, word)
                lm_score += log_prob
        return History(lm_state, lm_score, history.words + len(ending.words), history.hot_score + ending.hot_score)

    def finish(self, history: History, state: PrefixState) -> History:
        """End the last word, if there is one, and the sentence."""
        if state.text != "":
            boost, _ = self.hot_words.step(state.text, state.hot_state)
            history = self.end_words(history, Ending((state.text,), boost, START, 0.0, 0.0, None))
        end = self.lm.end(history.lm_state) if self.lm else 0.0
        return History(None, history.lm_score + end, history.words, history.hot_score)

    def _grow(self, text: str | None, piece: str) -> str | None:
        if not piece or text is None:
            return text
        text += piece
        return text if self.lexicon is None or self.lexicon.is_prefix(text) else None

    def _is_unknown(self, word: str | None) -> bool:
        return word is None or (self.lexicon is not None and word not in self.lexicon)

    def _score_word(self, lm_state: Any, word: str | None) -> tuple[float, Any]:
        assert self.lm is not None
        log_prob, lm_state, known = self.lm.score(lm_state, word or UNKNOWN_WORD)
        if not known and word not in self.hot_words.tokens:
            log_prob += self.unknown_score
        return log_prob, lm_state


def _check_fit(labels: Sequence[str], lm: LanguageModel, characters: bool) -> None:
    spaces = any_space(labels)
    vocabulary = lm.vocabulary
    if not characters and not spaces:
        raise LanguageModelError(
            "a word language model needs word boundaries, but no label contains a space; decode without it, "
            "or use a language model of characters"
        )
    if vocabulary is None:
        return
    if characters and spaces and SPACE_TOKEN not in vocabulary:
        raise LanguageModelError(
            f"the language model of characters does not know {SPACE_TOKEN}, which stands for the labels' space; "
            f"build it from text whose spaces are written {SPACE_TOKEN}"
        )
    fraction = lm.spelled_fraction("".join(labels) + SPACE_TOKEN * characters)
    advice = "build it from text normalised to these labels (same case, same characters)"
    if not vocabulary.spelled_with("".join(labels)):
        words = f"any of the {len(vocabulary)} words of the language model"
        raise LanguageModelError(f"the labels cannot spell {words}; {advice}")
    if fraction < MIN_SPELLED_FRACTION:
        raise LanguageModelError(
            f"the labels can spell {fraction:.0%} of the language model's running words, wanted "
            f"{MIN_SPELLED_FRACTION:.0%} or more; {advice}, or decode without it"
        )
    if fraction < ALL_SPELLED_FRACTION:
        log.warning(
            "the labels can spell only %.0f %% of the language model's running words; %s", 100 * fraction, advice
        )
