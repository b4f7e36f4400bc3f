"""One frame of CTC prefix beam search over parallel arrays.

A prefix of the next frame either stays (blank, or its last label continues) or is an extension of a shorter one. Only a
prefix that stays can equal an extension, and that is then an extension of its parent. Merging is therefore exact if
each beam knows the row of its parent, also of a parent that was dropped and has returned.

Sources: A. Hannun et al., "First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent
DNNs" (2014), algorithm 1; D. Amodei et al., "Deep Speech 2" (2015), sections 3.8 and 7 (the choice of symbols).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgespeech.runtime.decoder.log_probs import Frame
from edgespeech.runtime.decoder.numpy_search.prefix_states import PrefixStates
from edgespeech.runtime.decoder.numpy_search.prefix_trie import (
    DEPTH,
    FIELDS,
    FRAME,
    HASH,
    LABEL,
    LOG_PROB,
    PARENT,
    ROOT_HASH,
    Integers,
    Trie,
    extend_hashes,
    label_keys,
)
from edgespeech.runtime.decoder.word_scorer import History

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

# Rows of Beams.scores, natural logarithms: alignments that end in blank, those that end in the last label, their sum,
# the maximum of the second so far (its frame is the label's emission frame), the score of the complete words, and that
# score with the look-ahead of the incomplete word.
BLANK, NONBLANK, ACOUSTIC, PEAK, COMPLETE, BONUS = range(6)
# Rows of Beams.prefixes: a record of the trie, and then the parent's hash, the parent's row (-1: not among the beams),
# whether the last two labels are the same, and the row of the prefix state.
PARENT_HASH, PARENT_ROW, DOUBLED, STATE = range(FIELDS, FIELDS + 4)
_LOWEST = float(np.finfo(np.float64).min)


class Beams(NamedTuple):
    """The surviving prefixes, one per column; never changed in place."""

    scores: Floats  # [6, beams]
    prefixes: Integers  # [10, beams]
    histories: npt.NDArray[np.object_]  # [beams], complete words of each prefix

    @property
    def totals(self) -> Floats:
        """Scores by which prefixes are ranked, [beams]."""
        totals: Floats = self.scores[ACOUSTIC] + self.scores[BONUS]
        return totals

    def take(self, columns: Indices) -> Beams:
        """Return the beams of these columns."""
        prefixes = self.prefixes.take(columns, axis=1)
        prefixes[PARENT_ROW] = _renumber(prefixes[PARENT_ROW], self.prefixes.shape[1], columns)
        return Beams(self.scores.take(columns, axis=1), prefixes, self.histories.take(columns))


class Extensions(NamedTuple):
    """Prefixes that are one label longer than a beam."""

    rows: Indices  # the beam that each extends
    labels: Indices  # the label that it adds
    acoustic: Floats  # natural-log probability of its alignments
    bonus: Floats  # its `BONUS`; an upper bound if the language model has still to score a word that its label ends


class FrameSearch:
    """Advances beams by one frame.

    Args:
        ends_words: For each label, whether it may end a word.
        bounded: Whether the look-ahead score after such a label is an upper bound, as a language model scores the word.
        blank: Index of the blank.
        beam_width: Number of prefixes kept.
        beam_threshold: Prefixes that score further below the best are dropped; None keeps them.
        label_scores: [labels], natural log added for each label of a prefix; None adds nothing.
    """

    def __init__(
        self,
        ends_words: Sequence[bool],
        bounded: bool,
        blank: int,
        beam_width: int,
        beam_threshold: float | None,
        label_scores: Floats | None = None,
    ) -> None:
        self._ends_words = np.array(ends_words, dtype=bool)
        self._bounded = self._ends_words & bounded
        self._blank = blank
        self._beam_width = beam_width
        self._beam_threshold = np.inf if beam_threshold is None else beam_threshold
        self._label_scores = label_scores
        self._keys = label_keys(len(ends_words))

    def with_threshold(self, beam_threshold: float) -> FrameSearch:
        """Return a search with the lower of two thresholds, this one and its own."""
        search = copy(self)
        search._beam_threshold = min(beam_threshold, self._beam_threshold)
        return search

    def begin(self, history: History) -> Beams:
        """Return the beams before the first frame: the empty prefix alone."""
        scores = np.array([[0.0], [-np.inf], [0.0], [-np.inf], [0.0], [0.0]])
        prefixes = np.array([[ROOT_HASH], [0], [self._blank], [-1], [0], [-1], [0], [-1], [0], [0]], dtype=np.int64)
        histories = np.empty(1, dtype=object)
        histories[0] = history
        return Beams(scores, prefixes, histories)

    def advance(self, beams: Beams, frame: Frame, trie: Trie, states: PrefixStates) -> Beams:
        """Advance the beams by one frame, and add the records of the prefixes that are extended to the trie."""
        stayed = self._stay(beams, frame, trie)
        if len(frame.symbols) == 1:  # only the blank
            return stayed
        totals = stayed.totals
        count = len(totals)
        longer = self._extend(beams, frame, states, self._floor(totals))
        totals = np.concatenate([totals, longer.acoustic + longer.bonus])
        self._end_words(beams, longer, totals, states)
        chosen = self._choose(totals)
        kept = int(chosen.searchsorted(count))
        if kept == len(chosen):
            return stayed if kept == count else stayed.take(chosen)
        staying, fresh = chosen[:kept], chosen[kept:] - count

        labels, sources = longer.labels.take(fresh), longer.rows.take(fresh)
        taken = np.concatenate([staying, sources])
        scores = stayed.scores.take(taken, axis=1)
        scores[BLANK, kept:] = -np.inf
        scores[NONBLANK : PEAK + 1, kept:] = longer.acoustic.take(fresh)
        scores[BONUS, kept:] = longer.bonus.take(fresh)
        if self._label_scores is not None:
            scores[COMPLETE, kept:] += self._label_scores.take(labels)
        prefixes = stayed.prefixes.take(taken, axis=1)
        self._append_labels(prefixes[:, kept:], labels, trie.add(beams.prefixes[:FIELDS].take(sources, axis=1)), frame)
        prefixes[PARENT_ROW, kept:] = sources
        prefixes[PARENT_ROW] = _renumber(prefixes[PARENT_ROW], count, staying)
        _find_parents(prefixes, kept)
        histories = stayed.histories.take(taken)
        rows = states.next_rows[prefixes[STATE, kept:], labels]
        for index in (rows == 0).nonzero()[0].tolist():
            column, row, label = kept + index, int(prefixes[STATE, kept + index]), int(labels[index])
            if not self._ends_words[label]:
                rows[index] = states.follow(row, label)
                continue
            before = histories[column]
            histories[column], rows[index] = states.end_words(before, row, label)
            after = states.scorer.history_score(histories[column])
            scores[COMPLETE, column] += after - states.scorer.history_score(before)
        prefixes[STATE, kept:] = rows
        return Beams(scores, prefixes, histories)

    def _stay(self, beams: Beams, frame: Frame, trie: Trie) -> Beams:
        """Continue each prefix with blank or its last label, and merge the extensions of its parent that equal it."""
        blank, nonblank, acoustic, peak, _, _ = beams.scores
        parents = beams.prefixes[PARENT_ROW]
        label_log_probs = frame.log_probs.take(beams.prefixes[LABEL])
        arriving = np.where(beams.prefixes[DOUBLED], blank.take(parents), acoustic.take(parents))
        arriving += label_log_probs
        arriving[parents < 0] = -np.inf
        repeated = nonblank + label_log_probs
        scores = beams.scores.copy()
        scores[BLANK] = acoustic + frame.log_probs[self._blank]
        np.logaddexp(repeated, arriving, out=scores[NONBLANK])
        np.logaddexp(scores[BLANK], scores[NONBLANK], out=scores[ACOUSTIC])
        rising = (scores[NONBLANK] > peak).nonzero()[0]
        if not len(rising):
            return Beams(scores, beams.prefixes, beams.histories)
        np.maximum(peak, scores[NONBLANK], out=scores[PEAK])
        prefixes = beams.prefixes.copy()
        prefixes[FRAME, rising] = frame.number
        prefixes[LOG_PROB, rising] = label_log_probs.view(np.int64).take(rising)
        renewed = rising[arriving.take(rising) > repeated.take(rising)]
        if len(renewed):
            first = trie.add(beams.prefixes[:FIELDS].take(parents.take(renewed), axis=1))
            prefixes[PARENT, renewed] = np.arange(first, trie.size)
        return Beams(scores, prefixes, beams.histories)

    def _extend(self, beams: Beams, frame: Frame, states: PrefixStates, floor: float) -> Extensions:
        """Find the extensions that may reach the floor, except those that :meth:`_stay` has merged."""
        scores, prefixes = beams.scores, beams.prefixes
        count, width = scores.shape[1], len(frame.symbols)
        acoustic = np.empty((count + 1, width))  # the last row stands for dropped parents
        np.add(scores[ACOUSTIC, :, None], frame.log_probs.take(frame.symbols), out=acoustic[:count])
        cells = acoustic.ravel()
        last = prefixes[LABEL]
        columns = frame.columns.take(last)
        cells[np.arange(0, count * width, width) + columns] = scores[BLANK] + frame.log_probs.take(last)
        cells[prefixes[PARENT_ROW] * width + columns] = -np.inf
        acoustic[:, -1] = -np.inf
        labels = states.lookahead.shape[1]
        bonus = states.lookahead.ravel().take((prefixes[STATE] * labels)[:, None] + frame.symbols)
        bonus += scores[COMPLETE, :, None]
        if self._label_scores is not None:
            bonus += self._label_scores.take(frame.symbols)
        likely = ((acoustic[:count] + bonus).ravel() >= floor).nonzero()[0]
        rows = likely // width
        symbols = likely - rows * width
        return Extensions(rows, frame.symbols.take(symbols), cells.take(likely), bonus.ravel().take(likely))

    def _end_words(self, beams: Beams, longer: Extensions, totals: Floats, states: PrefixStates) -> None:
        """Replace the upper bounds of extensions that end words by exact scores, where the bound could survive.

        ``longer.bonus`` and ``totals``, the scores of the beams and then of the extensions, are corrected in place. Of
        many, those with the best bounds come first, so that the floor is high for the others.
        """
        ending = self._bounded.take(longer.labels).nonzero()[0]
        if not len(ending):
            return
        offset = len(totals) - len(longer.rows)
        bounds = totals.take(ending + offset)
        totals[ending + offset] = -np.inf
        batches = [ending]
        if len(ending) > 2 * self._beam_width:
            order = np.argpartition(-bounds, self._beam_width)
            ending, bounds = ending.take(order), bounds.take(order)
            batches = [ending[: self._beam_width], ending[self._beam_width :]]
        for batch in batches:
            reached, bounds = bounds[: len(batch)] >= self._floor(totals), bounds[len(batch) :]
            likely = batch[reached]
            if not len(likely):
                return
            rows, labels = longer.rows.take(likely), longer.labels.take(likely)
            bonus = beams.scores[COMPLETE].take(rows)
            bonus += states.gains(beams.histories.take(rows).tolist(), beams.prefixes[STATE].take(rows), labels)
            if self._label_scores is not None:
                bonus += self._label_scores.take(labels)
            longer.bonus[likely] = bonus
            totals[likely + offset] = longer.acoustic.take(likely) + bonus

    def _floor(self, totals: Floats) -> float:
        """Return the lowest score that survives, by width and threshold."""
        floor = float(totals.max()) - self._beam_threshold
        surplus = len(totals) - self._beam_width
        if surplus >= 0:
            floor = max(floor, float(np.partition(totals, surplus)[surplus] if surplus else totals.min()))
        return max(floor, _LOWEST)

    def _choose(self, totals: Floats) -> Indices:
        """Return the indices of the best prefixes, ascending; of several with the lowest score the first ones."""
        floor = self._floor(totals)
        chosen = (totals >= floor).nonzero()[0]
        surplus = len(chosen) - self._beam_width
        if surplus > 0:
            chosen = np.delete(chosen, (totals[chosen] == floor).nonzero()[0][-surplus:])
        return chosen

    def _append_labels(self, prefixes: Integers, labels: Indices, first: int, frame: Frame) -> None:
        """Turn copies of beams into the prefixes one label longer; the records of the beams begin at ``first``."""
        prefixes[PARENT_HASH] = prefixes[HASH]
        prefixes[HASH] = extend_hashes(prefixes[HASH], self._keys.take(labels))
        prefixes[DEPTH] += 1
        prefixes[DOUBLED] = prefixes[LABEL] == labels
        prefixes[LABEL] = labels
        prefixes[FRAME] = frame.number
        prefixes[LOG_PROB] = frame.log_probs.take(labels).view(np.int64)
        prefixes[PARENT] = np.arange(first, first + len(labels))


def _renumber(rows: Integers, count: int, taken: Indices) -> Integers:
    """Return the new numbers of rows of ``count`` beams of which some were taken; -1 for the others."""
    numbers = np.empty(count + 1, np.int64)
    numbers.fill(-1)  # the last entry is that of row -1
    numbers[taken] = np.arange(len(taken))
    return numbers.take(rows)


def _find_parents(prefixes: Integers, kept: int) -> None:
    """Find parents that had been dropped and have returned: columns from ``kept`` on that are parents of the others."""
    returned = dict(zip(prefixes[HASH, kept:].tolist(), range(kept, prefixes.shape[1]), strict=True))
    wanted = prefixes[PARENT_HASH, :kept].tolist()
    if not returned.keys().isdisjoint(wanted):
        for orphan, parent in enumerate(wanted):
            if parent in returned:
                prefixes[PARENT_ROW, orphan] = returned[parent]
