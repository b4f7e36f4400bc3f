"""Streaming CTC prefix beam search with a language model and hot words, for the log-probabilities of any CTC model.

Score of a text y given the audio x: Q(y) = log p_ctc(y | x) + alpha log p_lm(y) + beta |words of y| + hot words of y,
natural logarithms throughout ("Deep Speech 2", D. Amodei et al. 2015, section 3.8).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy.typing as npt

from edgespeech.errors import LanguageModelError, UsageError
from edgespeech.runtime.decoder.grammar import Grammar
from edgespeech.runtime.decoder.hot_words import HotWords, spell_boosts
from edgespeech.runtime.decoder.hypothesis import Hypothesis, Partial
from edgespeech.runtime.decoder.language_model import LanguageModel
from edgespeech.runtime.decoder.native.library import SearchKind, search_kind
from edgespeech.runtime.decoder.native.search import NativeSearch, NativeState, why_not
from edgespeech.runtime.decoder.options import (
    DEFAULT_ALPHA,
    DEFAULT_BEAM_WIDTH,
    DEFAULT_BETA,
    DEFAULT_FILLER_SCORE,
    DEFAULT_UNKNOWN_SCORE,
    DecoderOptions,
)
from edgespeech.runtime.decoder.phrases.whole_phrases import PhraseState, make_whole_phrases, require_state
from edgespeech.runtime.decoder.search_plan import SearchPlan
from edgespeech.runtime.decoder.word_scorer import WordScorer
from edgespeech.runtime.decoder.word_times import any_space

log = logging.getLogger(__name__)

if TYPE_CHECKING:  # the search in numpy is imported where it runs
    from edgespeech.runtime.decoder.numpy_search.beam_state import BeamState

SearchState: TypeAlias = "NativeState | BeamState | PhraseState"
"""A search between two frames: a value, which a step never changes. It has ``frame`` and ``committed_labels``."""

DEFAULTS = DecoderOptions(DEFAULT_BEAM_WIDTH, DEFAULT_ALPHA, DEFAULT_BETA, DEFAULT_UNKNOWN_SCORE, DEFAULT_FILLER_SCORE)
DEFAULTS_WITHOUT_LM = replace(DEFAULTS, beta=0.0)
PREVIEW_THRESHOLD = 9.0  # at 60 % of the time of 18, 0.4 % of the partials have another text


class BeamSearchDecoder:
    """Decodes CTC log-probabilities to text, at once or as a stream.

    The search is compiled code where the installation has it and can read the language model, else numpy; both give
    the same results.

    Args:
        labels: Text of each label; the text of the blank is not used.
        blank: Index of the CTC blank.
        lm: Language model over words, applied where a label with a space ends a word, and at the end; or over
            characters, if no label contains a space or if it knows nothing longer.
        options: Settings; by default `DecoderOptions()`.
        hot_words: Expected phrases, each with the natural log that it adds to the score of a text that contains it.
            Their words are added to the vocabulary. They and those of a grammar may be in another case than the labels.
        grammar: Closed grammar: only these phrases and ``<unknown>`` can be recognised; excludes a language model
            and hot words.
        **settings: Fields of `DecoderOptions` to change in ``options``.

    Attributes:
        by_characters: Whether each character is a word of the result, because no label contains a space.
        search_kind: The search that runs, ``native`` or ``numpy``, and why it is not the native one.

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
        _require(len(self.labels) > 1, "labels", f"{len(self.labels)} of them", "the blank and at least one more")
        _require("\0" not in "".join(self.labels), "labels", "one with a zero byte", "texts without")
        _require(0 <= blank < len(self.labels), "blank", blank, f"an index of the {len(self.labels)} labels")
        characters = _by_characters(chosen.unit, lm, self.labels)
        self.by_characters = characters and not any_space(self.labels)
        filler_score, joined = chosen.filler_score, self.by_characters
        self._grammar = None if grammar is None else Grammar(grammar, filler_score, self.labels, joined)
        if self._grammar and (lm or hot_words or self.beta):
            raise UsageError("a closed grammar excludes a language model, beta and hot words; leave them out")
        boosts = spell_boosts(hot_words or {}, self.labels)
        phrases = self._grammar.hot_words if self._grammar else HotWords(boosts, characters)
        scorer = WordScorer(self.labels, lm, self.alpha, self.beta, chosen.unknown_score, phrases, characters)
        plan = SearchPlan(self.labels, blank, scorer, chosen, self._grammar, self.by_characters)
        self.search_kind = _choose_search(plan)
        # The two have the same methods, each with its own states.
        self._search: Any = NativeSearch(plan) if self.search_kind.name == "native" else _numpy_search(plan)
        self._phrases = make_whole_phrases(plan)
        log.debug(
            "beam search (%s): width %d, alpha %g, beta %g, %s, %d hot words%s",
            self.search_kind.name,
            plan.beam_width,
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

    def initial_state(self) -> SearchState:
        """Return the state before the first frame."""
        state: SearchState = self._search.initial_state()
        return PhraseState(state) if self._phrases else state

    def step(self, log_probs: npt.ArrayLike, state: SearchState) -> tuple[Partial, SearchState]:
        """Process more frames; the result does not depend on how a stream is cut into calls.

        Args:
            log_probs: [frames, labels], natural logarithm; zero frames are allowed.
            state: From :meth:`initial_state` or an earlier step; it is not changed.

        Returns:
            The text so far, and the next state. With a grammar, all text is tentative.

        Raises:
            DecodingError: The array cannot be log-probabilities over these labels.
            UsageError: The state is from another decoder.
        """
        if self._phrases:
            return self._phrases.step(log_probs, state, self._search)
        stepped: tuple[Partial, SearchState] = self._search.step(log_probs, state)
        return stepped

    def preview(self, log_probs: npt.ArrayLike, state: SearchState) -> str:
        """Return the text so far if these frames came next, which are not kept.

        More prefixes are dropped than in `step`, to save time; so the text can differ from that of `step`, and there is
        no state to go on with.

        Args:
            log_probs: [frames, labels], natural logarithm; zero frames are allowed.
            state: From :meth:`initial_state` or an earlier step; it is not changed.

        Raises:
            DecodingError: The array cannot be log-probabilities over these labels.
            UsageError: The state is from another decoder.
        """
        before = require_state(state).search if self._phrases else state
        partial: Partial = self._search.step(log_probs, before, PREVIEW_THRESHOLD)[0]
        return partial.text

    def finish(self, state: SearchState, nbest: int | None = None) -> list[Hypothesis]:
        """End the utterance.

        Args:
            state: State after the last frame; it is not changed.
            nbest: Maximum number of hypotheses; by default all that survived.

        Returns:
            Hypotheses with distinct labels (with a grammar: distinct texts), best first, at least one; the language
            model has scored the last word and the end of the sentence.

        Raises:
            UsageError: ``nbest`` is out of range, or the state is from another decoder.
        """
        if nbest is not None:
            _require(nbest >= 1, "nbest", nbest, "1 or more")
        if self._phrases:
            return self._phrases.finish(state, self._search, nbest)
        hypotheses: list[Hypothesis] = self._search.finish(state, nbest)
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


def _numpy_search(plan: SearchPlan) -> Any:
    from edgespeech.runtime.decoder.numpy_search.search import NumpySearch

    return NumpySearch(plan)


def _choose_search(plan: SearchPlan) -> SearchKind:
    kind = search_kind(plan.options.search)
    problem = why_not(plan) if kind.name == "native" else ""
    return SearchKind("numpy", problem) if problem else kind


def _by_characters(unit: str | None, lm: LanguageModel | None, labels: Sequence[str]) -> bool:
    if unit is not None:
        return unit == "character"
    known = None if lm is None else lm.vocabulary
    if any_space(labels):
        return known is not None and known.is_of_characters()
    if lm is not None and known is not None and not known.is_of_characters():
        raise LanguageModelError(
            f"{lm.path} is over words, but no label contains a space, so each character is a word; build it with "
            "--unit character"
        )
    return True


def _require(condition: bool, name: str, value: object, wanted: str) -> None:
    if not condition:
        raise UsageError(f"{name} is {value}; wanted {wanted}")
