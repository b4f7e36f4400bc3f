"""The decision, at the end of a segment, whether all of it is a phrase of a closed grammar.

The search drops prefixes, and lets a phrase compete with the blank and with texts that it favours because letters are
not equally frequent. Here every phrase is scored exactly on the kept frames. The phrase with the largest score is
chosen after each frame's probabilities were divided by those that the labels have on average, and it is accepted if its
own probability is not too far below that of the best path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Any

import numpy as np
import numpy.typing as npt

from edgespeech.errors import UsageError
from edgespeech.runtime.decoder.grammar import UNKNOWN, Grammar
from edgespeech.runtime.decoder.hypothesis import Hypothesis, Partial, Word, join_words
from edgespeech.runtime.decoder.phrases.phrase_scores import PhraseScores, align
from edgespeech.runtime.decoder.search_plan import SearchPlan
from edgespeech.runtime.decoder.word_times import separate_words, split_words

Floats = npt.NDArray[np.float64]

# Of the labels' mean probabilities. On digits, 0.7 makes 15.8 % errors, 0.85 15.4 % and 1 14.9 %.
_PRIOR_POWER = 1.0
_MAX_SECONDS = 20.0  # longer segments are no phrase
_MAX_KEPT_SECONDS = 60.0  # longer ones are left to the search
_MAX_BEGINNINGS = 30_000  # of phrases; more would take longer than the audio does
_INSIDE = 0.25  # of the tolerance of a whole segment, for phrases in other speech
_MAX_SEQUENCES = 16  # of phrases, from the search


@dataclass(frozen=True)
class _Candidate:
    """Labels of a phrase or of a sequence of them, its natural-log probability, and the score that ranks it."""

    spelled: tuple[int, ...]
    log_prob: float
    score: float


class WholePhrases:
    """Scores the phrases of a plan's grammar; use `make_whole_phrases`."""

    def __init__(self, plan: SearchPlan, grammar: Grammar) -> None:
        self._plan, self._grammar = plan, grammar
        self._scores = PhraseScores(sorted(grammar.phrases), plan.labels, plan.blank)
        priors = plan.options.label_priors
        self._offsets = np.zeros(len(plan.labels)) if priors is None else _PRIOR_POWER * np.array(priors)
        self._space = plan.labels.index(" ") if " " in plan.labels else None
        self._max_frames = round(_MAX_SECONDS / plan.options.frame_seconds)
        self._max_kept = round(_MAX_KEPT_SECONDS / plan.options.frame_seconds)

    @property
    def beginnings(self) -> int:
        """Number of distinct beginnings that the phrases have."""
        return self._scores.beginnings

    def step(self, log_probs: npt.ArrayLike, state: object, search: Any) -> tuple[Partial, PhraseState]:
        """Process more frames by the search, and keep them."""
        before = require_state(state)
        partial, after = search.step(log_probs, before.search)
        rows = before.rows
        if rows is not None:
            rows = None if after.frame > self._max_kept else (*rows, np.array(log_probs))
        return partial, PhraseState(after, rows)

    def finish(self, state: object, search: Any, nbest: int | None) -> list[Hypothesis]:
        """Return the hypotheses at the end of a segment, best first."""
        after = require_state(state)
        found: list[Hypothesis] = search.finish(after.search, None)
        if not after.rows:
            return found[:nbest]
        return self.decide(np.concatenate(after.rows).astype(np.float64), found, nbest)

    def decide(self, rows: Floats, found: Sequence[Hypothesis], nbest: int | None) -> list[Hypothesis]:
        """Return the hypotheses of a segment, best first, with the accepted phrase before those of the search.

        Args:
            rows: Natural-log probabilities [frames, labels] of the segment.
            found: All hypotheses of the search, best first.
            nbest: Maximum number of hypotheses; None for all.
        """
        segment = _Segment(rows, self._plan.blank, self._space)
        best, total = self._choose(segment, found) if len(rows) <= self._max_frames else (None, 0.0)
        chosen = [] if best is None else [self._hypothesis(best, total, segment, found[0])]
        texts = {one.text for one in chosen}
        for one in found:
            if len(chosen) == nbest:
                break
            checked = self._check(one, segment)
            if checked.text not in texts:
                texts.add(checked.text)
                chosen.append(checked)
        return chosen

    def _choose(self, segment: _Segment, found: Sequence[Hypothesis]) -> tuple[_Candidate | None, float]:
        """Return the phrase that all of a segment is, and the score of all phrases together."""
        known = self._grammar.phrases
        texts = (one.text for one in found if one.words and one.text not in known and UNKNOWN not in one.text)
        sequences = tuple(islice(texts, _MAX_SEQUENCES))
        candidates = self._candidates(self._scores, segment)
        if sequences:
            longer = self._candidates(PhraseScores(sequences, self._plan.labels, self._plan.blank), segment)
            # The priors favour longer texts, and phrases with other speech between them may be better.
            least = max((one.log_prob for one in candidates), default=-np.inf)
            least = max(least, found[0].score) if UNKNOWN in found[0].text else least
            candidates += [one for one in longer if one.log_prob > least]
        if not candidates:
            return None, 0.0
        best = max(candidates, key=lambda one: one.score)
        near = best.log_prob >= segment.best + self._allowed(segment.letters)
        total = float(np.logaddexp.reduce([one.score for one in candidates]))
        return (best if near and self._evidence(best, segment) > 0.0 else None), total

    def _evidence(self, candidate: _Candidate, segment: _Segment) -> float:
        """Return the score of a phrase above that of the blank in every frame."""
        blank = self._plan.blank
        return candidate.score - float((segment.rows[:, blank] - self._offsets[blank]).sum())

    def _candidates(self, scores: PhraseScores, segment: _Segment) -> list[_Candidate]:
        """Return the phrases, or none if none of them can be near enough to the best path."""
        least = segment.best + self._allowed(segment.letters)
        log_probs = scores.log_probs(segment.rows, least)
        if log_probs is None:
            return []
        ranked = scores.log_probs(segment.rows - self._offsets)
        assert ranked is not None
        return list(map(_Candidate, scores.spelled, log_probs.tolist(), ranked.tolist()))

    def _allowed(self, letters: int) -> float:
        """Return how far, below 0, a phrase may be below a best path with this number of letters."""
        assert self._plan.options.filler_score is not None
        return self._plan.options.filler_score * max(1, letters)

    def _check(self, hypothesis: Hypothesis, segment: _Segment) -> Hypothesis:
        """Replace phrases that are too far below the best path between their neighbours by the mark."""
        words = hypothesis.words
        texts = [word.word for word in words]
        other = [text == UNKNOWN for text in texts]
        failed = [span for span in self._grammar.hot_words.find(texts) if not self._holds(words, span, segment)]
        if not failed:
            return hypothesis
        for first, last in failed:
            other[first:last] = [True] * (last - first)
        kept: list[Word] = []
        for is_other, group in groupby(range(len(words)), other.__getitem__):
            run = [words[index] for index in group]
            confidence = min(word.confidence for word in run)
            mark = Word(UNKNOWN, run[0].start, run[-1].end, confidence, joined=run[0].joined)
            kept.extend([mark] if is_other else run)
        return replace(hypothesis, text=join_words(kept), words=tuple(kept))

    def _holds(self, words: Sequence[Word], span: tuple[int, int], segment: _Segment) -> bool:
        first, last = span
        seconds = self._plan.options.frame_seconds
        begin = segment.begin(
            round(words[first - 1].end / seconds) if first else 0, round(words[first].start / seconds)
        )
        end = segment.end(
            round(words[last - 1].end / seconds),
            round(words[last].start / seconds) if last < len(words) else len(segment.rows),
        )
        phrase = self._plan.gap.join(word.word for word in words[first:last])
        scores = PhraseScores((phrase,), self._plan.labels, self._plan.blank)
        part = segment.part(begin, end)
        least = part.best + _INSIDE * self._allowed(part.letters)
        log_probs = scores.log_probs(part.rows, least)
        return log_probs is not None and float(log_probs[0]) >= least

    def _hypothesis(self, best: _Candidate, total: float, segment: _Segment, found: Hypothesis) -> Hypothesis:
        options, rows = self._plan.options, segment.rows
        frames = align(rows, best.spelled, self._plan.blank, self._space)
        pieces = [separate_words(self._plan.labels[label], self._plan.by_characters) for label in best.spelled]
        label_scores = [float(rows[frame, label]) for frame, label in zip(frames, best.spelled, strict=True)]
        share = float(np.exp(best.score - total))
        words = tuple(
            Word(
                span.word,
                span.first * options.frame_seconds,
                (span.last + 1) * options.frame_seconds,
                span.certainty(options.confidence_power) * share,
                joined=index > 0 and not self._plan.gap,
            )
            for index, span in enumerate(split_words(pieces, frames, label_scores))
        )
        preferred = max(0.0, found.score - best.log_prob)
        evidence = None if options.label_priors is None else self._evidence(best, segment)
        return Hypothesis(
            text=join_words(words),
            words=words,
            score=best.log_prob + preferred,
            acoustic_score=best.log_prob,
            lm_score=0.0,
            labels=best.spelled,
            frames=tuple(frames),
            hot_word_score=preferred,
            phrase_evidence=evidence,
        )


