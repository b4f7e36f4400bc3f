"""Streaming prefix beam search over numpy arrays: the reference of the native search, and what runs without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgespeech.errors import UsageError
from edgespeech.runtime.decoder.hypothesis import Hypothesis, Partial, Word, join_words
from edgespeech.runtime.decoder.log_probs import check_log_probs, choose_symbols
from edgespeech.runtime.decoder.numpy_search.beam_state import BeamState, agree, posteriors, tidy
from edgespeech.runtime.decoder.numpy_search.prefix_beams import (
    ACOUSTIC,
    COMPLETE,
    STATE,
    Beams,
    Floats,
    FrameSearch,
)
from edgespeech.runtime.decoder.numpy_search.prefix_states import PrefixStates
from edgespeech.runtime.decoder.numpy_search.prefix_trie import Trie, spell
from edgespeech.runtime.decoder.search_plan import SearchPlan
from edgespeech.runtime.decoder.word_times import NO_WORD, Agreement

_TIDY_EVERY_FRAMES = 64
_BLOCK_FRAMES = 256


class NumpySearch:
    """The search of one decoder; see `BeamSearchDecoder` for its methods."""

    def __init__(self, plan: SearchPlan) -> None:
        self._scorer, self._labels, self._blank = plan.scorer, plan.labels, plan.blank
        self._word_pieces, self._gap = plan.word_pieces, plan.gap
        self._options, self._grammar = plan.options, plan.grammar
        self._symbol_mass, self._max_symbols = plan.symbol_mass, plan.max_symbols
        self._prefix_states = PrefixStates(plan.scorer)
        self._search = FrameSearch(
            plan.scorer.ends_words,
            plan.scorer.lm is not None,
            plan.blank,
            plan.beam_width,
            plan.options.beam_threshold,
            plan.label_scores,
        )

    def initial_state(self) -> BeamState:
        """Return the state before the first frame."""
        nothing = np.zeros(0, dtype=np.int32)
        beams = self._search.begin(self._scorer.begin())
        return BeamState(0, beams, Trie(), self._prefix_states, nothing, nothing, np.zeros(0), "", np.zeros(0), NO_WORD)

    def step(self, log_probs: npt.ArrayLike, state: BeamState, threshold: float = np.inf) -> tuple[Partial, BeamState]:
        """Process more frames without changing the state; a threshold below the options' drops more prefixes."""
        rows = check_log_probs(log_probs, len(self._labels))
        state, search = self._in_table(state), self._search.with_threshold(threshold)
        for start in range(0, len(rows), _BLOCK_FRAMES):
            state = self._advance(rows[start : start + _BLOCK_FRAMES], state, search)
        if self._grammar is None:
            return state.partial(self._labels), state
        best = int(state.beams.totals.argmax())
        spans = self._grammar.apply(state.spans(state.branches(), best, self._word_pieces))
        text = self._gap.join(span.word for span in spans)
        return Partial(text, "", text), state

    def finish(self, state: BeamState, nbest: int | None) -> list[Hypothesis]:
        """Return the hypotheses at the end of an utterance, best first."""
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
        scores = acoustic + self._scorer.alpha * lm_scores + self._scorer.beta * counts + hot_scores
        ranking = np.argsort(-scores, kind="stable").tolist()
        words_of = self._read_words(state, scores, ranking, nbest)
        branches = state.branches()
        all_frames = branches.frames
        hypotheses = []
        for index, words in words_of.items():
            tail = branches.path(branches.leaves[index])
            labels = (*state.labels.tolist(), *branches.labels_of(tail))
            text = spell(self._labels, labels) if self._grammar is None else join_words(words)
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

    def _in_table(self, state: BeamState) -> BeamState:
        """Move a state to the current table of prefix states, starting a new table first if the current one is full."""
        if state.prefix_states.scorer is not self._scorer:
            raise UsageError("state is from another decoder; wanted one of this decoder")
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

    def _advance(self, rows: Floats, state: BeamState, search: FrameSearch) -> BeamState:
        beams, trie, frame = state.beams, state.trie.copy(), state.frame
        for symbols in choose_symbols(rows, self._blank, self._symbol_mass, self._max_symbols, frame):
            beams = search.advance(beams, symbols, trie, state.prefix_states)
            frame += 1
            if frame % _TIDY_EVERY_FRAMES == 0:
                state = replace(state, frame=frame, beams=beams, trie=trie)
                state = self._in_table(tidy(state, self._labels, self._word_pieces, self._options.max_tentative))
                beams, trie = state.beams, state.trie
        return replace(state, frame=frame, beams=beams, trie=trie)

    def _read_words(
        self, state: BeamState, scores: Floats, ranking: Sequence[int], nbest: int | None
    ) -> dict[int, tuple[Word, ...]]:
        """Return the words of the best beams, best first."""
        masses, branches = posteriors(scores).tolist(), state.branches()
        if self._grammar is None:
            agreement = agree(branches, masses, self._word_pieces, state.begin)
            committed = state.masses.tolist()
            spans_of = {beam: state.spans(branches, beam, self._word_pieces) for beam in ranking[:nbest]}
        else:
            agreement, committed, spans_of = Agreement(), [], {}
            texts = set()
            for beam in ranking:
                spans = self._grammar.apply(state.spans(branches, beam, self._word_pieces))
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
                    span.first * self._options.frame_seconds,
                    (span.last + 1) * self._options.frame_seconds,
                    span.certainty(self._options.confidence_power)
                    * (committed[index] if index < len(committed) else agreement.mass(span)),
                    joined=index > 0 and not self._gap,
                )
                for index, span in enumerate(spans)
            )
            for beam, spans in spans_of.items()
        }
