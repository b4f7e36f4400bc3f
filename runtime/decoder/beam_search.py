"""Streaming CTC prefix beam search with a language model and hot words, over numpy arrays of any CTC model.

Score of a text y given the audio x: Q(y) = log p_ctc(y | x) + alpha log p_lm(y) + beta |words of y| + hot words of y,
natural logarithms throughout ("Deep Speech 2", D. Amodei et al. 2015, section 3.8). Nothing here looks at audio or at
endpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgespeech.errors import LanguageModelError, UsageError
from edgespeech.runtime.decoder.beam_state import BeamState, Partial, shares_of, tidy
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
from edgespeech.runtime.decoder.prefix_beams import ACOUSTIC, COMPLETE, PLACE, Beams, Floats, FrameSearch
from edgespeech.runtime.decoder.prefix_states import Places
from edgespeech.runtime.decoder.prefix_trie import Trie, spell
from edgespeech.runtime.decoder.word_scorer import WordScorer
from edgespeech.runtime.decoder.word_times import NO_WORD, Agreement, agree

DEFAULTS = DecoderOptions(DEFAULT_BEAM_WIDTH, DEFAULT_ALPHA, DEFAULT_BETA, DEFAULT_UNKNOWN_SCORE, DEFAULT_FILLER_SCORE)
DEFAULTS_WITHOUT_LM = replace(DEFAULTS, beta=0.0)
_TIDY_EVERY_FRAMES = 64
_BLOCK_FRAMES = 256


class BeamSearchDecoder:
    """Turns CTC log-probabilities into text, at once or as a stream.

    Args:
        labels: Text of each label; the blank's text is not used.
        blank: Index of the CTC blank.
        lm: Language model over words, applied where a label with a space ends a word, and at the end; or over
            characters.
        options: Settings; by default `DecoderOptions()`.
        hot_words: Expected phrases, each with the natural log that it adds to the score of a text that contains it.
            Their words join the vocabulary. See :class:`edgespeech.runtime.decoder.hot_words.HotWords`.
        grammar: Closed grammar: only these phrases and ``<unknown>`` can be recognised; excludes a language model
            and hot words. See :class:`edgespeech.runtime.decoder.grammar.Grammar`.
        **settings: Fields of `DecoderOptions` to change in ``options``.

    Raises:
        UsageError: A setting is out of range, or two exclude each other.
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
            raise UsageError("a closed grammar goes without a language model, beta and hot words; leave them out")
        characters = _by_characters(chosen.unit, lm, self.labels)
        phrases = self._grammar.hot_words if self._grammar else HotWords(hot_words or {}, characters)
        phrases.check_spelling(self.labels)
        self._scorer = WordScorer(self.labels, lm, self.alpha, self.beta, chosen.unknown_score, phrases, characters)
        self._places = Places(self._scorer)
        letter_scores = self._grammar.label_scores(self.labels, blank) if self._grammar else None
        self._search = FrameSearch(self._scorer.crosses, blank, chosen.beam_width, chosen.beam_threshold, letter_scores)

    def with_hot_words(self, hot_words: Mapping[str, float]) -> BeamSearchDecoder:
        """Return a decoder like this one with other hot words; states of one do not belong to the other.

        Raises:
            UsageError: A hot word will not do, or this decoder has a grammar.
        """
        if self._grammar:
            raise UsageError("a closed grammar goes without hot words; make a recognizer without the grammar")
        return BeamSearchDecoder(self.labels, self.blank, self.lm, self.options, hot_words=hot_words)

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
        for heard in choose_symbols(rows, self.blank, self.options.symbol_mass, self._max_symbols, frame):
            beams = self._search.advance(beams, heard, trie, state.places)
            frame += 1
            if frame % _TIDY_EVERY_FRAMES == 0:
                state = replace(state, frame=frame, beams=beams, trie=trie)
                state = self._in_table(tidy(state, self.labels, self.options.max_tentative))
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
                    span.first * self.options.frame_seconds,
                    (span.last + 1) * self.options.frame_seconds,
                    span.certainty(self.options.confidence_power)
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
