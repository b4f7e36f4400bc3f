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
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgespeech.errors import LanguageModelError
from edgespeech.runtime.decoder.hot_words import HotState, HotWords
from edgespeech.runtime.decoder.language_model import UNKNOWN_WORD, LanguageModel
from edgespeech.runtime.decoder.vocabulary import Vocabulary

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
        else:  # words have no score of their own
            self._pieces = [[""] for _ in labels]
        # For each label, whether it may end a word.
        self.ends_words = [len(pieces) > 1 for pieces in self._pieces]
        self._word_end_labels = [label for label, ends_words in enumerate(self.ends_words) if ends_words]
        self._labels_by_letter: dict[str, list[int]] = {}
        for label, (first, *rest) in enumerate(self._pieces):
            if first and not rest:
                self._labels_by_letter.setdefault(first[0], []).append(label)
        # The words that letters may become; None, if the model does not list its words, allows any.
        known = lm.vocabulary if lm else Vocabulary(())
        self._lexicon = known.with_words(self._hot_words.tokens) if known is not None else None
        self._penalty = alpha * unknown_score if lm and known is not None else 0.0
        self._unknown_lookahead = self._penalty
        self._start_lookahead = 0.0
        self._unigrams = np.zeros(0)
        if lm and known is not None and self._lexicon is not None:
            self._unknown_lookahead += alpha * lm.unknown_score + beta
            self._unigrams = lm.unigrams
            self._start_lookahead = alpha * float(lm.unigrams.max(initial=lm.unknown_score))
            if self._lexicon is not known:
                unigrams = dict(zip(known, lm.unigrams.tolist(), strict=True))
                self._unigrams = np.array([unigrams.get(word, lm.unknown_score) for word in self._lexicon])
        self._unknown_row = np.full(self.labels, self._unknown_lookahead)

    def begin(self) -> History:
        """Return the history of the empty prefix."""
        return History(self._lm.begin() if self._lm else None, 0.0, 0, 0.0)

    def history_score(self, history: History) -> float:
        """Return the score that the complete words add."""
        return self._alpha * history.lm_score + self._beta * history.words + history.hot_score

    def lookahead_score(self, state: PrefixState) -> float:
        """Return the score that a prefix in this state has in addition to that of its history."""
        if state.text is None:
            return self._unknown_lookahead
        score = self._hot_words.lookahead_score(state.text, state.hot_state) if self._hot_words else 0.0
        if not len(self._unigrams) or self._lexicon is None:
            return score
        if not state.text:
            return score + self._start_lookahead
        first, last = self._lexicon.span(state.text)
        return score + self._alpha * float(self._unigrams[first:last].max()) + self._beta

    def follow(self, state: PrefixState, label: int) -> PrefixState:
        """Return the state after a label that ends no word."""
        text = self._grow(state.text, self._pieces[label][0])
        return PrefixState(() if text is None else state.hot_state, text)

    def lookahead_row(self, state: PrefixState) -> npt.NDArray[np.float64]:
        """Compute for each label the score that a prefix has after it, in addition to that of its history.

        It is exact for labels that end no word, and an upper bound over all histories for the others.
        """
        row = self._unknown_row.copy()
        text = state.text
        if self._lexicon is None:
            row[:] = [self.lookahead_score(self.follow(state, label)) for label in range(self.labels)]
        elif text is not None:
            letters, starts, end = self._lexicon.letters_after(text)
            best = [0.0] * len(letters)
            if letters and len(self._unigrams):
                best = (np.maximum.reduceat(self._unigrams[:end], starts) * self._alpha + self._beta).tolist()
            for letter, score in zip(letters, best, strict=True):
                for label in self._labels_by_letter.get(letter, ()):
                    plain = not self._hot_words and len(self._pieces[label][0]) == 1
                    row[label] = score if plain else self.lookahead_score(self.follow(state, label))
        for label in self._word_end_labels:
            if self._pieces[label] == ["", ""] and text and not self._hot_words:  # usually the only one: a space
                row[label] = self._beta + self._start_lookahead + (self._penalty if self._is_unknown(text) else 0.0)
            else:
                row[label] = self.ending(state, label).max_gain
        return row

    def ending(self, state: PrefixState, label: int) -> Ending:
        """Compute the effect of a label that may end words."""
        hot_state, text = state
        first, *rest = self._pieces[label]
        text = self._grow(text, first)
        words, hot_score = [], 0.0
        for piece in rest:
            if text != "":
                words.append(text)
                boost, hot_state = self._hot_words.step(text, hot_state)
                hot_score += boost
            text = self._grow("", piece)
        state = PrefixState(hot_state, text)
        gain = self._beta * len(words) + hot_score + self.lookahead_score(state)
        unknown = sum(map(self._is_unknown, words))
        known_word = words[0] if len(words) == 1 and self._lm is not None and words[0] in self._lm else None
        return Ending(tuple(words), hot_score, state, gain, gain + self._penalty * unknown, known_word)

    def gain(self, history: History, ending: Ending) -> float:
        """Return the score that an ending adds to a prefix with this history, look-ahead included."""
        if self._lm is None:
            return ending.gain
        if ending.known_word is not None:
            return ending.gain + self._alpha * self._lm.log_prob(history.lm_state, ending.known_word)
        return ending.gain + self._alpha * (self.end_words(history, ending).lm_score - history.lm_score)

    def end_words(self, history: History, ending: Ending) -> History:
        """Return the history after an ending."""
        lm_state, lm_score = history.lm_state, history.lm_score
        if self._lm:
            for word in ending.words:
                log_prob, lm_state = self._score_word(lm_state, word)
                lm_score += log_prob
        return History(lm_state, lm_score, history.words + len(ending.words), history.hot_score + ending.hot_score)

    def finish(self, history: History, state: PrefixState) -> History:
        """End the last word, if there is one, and the sentence."""
        if state.text != "":
            boost, _ = self._hot_words.step(state.text, state.hot_state)
            history = self.end_words(history, Ending((state.text,), boost, START, 0.0, 0.0, None))
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
