"""One frame of CTC prefix beam search over parallel arrays; what happens between frames is not its business.

Two ways lead to a prefix in a new frame: it stays (blank, or its last label goes on) or a shorter one is extended. Only
a prefix that stays can be met by an extension, and that extension then comes from its parent; so merging is exact once
each beam knows where, if anywhere, its parent is in the beam. It works for parents that were dropped and come back.

Sources: A. Hannun et al., "First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent
DNNs" (2014), algorithm 1; D. Amodei et al., "Deep Speech 2" (2015), sections 3.8 and 7 (the choice of symbols).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgespeech.runtime.decoder.log_probs import Frame
from edgespeech.runtime.decoder.prefix_states import Places
from edgespeech.runtime.decoder.prefix_trie import (
    DEPTH,
    FIELDS,
    FRAME,
    HASH,
    HEARD,
    LABEL,
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
# the highest of the second so far (its frame is the label's emission frame), what complete words have added, and what
# the part of a word has added as well.
BLANK, NONBLANK, ACOUSTIC, PEAK, COMPLETE, BONUS = range(6)
# Rows of Beams.prefixes: a record of the trie, and then the parent's hash, the parent's row (-1: not among the beams),
# whether the last two labels are the same, and the row of the place between two spaces.
PARENT_HASH, PARENT_ROW, DOUBLED, PLACE = range(FIELDS, FIELDS + 4)
_LOWEST = float(np.finfo(np.float64).min)


class Beams(NamedTuple):
    """The prefixes alive, one per column; a value that is never changed.

    Attributes:
        scores: float64 [6, beams].
        prefixes: int64 [10, beams].
        histories: [beams], the complete words of each.
    """

    scores: Floats
    prefixes: Integers
    histories: npt.NDArray[np.object_]

    @property
    def totals(self) -> Floats:
        """What prefixes are ranked by."""
        totals: Floats = self.scores[ACOUSTIC] + self.scores[BONUS]
        return totals

    def take(self, columns: Indices) -> Beams:
        """Keep the beams of these columns."""
        prefixes = self.prefixes.take(columns, axis=1)
        prefixes[PARENT_ROW] = _moved(prefixes[PARENT_ROW], self.prefixes.shape[1], columns)
        return Beams(self.scores.take(columns, axis=1), prefixes, self.histories.take(columns))


class Extensions(NamedTuple):
    """Prefixes that are one label longer than a beam.

    Attributes:
        rows: The beam of each.
        labels: Its label.
        acoustic: Natural log of its alignments.
        bonus: What it has as :data:`BONUS`; at most, if its label may end a word.
    """

    rows: Indices
    labels: Indices
    acoustic: Floats
    bonus: Floats


class FrameSearch:
    """Takes beams over one frame.

    Args:
        crosses: For each label, whether it can end a word.
        blank: Index of the blank.
        beam_width: Number of prefixes kept.
        beam_threshold: Prefixes whose score is further below the best are dropped; None keeps them.
        label_scores: [labels], natural log added for each label of a prefix; None for nothing.
    """

    def __init__(
        self,
        crosses: Sequence[bool],
        blank: int,
        beam_width: int,
        beam_threshold: float | None,
        label_scores: Floats | None = None,
    ) -> None:
        """Draw the labels' hash keys."""
        self._crosses = np.array(crosses, dtype=bool)
        self._blank = blank
        self._beam_width = beam_width
        self._beam_threshold = np.inf if beam_threshold is None else beam_threshold
        self._label_scores = label_scores
        self._keys = label_keys(len(crosses))

    def begin(self, history: History) -> Beams:
        """Return the one beam before the first frame: the empty prefix."""
        scores = np.array([[0.0], [-np.inf], [0.0], [-np.inf], [0.0], [0.0]])
        prefixes = np.array([[ROOT_HASH], [0], [self._blank], [-1], [0], [-1], [0], [-1], [0], [0]], dtype=np.int64)
        histories = np.empty(1, dtype=object)
        histories[0] = history
        return Beams(scores, prefixes, histories)

    def advance(self, beams: Beams, frame: Frame, trie: Trie, places: Places) -> Beams:
        """Take the beams over one frame.

        Args:
            beams: The prefixes before the frame.
            frame: What it says.
            trie: Grows by the prefixes that get longer ones.
            places: The table of the beams' places.

        Returns:
            The prefixes after the frame, no more than the width.
        """
        stayed = self._stay(beams, frame, trie)
        if len(frame.symbols) == 1:  # nothing but the blank
            return stayed
        totals = stayed.totals
        count = len(totals)
        longer = self._extend(beams, frame, places, self._floor(totals))
        totals = np.concatenate([totals, longer.acoustic + longer.bonus])
        self._end_words(beams, longer, totals, places)
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
        self._name(prefixes[:, kept:], labels, trie.add(beams.prefixes[:FIELDS].take(sources, axis=1)), frame)
        prefixes[PARENT_ROW, kept:] = sources
        prefixes[PARENT_ROW] = _moved(prefixes[PARENT_ROW], count, staying)
        _adopt(prefixes, kept)
        histories = stayed.histories.take(taken)
        rows = places.after[prefixes[PLACE, kept:], labels]
        for index in (rows == 0).nonzero()[0].tolist():
            column, row, label = kept + index, int(prefixes[PLACE, kept + index]), int(labels[index])
            if not self._crosses[label]:
                rows[index] = places.follow(row, label)
                continue
            before = histories[column]
            histories[column], rows[index] = places.cross(before, row, label)
            scores[COMPLETE, column] += places.scorer.bonus(histories[column]) - places.scorer.bonus(before)
        prefixes[PLACE, kept:] = rows
        return Beams(scores, prefixes, histories)

    def _stay(self, beams: Beams, frame: Frame, trie: Trie) -> Beams:
        """Let each prefix go on with blank, its last label, or (where the parent lives) its last label once more."""
        blank, nonblank, acoustic, peak, _, _ = beams.scores
        parents = beams.prefixes[PARENT_ROW]
        heard = frame.log_probs.take(beams.prefixes[LABEL])
        arriving = np.where(beams.prefixes[DOUBLED], blank.take(parents), acoustic.take(parents))
        arriving += heard
        arriving[parents < 0] = -np.inf
        repeated = nonblank + heard
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
        prefixes[HEARD, rising] = heard.view(np.int64).take(rising)
        renewed = rising[arriving.take(rising) > repeated.take(rising)]
        if len(renewed):
            first = trie.add(beams.prefixes[:FIELDS].take(parents.take(renewed), axis=1))
            prefixes[PARENT, renewed] = np.arange(first, trie.size)
        return Beams(scores, prefixes, beams.histories)

    def _extend(self, beams: Beams, frame: Frame, places: Places, floor: float) -> Extensions:
        """Find the extensions that may score the floor or more, without those that :meth:`_stay` has merged."""
        scores, prefixes = beams.scores, beams.prefixes
        count, width = scores.shape[1], len(frame.symbols)
        acoustic = np.empty((count + 1, width))  # one row more, for parents that are not there
        np.add(scores[ACOUSTIC, :, None], frame.log_probs.take(frame.symbols), out=acoustic[:count])
        cells = acoustic.ravel()
        last = prefixes[LABEL]
        columns = frame.columns.take(last)
        cells[np.arange(0, count * width, width) + columns] = scores[BLANK] + frame.log_probs.take(last)
        cells[prefixes[PARENT_ROW] * width + columns] = -np.inf
        acoustic[:, -1] = -np.inf
        labels = places.worth.shape[1]
        bonus = places.worth.ravel().take((prefixes[PLACE] * labels)[:, None] + frame.symbols)
        bonus += scores[COMPLETE, :, None]
        if self._label_scores is not None:
            bonus += self._label_scores.take(frame.symbols)
        likely = ((acoustic[:count] + bonus).ravel() >= floor).nonzero()[0]
        rows = likely // width
        symbols = likely - rows * width
        return Extensions(rows, frame.symbols.take(symbols), cells.take(likely), bonus.ravel().take(likely))

    def _end_words(self, beams: Beams, longer: Extensions, totals: Floats, places: Places) -> None:
        """Ask what words are worth that a label may end, where an extension could survive with the most that they may.

        Args:
            beams: Before the frame.
            longer: Extensions; their bonus is set right.
            totals: Of the beams and then of the extensions; those that may end words are set right.
            places: The table of the beams' places.
        """
        crossing = self._crosses.take(longer.labels).nonzero()[0]
        if not len(crossing):
            return
        offset = len(totals) - len(longer.rows)
        hoped = totals.take(crossing + offset)
        totals[crossing + offset] = -np.inf
        likely = crossing[hoped >= self._floor(totals)]
        if not len(likely):
            return
        rows, labels = longer.rows.take(likely), longer.labels.take(likely)
        bonus = beams.scores[COMPLETE].take(rows)
        bonus += places.gains(beams.histories.take(rows).tolist(), beams.prefixes[PLACE].take(rows), labels)
        if self._label_scores is not None:
            bonus += self._label_scores.take(labels)
        longer.bonus[likely] = bonus
        totals[likely + offset] = longer.acoustic.take(likely) + bonus

    def _floor(self, totals: Floats) -> float:
        """Return the score that prefixes need, by width and threshold."""
        floor = float(totals.max()) - self._beam_threshold
        surplus = len(totals) - self._beam_width
        if surplus >= 0:
            floor = max(floor, float(np.partition(totals, surplus)[surplus] if surplus else totals.min()))
        return max(floor, _LOWEST)

    def _choose(self, totals: Floats) -> Indices:
        """Return where the best prefixes are, ascending."""
        chosen = (totals >= self._floor(totals)).nonzero()[0]
        if len(chosen) > self._beam_width:  # some are equal
            chosen = np.sort(chosen[totals[chosen].argpartition(-self._beam_width)[-self._beam_width :]])
        return chosen

    def _name(self, prefixes: Integers, labels: Indices, first: int, frame: Frame) -> None:
        """Turn copies of beams into the prefixes one label longer; the beams' own records begin at ``first``."""
        prefixes[PARENT_HASH] = prefixes[HASH]
        prefixes[HASH] = extend_hashes(prefixes[HASH], self._keys.take(labels))
        prefixes[DEPTH] += 1
        prefixes[DOUBLED] = prefixes[LABEL] == labels
        prefixes[LABEL] = labels
        prefixes[FRAME] = frame.number
        prefixes[HEARD] = frame.log_probs.take(labels).view(np.int64)
        prefixes[PARENT] = np.arange(first, first + len(labels))


def _moved(rows: Integers, count: int, taken: Indices) -> Integers:
    """Tell where rows of so many beams are among those that were taken; -1 for nowhere."""
    places = np.empty(count + 1, np.int64)
    places.fill(-1)  # the last one answers for row -1
    places[taken] = np.arange(len(taken))
    return places.take(rows)


def _adopt(prefixes: Integers, kept: int) -> None:
    """Find the parents of beams whose parent had been dropped among those that are new, from column ``kept`` on."""
    born = dict(zip(prefixes[HASH, kept:].tolist(), range(kept, prefixes.shape[1]), strict=True))
    wanted = prefixes[PARENT_HASH, :kept].tolist()
    if not born.keys().isdisjoint(wanted):
        for orphan, parent in enumerate(wanted):
            if parent in born:
                prefixes[PARENT_ROW, orphan] = born[parent]