class _Segment:
    """Log-probabilities of a segment or a part of one, its best path, and the number of letters on it."""

    def __init__(self, rows: Floats, blank: int, space: int | None) -> None:
        self.rows, self._blank, self._space = rows, blank, space
        path = rows.argmax(axis=1).tolist()
        self._silent = [label in (blank, space) for label in path]
        self.letters = sum(label not in (blank, space) for label, _ in groupby(path))
        self.best = float(rows.max(axis=1).sum())

    def part(self, begin: int, end: int) -> _Segment:
        return _Segment(self.rows[begin:end], self._blank, self._space)

    def begin(self, first: int, last: int) -> int:
        """Return the first silent frame in this range, or its end: a letter may last longer than the word before."""
        return next((frame for frame in range(first, last) if self._silent[frame]), max(0, last))

    def end(self, first: int, last: int) -> int:
        """Return the frame behind the last silent one in this range, or its beginning."""
        return next((frame + 1 for frame in range(last - 1, first - 1, -1) if self._silent[frame]), first)


@dataclass(frozen=True)
class PhraseState:
    """A search with a grammar between two frames, with the frames so far.

    Attributes:
        search: State of the search.
        rows: Log-probabilities of the steps so far, each [frames, labels]; None once they are too many.
    """

    search: Any
    rows: tuple[npt.NDArray[Any], ...] | None = ()

    @property
    def frame(self) -> int:
        """Number of frames that were processed so far."""
        frame: int = self.search.frame
        return frame

    @property
    def committed_labels(self) -> int:
        """Number of labels that no later frame can change."""
        labels: int = self.search.committed_labels
        return labels


def make_whole_phrases(plan: SearchPlan) -> WholePhrases | None:
    """Return what scores the phrases of a plan's grammar; None if nothing does.

    Raises:
        UsageError: The label priors are not as many as the labels.
    """
    priors = plan.options.label_priors
    if priors is not None and len(priors) != len(plan.labels):
        raise UsageError(f"{len(priors)} label priors for {len(plan.labels)} labels; wanted one for each")
    if plan.grammar is None or not plan.options.whole_phrases or any(len(text) > 1 for text in plan.labels):
        return None
    phrases = WholePhrases(plan, plan.grammar)
    return phrases if phrases.beginnings <= _MAX_BEGINNINGS else None


def require_state(state: object) -> PhraseState:
    """Return a state, or raise UsageError if it is one of a search alone."""
    if not isinstance(state, PhraseState):
        raise UsageError("state is from another decoder; wanted one of this decoder")
    return state
