"""Streaming CTC prefix beam search with a word language model, over numpy arrays of any CTC model.

Score of a text y given the audio x: Q(y) = log p_ctc(y | x) + alpha log p_lm(y) + beta |words of y|, natural logarithms
throughout ("Deep Speech 2", D. Amodei et al. 2015, section 3.8). Nothing here looks at audio or at endpoints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgespeech.errors import UsageError
from edgespeech.runtime.language_model import LanguageModel
from edgespeech.runtime.log_probs import check_log_probs
from edgespeech.runtime.prefix_beams import Beams, Floats, FrameSearch, Indices
from edgespeech.runtime.prefix_trie import Node, ancestor, common_prefix, cut, path
from edgespeech.runtime.transcript import Hypothesis, Word
from edgespeech.runtime.word_scorer import WordScorer
from edgespeech.runtime.word_times import Agreement, Span, split_words

DEFAULT_ALPHA = 0.5
DEFAULT_BETA = 1.5
# How often the search looks for labels to commit, and how many make it worth copying the trie.
_COMMIT_EVERY_FRAMES = 32
_COMMIT_LABELS = 32


@dataclass(frozen=True)
class Partial:
    """What has been understood so far.

    Attributes:
        text: Text of the best prefix, ``committed + tentative``.
        committed: What all prefixes alive share; it only ever grows.
        tentative: The rest, which may still change.
    """

    text: str
    committed: str
    tentative: str


@dataclass(frozen=True, eq=False)
class BeamState:
    """A search between two frames; a value that is never changed, so one state can be continued many times.

    Attributes:
        frame: Number of frames heard.
        beams: The prefixes alive.
        labels: int32, labels that were committed and cut off the trie.
        frames: int32, their emission frames.
        text: Their text.
        confidences: Confidence of each word that they complete, as it was when the word was committed.
        last_space: Index of the last of these labels that holds a space, or -1.
    """

    frame: int
    beams: Beams
    labels: npt.NDArray[np.int32]
    frames: npt.NDArray[np.int32]
    text: str
    confidences: Floats
    last_space: int


class BeamSearchDecoder:
    """Turns CTC log-probabilities into text, at once or as a stream.

    Args:
        labels: Text of each label; the blank's text is not used.
        blank: Index of the CTC blank.
        lm: Word language model; it is applied where a label with a space ends a word, and at the end.
        alpha: Weight of the language model, 0 to 100 (default 0.5); not used without one.
        beta: Natural log added for each word, -100 to 100 (default 1.5 with a language model, 0 without).
        unknown_score: Natural log, not positive, added to the language model's score of a word it does not know.
        beam_width: Number of prefixes kept after each frame.
        symbol_mass: A frame extends prefixes by the fewest labels whose probabilities reach this sum; 1 takes all.
        max_symbols: The most labels, blank included, that a frame looks at; None for no limit.
        beam_threshold: Prefixes that score this much (natural log) below the best are dropped; None keeps them.
        max_tentative: Once the best prefix is this many labels longer than what all prefixes share, prefixes that
            differ from it before the last half of them are dropped, so that a stream's cost stays flat; None lets
            the tentative text grow.
        frame_seconds: Seconds between two frames, for word times.

    Raises:
        UsageError: A setting is out of range.
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
        beam_width: int = 64,
        symbol_mass: float = 0.99,
        max_symbols: int | None = 40,
        beam_threshold: float | None = 18.0,
        max_tentative: int | None = 128,
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
        _require(len(self.labels) > 1, "labels", f"{len(self.labels)} of them", "the blank and at least one more")
        _require(0 <= blank < len(self.labels), "blank", blank, f"an index of the {len(self.labels)} labels")
        _require(0.0 <= self.alpha <= 100.0, "alpha", alpha, "a number from 0 to 100")
        _require(-100.0 <= self.beta <= 100.0, "beta", beta, "a number from -100 to 100")
        _require(-math.inf < unknown_score <= 0.0, "unknown_score", unknown_score, "a finite number not above 0")
        _require(beam_width >= 1, "beam_width", beam_width, "1 or more")
        _require(0.0 < symbol_mass <= 1.0, "symbol_mass", symbol_mass, "a number above 0 and up to 1")
        _require(self._max_symbols >= 1, "max_symbols", max_symbols, "1 or more, or None")
        _require(beam_threshold is None or beam_threshold > 0.0, "beam_threshold", beam_threshold, "above 0, or None")
        _require(max_tentative is None or max_tentative >= 2, "max_tentative", max_tentative, "2 or more, or None")
        _require(0.0 < frame_seconds < math.inf, "frame_seconds", frame_seconds, "a number of seconds above 0")
        self._scorer = WordScorer(self.labels, lm, self.alpha, self.beta, unknown_score)
        self._search = FrameSearch(self._scorer, len(self.labels), blank, beam_width, beam_threshold)

    def initial_state(self) -> BeamState:
        """Return the state before the first frame."""
        nothing = np.zeros(0, dtype=np.int32)
        return BeamState(0, self._search.begin(), nothing, nothing, "", np.zeros(0), -1)

    def step(self, log_probs: npt.ArrayLike, state: BeamState) -> tuple[Partial, BeamState]:
        """Hear more frames. How a stream is cut into calls makes no difference.

        Args:
            log_probs: [frames, labels], natural logarithm; no frames are allowed.
            state: From :meth:`initial_state` or an earlier step; it is not changed.

        Returns:
            What is understood so far, and the state to go on with.

        Raises:
            DecodingError: The array cannot be log-probabilities over these labels.
        """
        rows = check_log_probs(log_probs, len(self.labels))
        for row, symbols in zip(rows, self._choose_symbols(rows), strict=True):
            beams = self._search.advance(state.beams, row, symbols, state.frame)
            state = replace(state, beams=beams, frame=state.frame + 1)
            if state.frame % _COMMIT_EVERY_FRAMES == 0:
                state = self._commit(state)
        beams = state.beams
        best = beams.nodes[int((beams.acoustic + beams.bonus).argmax())]
        text = state.text + self._spell(path(best))
        committed = state.text + self._spell(path(common_prefix(beams.nodes)))
        return Partial(text, committed, text[len(committed) :]), state

    def finish(self, state: BeamState, nbest: int | None = None) -> list[Hypothesis]:
        """End the utterance.

        Args:
            state: After the last frame; it is not changed.
            nbest: How many hypotheses to return; all that survived by default.

        Returns:
            Hypotheses with distinct labels, best first, at least one; the language model has scored the last word
            and the end of the sentence. The confidence of a word is the share of probability (of all survivors, each
            in proportion to exp(score)) that hears it in overlapping frames, now or when the word was committed.
        """
        if nbest is not None:
            _require(nbest >= 1, "nbest", nbest, "1 or more")
        beams = state.beams
        lm_scores, words = zip(*map(self._scorer.finish, beams.contexts), strict=True)
        acoustic = beams.acoustic
        scores = acoustic + self.alpha * np.array(lm_scores) + self.beta * np.array(words)
        agreement = self._agreement(state, scores)
        hypotheses = []
        for index in np.argsort(-scores, kind="stable")[:nbest].tolist():
            tail = path(beams.nodes[index])
            labels = (*state.labels.tolist(), *(node.label for node in tail))
            frames = (*state.frames.tolist(), *(node.frame for node in tail))
            recent = [agreement.confidence(span) for span in self._recent_words(state, tail)]
            hypotheses.append(
                Hypothesis(
                    text=state.text + self._spell(tail),
                    words=self._words(labels, frames, [*state.confidences.tolist(), *recent]),
                    score=float(scores[index]),
                    acoustic_score=float(acoustic[index]),
                    lm_score=lm_scores[index],
                    labels=labels,
                    frames=frames,
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

    def _choose_symbols(self, rows: Floats) -> list[Indices]:
        """Choose for each frame the labels that may extend prefixes, best first, without the blank."""
        order = np.argsort(-rows, axis=1, kind="stable")[:, : self._max_symbols]
        ranked = np.take_along_axis(rows, order, axis=1)
        chosen = (order != self.blank) & (ranked > -np.inf)
        if self._symbol_mass < 1.0:
            probabilities = np.exp(ranked)
            chosen &= probabilities.cumsum(axis=1) - probabilities < self._symbol_mass
        return [symbols[mask] for symbols, mask in zip(order, chosen, strict=True)]

    def _commit(self, state: BeamState) -> BeamState:
        """Move labels that all prefixes share out of the trie, once there are enough of them.

        A beam never lets go of the closest decisions of its whole past, so labels may stay tentative for ever. Old ones
        are settled for the best prefix: what followed is the same on both sides and will not reverse the decision.
        """
        beams = state.beams
        scores = beams.acoustic + beams.bonus
        best = beams.nodes[int(scores.argmax())]
        shared = common_prefix(beams.nodes).depth
        if self._max_tentative is not None and best.depth - shared > self._max_tentative:
            shared = best.depth - self._max_tentative // 2
        if shared - len(state.labels) < _COMMIT_LABELS:
            return state
        heir = ancestor(best, shared)
        heirs = [i for i, node in enumerate(beams.nodes) if ancestor(node, shared).hash == heir.hash]
        settled = path(heir)
        text = self._spell(settled)
        spaces = [index for index, node in enumerate(settled, len(state.labels)) if " " in self.labels[node.label]]
        confidences: list[float] = []
        if spaces:
            agreement = self._agreement(state, scores)
            words = self._recent_words(state, settled)
            confidences = [agreement.confidence(span) for span in (words if text.endswith(" ") else words[:-1])]
        beams = beams.take(np.array(heirs, dtype=np.intp))
        return BeamState(
            frame=state.frame,
            beams=replace(beams, nodes=cut(beams.nodes, shared)),
            labels=np.concatenate([state.labels, np.array([node.label for node in settled], dtype=np.int32)]),
            frames=np.concatenate([state.frames, np.array([node.frame for node in settled], dtype=np.int32)]),
            text=state.text + text,
            confidences=np.concatenate([state.confidences, confidences]),
            last_space=spaces[-1] if spaces else state.last_space,
        )

    def _spell(self, nodes: Sequence[Node]) -> str:
        return "".join(self.labels[node.label] for node in nodes)

    def _agreement(self, state: BeamState, scores: Floats) -> Agreement:
        shares = np.exp(scores - scores.max())
        recent = [self._recent_words(state, path(node)) for node in state.beams.nodes]
        return Agreement(recent, (shares / shares.sum()).tolist())

    def _recent_words(self, state: BeamState, tail: Sequence[Node]) -> list[Span]:
        """Split what follows the last committed space into words: those whose confidence is not committed."""
        start = max(0, state.last_space)
        texts = [self.labels[label] for label in state.labels[start:].tolist()]
        if state.last_space >= 0:
            texts[0] = texts[0].rpartition(" ")[2]
        frames = state.frames[start:].tolist()
        return split_words(
            (*texts, *(self.labels[node.label] for node in tail)), (*frames, *(node.frame for node in tail))
        )

    def _words(self, labels: Sequence[int], frames: Sequence[int], confidences: Sequence[float]) -> tuple[Word, ...]:
        spans = split_words((self.labels[label] for label in labels), frames)
        return tuple(
            Word(span.word, span.first * self.frame_seconds, (span.last + 1) * self.frame_seconds, confidence)
            for span, confidence in zip(spans, confidences, strict=True)
        )


def _require(condition: bool, name: str, value: object, wanted: str) -> None:
    if not condition:
        raise UsageError(f"{name} is {value}; wanted {wanted}")
