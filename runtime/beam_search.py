"""Streaming CTC prefix beam search with a language model and hot words, over numpy arrays of any CTC model.

Score of a text y given the audio x: Q(y) = log p_ctc(y | x) + alpha log p_lm(y) + beta |words of y| + hot words of y,
natural logarithms throughout ("Deep Speech 2", D. Amodei et al. 2015, section 3.8). Nothing here looks at audio or at
endpoints.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edgespeech.errors import LanguageModelError, UsageError
from edgespeech.runtime.beam_state import BeamState, Partial, shares_of, tidy
from edgespeech.runtime.grammar import DEFAULT_FILLER_SCORE, Grammar
from edgespeech.runtime.hot_words import HotWords
from edgespeech.runtime.language_model import LanguageModel
from edgespeech.runtime.log_probs import check_log_probs, choose_symbols
from edgespeech.runtime.prefix_beams import ACOUSTIC, COMPLETE, PLACE, Beams, Floats, FrameSearch
from edgespeech.runtime.prefix_trie import Trie, spell
from edgespeech.runtime.transcript import Hypothesis, Word
from edgespeech.runtime.word_places import Places
from edgespeech.runtime.word_scorer import WordScorer
from edgespeech.runtime.word_times import NO_WORD, Agreement, agree

DEFAULT_ALPHA = 0.5
DEFAULT_BETA = 1.5
_TIDY_EVERY_FRAMES = 64
_BLOCK_FRAMES = 256
# Chosen on the dev clips of LibriSpeech; `edgespeech confidence` measures it, see docs/decoder.md.
DEFAULT_CONFIDENCE_POWER = 1.3


class BeamSearchDecoder:
    """Turns CTC log-probabilities into text, at once or as a stream.

    Args:
        labels: Text of each label; the blank's text is not used.
        blank: Index of the CTC blank.
        lm: Language model over words, applied where a label with a space ends a word, and at the end; or over
            characters.
        alpha: Weight of the language model, 0 to 100 (default 0.5); not used without one.
        beta: Natural log added for each word, -100 to 100 (default 1.5 with a language model, 0 without).
        unknown_score: Natural log, not positive, added to the language model's score of a word it does not know.
        unit: What the language model's words are: ``word`` or ``character``; by default characters if its whole
            vocabulary is single characters. With characters, every character counts as a word for ``beta`` too.
        hot_words: Phrases, each with the natural log that it adds to the score of a text it occurs in. Their words
            belong to the vocabulary from then on. See :class:`edgespeech.runtime.hot_words.HotWords`.
        grammar: The only phrases that can come out, and ``<unknown>`` for all other speech; excludes a language model
            and hot words. See :class:`edgespeech.runtime.grammar.Grammar`.
        filler_score: Natural log added for each letter of speech outside the grammar, -20 to below 0.
        beam_width: Number of prefixes kept after each frame.
        symbol_mass: A frame extends prefixes by the fewest labels whose probabilities reach this sum; 1 takes all.
        max_symbols: The most labels, blank included, that a frame looks at; None for no limit.
        beam_threshold: Prefixes that score this much (natural log) below the best are dropped; None keeps them.
        max_tentative: Once the best prefix is this many labels longer than what all prefixes share, prefixes that
            differ from it before the last half of them are dropped, so that a stream's cost stays flat; None lets
            the tentative text grow.
        confidence_power: A word's confidence is the geometric mean of its labels' probabilities to this power, times
            the share of the surviving probability that agrees; the default is calibrated on the default bundle.
        frame_seconds: Seconds between two frames, for word times.

    Raises:
        UsageError: A setting is out of range, or two clash.
        LanguageModelError: The language model does not fit the labels.
    """

    def __init__(
        self,
        labels: Sequence[str],
        blank: int = 0,
        lm: LanguageModel | None = None,
        *,
        alpha: float | None = None,
        beta: float | None = None,
        unknown_score: float = -10.0,
        unit: Literal["word", "character"] | None = None,
        hot_words: Mapping[str, float] | None = None,
        grammar: Iterable[str] | None = None,
        filler_score: float = DEFAULT_FILLER_SCORE,
        beam_width: int = 64,
        symbol_mass: float = 0.99,
        max_symbols: int | None = 40,
        beam_threshold: float | None = 18.0,
        max_tentative: int | None = 128,
        confidence_power: float = DEFAULT_CONFIDENCE_POWER,
        frame_seconds: float = 0.04,
    ) -> None:
        """Check the settings."""
        self.labels = tuple(labels)
        self.blank = blank
        self.lm = lm
        self.alpha = (DEFAULT_ALPHA if alpha is None else alpha) if lm else 0.0
        self.beta = (DEFAULT_BETA if lm else 0.0) if beta is None else beta
        self.frame_seconds = frame_seconds
        self._symbol_mass = symbol_mass
        self._max_symbols = len(self.labels) if max_symbols is None else max_symbols
        self._max_tentative = max_tentative
        self._confidence_power = confidence_power
        _require(len(self.labels) > 1, "labels", f"{len(self.labels)} of them", "the blank and at least one more")
        _require(0 <= blank < len(self.labels), "blank", blank, f"an index of the {len(self.labels)} labels")
        _require(0.0 <= self.alpha <= 100.0, "alpha", alpha, "a number from 0 to 100")
        _require(-100.0 <= self.beta <= 100.0, "beta", beta, "a number from -100 to 100")
        _require(-math.inf < unknown_score <= 0.0, "unknown_score", unknown_score, "a finite number not above 0")
        _require(unit in (None, "word", "character"), "unit", unit, "word or character")
        _require(beam_width >= 1, "beam_width", beam_width, "1 or more")
        _require(0.0 < symbol_mass <= 1.0, "symbol_mass", symbol_mass, "a number above 0 and up to 1")
        _require(self._max_symbols >= 1, "max_symbols", max_symbols, "1 or more, or None")
        _require(beam_threshold is None or beam_threshold > 0.0, "beam_threshold", beam_threshold, "above 0, or None")
        _require(max_tentative is None or max_tentative >= 2, "max_tentative", max_tentative, "2 or more, or None")
        _require(0.0 < confidence_power < math.inf, "confidence_power", confidence_power, "a number above 0")
        _require(0.0 < frame_seconds < math.inf, "frame_seconds", frame_seconds, "a number of seconds above 0")
        self._grammar = None if grammar is None else Grammar(grammar, filler_score)
        if self._grammar and (lm or hot_words or self.beta):
            raise UsageError("a closed grammar goes without a language model, beta and hot words; leave them out")
        characters = _by_characters(unit, lm, self.labels)
        phrases = self._grammar.hot_words if self._grammar else HotWords(hot_words or {}, characters)
        phrases.check_spelling(self.labels)
        self._settings = {
            "alpha": alpha, "beta": beta, "unknown_score": unknown_score, "unit": unit, "beam_width": beam_width,
            "symbol_mass": symbol_mass, "max_symbols": max_symbols, "beam_threshold": beam_threshold,
            "max_tentative": max_tentative, "confidence_power": confidence_power, "frame_seconds": frame_seconds,
        }  # fmt: skip
        self._scorer = WordScorer(self.labels, lm, self.alpha, self.beta, unknown_score, phrases, characters)
        self._places = Places(self._scorer)
        letter_scores = self._grammar.label_scores(self.labels, blank) if self._grammar else None
        self._search = FrameSearch(self._scorer.crosses, blank, beam_width, beam_threshold, letter_scores)

    def with_hot_words(self, hot_words: Mapping[str, float]) -> BeamSearchDecoder:
        """Return a decoder like this one with other hot words; states of one do not belong to the other.

        Raises:
            UsageError: A hot word will not do, or this decoder has a grammar.
        """
        if self._grammar:
            raise UsageError("a closed grammar goes without hot words; make a recognizer without the grammar")
        settings: dict[str, Any] = self._settings
        return BeamSearchDecoder(self.labels, self.blank, self.lm, hot_words=hot_words, **settings)

    def initial_state(self) -> BeamState:
        """Return the state before the first frame."""
        nothing = np.zeros(0, dtype=np.int32)
        beams = self._search.begin(self._scorer.begin())
        return BeamState(0, beams, Trie(), self._places, nothing, nothing, np.zeros(0), "", np.zeros(0), NO_WORD)

    def step(self, log_probs: npt.ArrayLike, state: BeamState) -> tuple[Partial, BeamState]:
        """Hear more frames. How a stream is cut into calls makes no difference.

        Args:
            log_probs: [frames, labels], natural logarithm; no frames are allowed.
            state: From :meth:`initial_state` or an earlier step; it is not changed.

        Returns:
            What is understood so far, and the state to go on with. With a grammar, all text is tentative.

        Raises:
            DecodingError: The array cannot be log-probabilities over these labels.
        """
        rows = check_log_probs(log_probs, len(self.labels))
        state = self._in_table(state)
        for start in range(0, len(rows), _BLOCK_FRAMES):
            state = self._advance(rows[start : start + _BLOCK_FRAMES], state)
        if self._grammar is None:
            return state.partial(self.labels), state
        best = int(state.beams.totals.argmax())
        text = " ".join(span.word for span in self._grammar.read(state.spans(state.branches(), best, self.labels)))
        return Partial(text, "", text), state

    def finish(self, state: BeamState, nbest: int | None = None) -> list[Hypothesis]:
        """End the utterance.

        Args:
            state: After the last frame; it is not changed.
            nbest: How many hypotheses to return; all that survived by default.

        Returns:
            Hypotheses with distinct labels (with a grammar: distinct texts), best first, at least one; the language
            model has scored the last word and the end of the sentence.
        """
        if nbest is not None:
            _require(nbest >= 1, "nbest", nbest, "1 or more")
        beams = state.beams
        places = [state.places.keys[row] for row in beams.prefixes[PLACE].tolist()]
        histories = beams.histories.tolist()
        ends = list(map(self._scorer.finish, histories, places))
        lm_scores = np.array([end.lm_score for end in ends])
        words = np.array([end.words for end in ends])
        hot_scores = np.array([end.hot_score for end in ends])
        if self._grammar:
            hot_scores += beams.scores[COMPLETE] - [self._scorer.bonus(history) for history in histories]
        acoustic = beams.scores[ACOUSTIC]
        scores = acoustic + self.alpha * lm_scores + self.beta * words + hot_scores
        ranking = np.argsort(-scores, kind="stable").tolist()
        spoken = self._read(state, scores, ranking, nbest)
        branches = state.branches()
        all_frames = branches.frames
        hypotheses = []
        for index, heard in spoken.items():
            tail = branches.path(branches.leaves[index])
            labels = (*state.labels.tolist(), *branches.labels_of(tail))
            text = spell(self.labels, labels) if self._grammar is None else " ".join(word.word for word in heard)
            frames = (*state.frames.tolist(), *(all_frames[column] for column in tail))
            hypotheses.append(
                Hypothesis(
                    text=text,
                    words=heard,
                    score=float(scores[index]),
                    acoustic_score=float(acoustic[index]),
                    lm_score=float(lm_scores[index]),
                    labels=labels,
                    frames=frames,
                    hot_word_score=float(hot_scores[index]),
                )
            )
        return hypotheses

    def decode(self, log_probs: npt.ArrayLike, nbest: int | None = None) -> list[Hypothesis]:
        """Decode a whole utterance: :meth:`initial_state`, :meth:`step`, :meth:`finish`.

        Args:
            log_probs: [frames, labels], natural logarithm.
            nbest: How many hypotheses to return; all that survived by default.

        Returns:
            Hypotheses, best first; for no frames, one without text.

        Raises:
            DecodingError: The array cannot be log-probabilities over these labels.
        """
        _, state = self.step(log_probs, self.initial_state())
        return self.finish(state, nbest)

    def decode_batch(self, batch: Iterable[npt.ArrayLike], nbest: int | None = None) -> list[list[Hypothesis]]:
        """Decode utterances of any lengths, one after the other; each result is that of :meth:`decode`.

        Args:
            batch: One array [frames, labels] for each utterance, padding taken off.
            nbest: How many hypotheses to return for each; all that survived by default.

        Raises:
            DecodingError: An array cannot be log-probabilities over these labels.
        """
        return [self.decode(log_probs, nbest) for log_probs in batch]

    def _in_table(self, state: BeamState) -> BeamState:
        """Move a state to the table of places in use, a new one if that is full."""
        _require(state.places.scorer is self._scorer, "state", "from another decoder", "one of this decoder")
        if self._places.full:
            self._places = Places(self._scorer)
        places = self._places
        if state.places is places:
            return state
        beams = state.beams
        prefixes = beams.prefixes.copy()
        prefixes[PLACE] = state.places.moved(prefixes[PLACE], places)
        histories = np.empty(len(beams.histories), dtype=object)
        histories[:] = [history.forgetful() for history in beams.histories.tolist()]
        return replace(state, beams=Beams(beams.scores, prefixes, histories), places=places)

    def _advance(self, rows: Floats, state: BeamState) -> BeamState:
        beams, trie, frame = state.beams, state.trie.copy(), state.frame
        for heard in choose_symbols(rows, self.blank, self._symbol_mass, self._max_symbols, frame):
            beams = self._search.advance(beams, heard, trie, state.places)
            frame += 1
            if frame % _TIDY_EVERY_FRAMES == 0:
                state = replace(state, frame=frame, beams=beams, trie=trie)
                state = self._in_table(tidy(state, self.labels, self._max_tentative))
                beams, trie = state.beams, state.trie
        return replace(state, frame=frame, beams=beams, trie=trie)

    def _read(
        self, state: BeamState, scores: Floats, ranking: Sequence[int], nbest: int | None
    ) -> dict[int, tuple[Word, ...]]:
        """Return the words of the best beams, best first."""
        shares, branches = shares_of(scores).tolist(), state.branches()
        if self._grammar is None:
            agreement = agree(branches, shares, self.labels, state.begin)
            committed = state.shares.tolist()
            spoken = {beam: state.spans(branches, beam, self.labels) for beam in ranking[:nbest]}
        else:
            agreement, committed, spoken = Agreement(), [], {}
            texts = set()
            for beam in ranking:
                spans = self._grammar.read(state.spans(branches, beam, self.labels))
                for span in spans:
                    agreement.add(span, shares[beam])
                text = tuple(span.word for span in spans)
                if text not in texts and (nbest is None or len(spoken) < nbest):
                    spoken[beam] = spans
                texts.add(text)
        return {
            beam: tuple(
                Word(
                    span.word,
                    span.first * self.frame_seconds,
                    (span.last + 1) * self.frame_seconds,
                    span.certainty(self._confidence_power)
                    * (committed[index] if index < len(committed) else agreement.share(span)),
                )
                for index, span in enumerate(spans)
            )
            for beam, spans in spoken.items()
        }


def _by_characters(unit: str | None, lm: LanguageModel | None, labels: Sequence[str]) -> bool:
    if unit is not None or lm is None:
        return unit == "character"
    if lm.vocabulary is None and not any(" " in text for text in labels):
        raise LanguageModelError(
            f"{lm.path} does not tell its words, and no label holds a space; say whether its unit is word or character"
        )
    return lm.vocabulary is not None and lm.vocabulary.is_of_characters()


def _require(condition: bool, name: str, value: object, wanted: str) -> None:
    if not condition:
        raise UsageError(f"{name} is {value}; wanted {wanted}")
