"""Streaming CTC prefix beam search with a language model and hot words, for the log-probabilities of any CTC model.

Score of a text y given the audio x: Q(y) = log p_ctc(y | x) + alpha log p_lm(y) + beta |words of y| + hot words of y,
natural logarithms throughout ("Deep Speech 2", D. Amodei et al. 2015, section 3.8).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgespeech.errors import LanguageModelError, UsageError
from edgespeech.runtime.decoder.beam_state import BeamState, Partial, posteriors, tidy
from edgespeech.runtime.decoder.grammar import Grammar
from edgespeech.runtime.decoder.hot_words import HotWords
from edgespeech.runtime.decoder.hypothesis import Hypothesis, Word
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.decoder.log_probs import check_log_probs, choose_symbols
from edgespeech.runtime.decoder.options import (
    DEFAULT_ALPHA,
    DEFAULT_BEAM_WIDTH,
    DEFAULT_BETA,
    DEFAULT_FILLER_SCORE,
    DEFAULT_UNKNOWN_SCORE,
    DecoderOptions,
)
from edgespeech.runtime.decoder.prefix_beams import ACOUSTIC, COMPLETE, STATE, Beams, Floats, FrameSearch
from edgespeech.runtime.decoder.prefix_states import PrefixStates
from edgespeech.runtime.decoder.prefix_trie import Trie, spell
from edgespeech.runtime.decoder.word_scorer import WordScorer
from edgespeech.runtime.decoder.word_times import NO_WORD, Agreement, agree

log = logging.getLogger(__name__)

DEFAULTS = DecoderOptions(DEFAULT_BEAM_WIDTH, DEFAULT_ALPHA, DEFAULT_BETA, DEFAULT_UNKNOWN_SCORE, DEFAULT_FILLER_SCORE)
DEFAULTS_WITHOUT_LM = replace(DEFAULTS, beta=0.0)
_TIDY_EVERY_FRAMES = 64
_BLOCK_FRAMES = 256


class BeamSearchDecoder:
    """Decodes CTC log-probabilities to text, at once or as a stream.

    Args:
        labels: Text of each label; the text of the blank is not used.
        blank: Index of the CTC blank.
        lm: Language model over words, applied where a label with a space ends a word, and at the end; or over
            characters.
        options: Settings; by default `DecoderOptions()`.
        hot_words: Expected phrases, each with the natural log that it adds to the score of a text that contains it.
            Their words are added to the vocabulary.
        grammar: Closed grammar: only these phrases and ``<unknown>`` can be recognised; excludes a language model
            and hot words.
        **settings: Fields of `DecoderOptions` to change in ``options``.

    Raises:
        UsageError: A setting is out of range, or two settings exclude each other.
        LanguageModelError: The language model does not match the labels.
    """

    def __init__(
        self,
        labels: Sequence[str],
        blank: int = 0,
        lm: LanguageModel | None = None,
        options: DecoderOptions | None = None,
        *,
        hot_words: Mapping[str, float] | None = None,
        grammar: Iterable[str] | None = None,
        **settings: Any,
    ) -> None:
        self.labels = tuple(labels)
        self.blank = blank
        self.lm = lm
        self.options = replace(options or DecoderOptions(), **settings)
        chosen = self.options.with_defaults(DEFAULTS if lm else DEFAULTS_WITHOUT_LM)
        assert chosen.beam_width is not None and chosen.alpha is not None and chosen.beta is not None
        assert chosen.unknown_score is not None and chosen.filler_score is not None
        self.alpha, self.beta = chosen.alpha if lm else 0.0, chosen.beta
        self._max_symbols = len(self.labels) if chosen.max_symbols is None else chosen.max_symbols
        _require(len(self.labels) > 1, "labels", f"{len(self.labels)} of them", "the blank and at least one more")
        _require(0 <= blank < len(self.labels), "blank", blank, f"an index of the {len(self.labels)} labels")
        self._grammar = None if grammar is None else Grammar(grammar, chosen.filler_score)
        if self._grammar and (lm or hot_words or self.beta):
            raise UsageError("a closed grammar excludes a language model, beta and hot words; leave them out")
        characters = _by_characters(chosen.unit, lm, self.labels)
        phrases = self._grammar.hot_words if self._grammar else HotWords(hot_words or {}, characters)
        phrases.check_spelling(self.labels)
        self._scorer = WordScorer(self.labels, lm, self.alpha, self.beta, chosen.unknown_score, phrases, characters)
        self._prefix_states = PrefixStates(self._scorer)
        costs = self._grammar.label_scores(self.labels, blank) if self._grammar else None
        self._search = FrameSearch(self._scorer.ends_words, blank, chosen.beam_width, chosen.beam_threshold, costs)
        log.debug(
            "beam search: width %d, alpha %g, beta %g, %s, %d hot words%s",
            chosen.beam_width,
            self.alpha,
            self.beta,
            f"language model {lm.path}" if lm else "no language model",
            len(hot_words or {}),
            ", closed grammar" if self._grammar else "",
        )

    def with_hot_words(self, hot_words: Mapping[str, float]) -> BeamSearchDecoder:
        """Return this decoder with other hot words; the states of one cannot be used with the other.

        Raises:
            UsageError: A hot word is invalid, or this decoder has a grammar.
        """
        if self._grammar:
            raise UsageError("a closed grammar excludes hot words; make a recognizer without the grammar")
        return BeamSearchDecoder(self.labels, self.blank, self.lm, self.options, hot_words=hot_words)

    def initial_state(self) -> BeamState:
        """Return the state before the first frame."""
        nothing = np.zeros(0, dtype=np.int32)
        beams = self._search.begin(self._scorer.begin())
        return BeamState(0, beams, Trie(), self._prefix_states, nothing, nothing, np.zeros(0), "", np.zeros(0), NO_WORD)

    def step(self, log_probs: npt.ArrayLike, state: BeamState) -> tuple[Partial, BeamState]:
        """Process more frames; the result does not depend on how a stream is cut into calls.

        Args:
            log_probs: [frames, labels], natural logarithm; zero frames are allowed.
            state: From :meth:`initial_state` or an earlier step; it is not changed.

        Returns:
            The text so far, and the next state. With a grammar, all text is tentative.

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
        text = " ".join(span.word for span in self._grammar.apply(state.spans(state.branches(), best, self.labels)))
        return Partial(text, "", text), state

    def finish(self, state: BeamState, nbest: int | None = None) -> list[Hypothesis]:
        """End the utterance.

        Args:
            state: State after the last frame; it is not changed.
            nbest: Maximum number of hypotheses; by default all that survived.

        Returns:
            Hypotheses with distinct labels (with a grammar: distinct texts), best first, at least one; the language
            model has scored the last word and the end of the sentence.
        """
        if nbest is not None:
            _require(nbest >= 1, "nbest", nbest, "1 or more")
        beams = state.beams
        prefix_states = [state.prefix_states.states[row] for row in beams.prefixes[STATE].tolist()]
        histories = beams.histories.tolist()
        ends = list(map(self._scorer.finish, histories, prefix_states))
        lm_scores = np.array([end.lm_score for end in ends])
        counts = np.array([end.words for end in ends])
        hot_scores = np.array([end.hot_score for end in ends])
        if self._grammar:
            hot_scores += beams.scores[COMPLETE] - [self._scorer.history_score(history) for history in histories]
        acoustic = beams.scores[ACOUSTIC]
        scores = acoustic + self.alpha * lm_scores + self.beta * counts + hot_scores
        ranking = np.argsort(-scores, kind="stable").tolist()
        words_of = self._read_words(state, scores, ranking, nbest)
        branches = state.branches()
        all_frames = branches.frames
        hypotheses = []
        for index, words in words_of.items():
            tail = branches.path(branches.leaves[index])
            labels = (*state.labels.tolist(), *branches.labels_of(tail))
            text = spell(self.labels, labels) if self._grammar is None else " ".join(word.word for word in words)
            frames = (*state.frames.tolist(), *(all_frames[column] for column in tail))
            hypotheses.append(
                Hypothesis(
                    text=text,
                    words=words,
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
        """Decode a whole utterance, as :meth:`step` and :meth:`finish` would.

        Args:
            log_probs: [frames, labels], natural logarithm; zero frames give one hypothesis without text.
            nbest: Maximum number of hypotheses; by default all that survived.

        Raises:
            DecodingError: The array cannot be log-probabilities over these labels.
        """
        _, state = self.step(log_probs, self.initial_state())
        return self.finish(state, nbest)

    def decode_batch(self, batch: Iterable[npt.ArrayLike], nbest: int | None = None) -> list[list[Hypothesis]]:
        """Decode utterances [frames, labels] of any lengths, without padding, as :meth:`decode` would one by one.

        Raises:
            DecodingError: An array cannot be log-probabilities over these labels.
        """
        return [self.decode(log_probs, nbest) for log_probs in batch]

    def _in_table(self, state: BeamState) -> BeamState:
        """Move a state to the current table of prefix states, starting a new table first if the current one is full."""
        _require(state.prefix_states.scorer is self._scorer, "state", "from another decoder", "one of this decoder")
        if self._prefix_states.full:
            self._prefix_states = PrefixStates(self._scorer)
        states = self._prefix_states
        if state.prefix_states is states:
            return state
        beams = state.beams
        prefixes = beams.prefixes.copy()
        prefixes[STATE] = state.prefix_states.rows_in(states, prefixes[STATE])
        histories = np.empty(len(beams.histories), dtype=object)
        histories[:] = [history.without_cache() for history in beams.histories.tolist()]
        return replace(state, beams=Beams(beams.scores, prefixes, histories), prefix_states=states)

    def _advance(self, rows: Floats, state: BeamState) -> BeamState:
        beams, trie, frame = state.beams, state.trie.copy(), state.frame
        for symbols in choose_symbols(rows, self.blank, self.options.symbol_mass, self._max_symbols, frame):
            beams = self._search.advance(beams, symbols, trie, state.prefix_states)
            frame += 1
            if frame % _TIDY_EVERY_FRAMES == 0:
                state = replace(state, frame=frame, beams=beams, trie=trie)
                state = self._in_table(tidy(state, self.labels, self.options.max_tentative))
                beams, trie = state.beams, state.trie
        return replace(state, frame=frame, beams=beams, trie=trie)

    def _read_words(
        self, state: BeamState, scores: Floats, ranking: Sequence[int], nbest: int | None
    ) -> dict[int, tuple[Word, ...]]:
        """Return the words of the best beams, best first."""
        masses, branches = posteriors(scores).tolist(), state.branches()
        if self._grammar is None:
            agreement = agree(branches, masses, self.labels, state.begin)
            committed = state.masses.tolist()
            spans_of = {beam: state.spans(branches, beam, self.labels) for beam in ranking[:nbest]}
        else:
            agreement, committed, spans_of = Agreement(), [], {}
            texts = set()
            for beam in ranking:
                spans = self._grammar.apply(state.spans(branches, beam, self.labels))
                for span in spans:
                    agreement.add(span, masses[beam])
                text = tuple(span.word for span in spans)
                if text not in texts and (nbest is None or len(spans_of) < nbest):
                    spans_of[beam] = spans
                texts.add(text)
        return {
            beam: tuple(
                Word(
                    span.word,
                    span.first * self.options.frame_seconds,
                    (span.last + 1) * self.options.frame_seconds,
                    span.certainty(self.options.confidence_power)
                    * (committed[index] if index < len(committed) else agreement.mass(span)),
                )
                for index, span in enumerate(spans)
            )
            for beam, spans in spans_of.items()
        }


def _by_characters(unit: str | None, lm: LanguageModel | None, labels: Sequence[str]) -> bool:
    if unit is not None or lm is None:
        return unit == "character"
    if lm.vocabulary is None and not any(" " in text for text in labels):
        raise LanguageModelError(
            f"{lm.path} does not list its words, and no label contains a space; set unit to word or character"
        )
    return lm.vocabulary is not None and lm.vocabulary.is_of_characters()


def _require(condition: bool, name: str, value: object, wanted: str) -> None:
    if not condition:
        raise UsageError(f"{name} is {value}; wanted {wanted}")
