"""One frame of CTC prefix beam search over parallel arrays; what happens between frames is not its business.

Two ways lead to a prefix in a new frame: it stays (blank, or its last label goes on) or a shorter one is extended. Only
a prefix that stays can be met by an extension, and that extension then comes from its parent; so merging is exact once
each beam knows where, if anywhere, its parent is in the beam. It works for parents that were dropped and come back.

Sources: A. Hannun et al., "First-Pass Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent
DNNs" (2014), algorithm 1; D. Amodei et al., "Deep Speech 2" (2015), sections 3.8 and 7 (the choice of symbols).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgespeech.runtime.prefix_trie import ROOT_HASH, Node, extend_hashes, label_keys, root
from edgespeech.runtime.word_scorer import WordContext, WordScorer

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Beams:
    """The prefixes alive, one per row [beams]; natural logarithms.

    Attributes:
        hashes: Hash of each prefix.
        parent_hashes: Hash of the prefix without its last label.
        parents: Row of the parent, -1 where it is not among the beams.
        last: Last label; the blank for the empty prefix.
        blank: log p of the alignments that end in blank.
        nonblank: log p of the alignments that end in the last label.
        peak: Highest ``nonblank`` so far; the frame of it is the emission frame of the last label.
        bonus: What words have added to the score.
        gains: [beams, labels], what each label would add to ``bonus``; NaN where nobody has asked yet.
        nodes: Labels and emission frames.
        contexts: Where each prefix stands between words.
    """

    hashes: Hashes
    parent_hashes: Hashes
    parents: Indices
    last: Indices
    blank: Floats
    nonblank: Floats
    peak: Floats
    bonus: Floats
    gains: Floats
    nodes: Sequence[Node]
    contexts: Sequence[WordContext]

    @property
    def acoustic(self) -> Floats:
        """Natural log p_ctc of each prefix."""
        return np.logaddexp(self.blank, self.nonblank)

    def take(self, rows: Indices) -> Beams:
        """Keep the beams of these rows."""
        return _with_parents(
            Beams(
                hashes=self.hashes[rows],
                parent_hashes=self.parent_hashes[rows],
                parents=rows,
                last=self.last[rows],
                blank=self.blank[rows],
                nonblank=self.nonblank[rows],
                peak=self.peak[rows],
                bonus=self.bonus[rows],
                gains=self.gains[rows],
                nodes=[self.nodes[row] for row in rows.tolist()],
                contexts=[self.contexts[row] for row in rows.tolist()],
            )
        )


class FrameSearch:
    """Takes beams over one frame.

    Args:
        scorer: What words add to the score.
        labels: Number of labels, blank included.
        blank: Index of the blank.
        beam_width: Number of prefixes kept.
        beam_threshold: Prefixes whose score is further below the best are dropped; None keeps them.
    """

    def __init__(
        self, scorer: WordScorer, labels: int, blank: int, beam_width: int, beam_threshold: float | None
    ) -> None:
        """Draw the labels' hash keys."""
        self._scorer = scorer
        self._blank = blank
        self._beam_width = beam_width
        self._beam_threshold = np.inf if beam_threshold is None else beam_threshold
        self._labels = labels
        self._keys = label_keys(labels)

    def begin(self) -> Beams:
        """Return the one beam before the first frame: the empty prefix."""
        context = self._scorer.begin()
        return Beams(
            hashes=np.array([ROOT_HASH], dtype=np.uint64),
            parent_hashes=np.zeros(1, dtype=np.uint64),
            parents=np.array([-1], dtype=np.intp),
            last=np.array([self._blank], dtype=np.intp),
            blank=np.zeros(1),
            nonblank=np.full(1, -np.inf),
            peak=np.full(1, -np.inf),
            bonus=np.array([context.bonus]),
            gains=self._scorer.gains([context]),
            nodes=[root()],
            contexts=[context],
        )

    def advance(self, beams: Beams, row: Floats, symbols: Indices, frame: int) -> Beams:
        """Take the beams over one frame.

        Args:
            beams: The prefixes before the frame.
            row: [labels], natural log probabilities of the frame.
            symbols: The labels that may extend a prefix, without the blank. None of them: the short cut for frames
                where blank is almost certain, in which the prefixes stay what they are.
            frame: Index of the frame since the beginning.

        Returns:
            The prefixes after the frame, no more than ``beam_width``.
        """
        stayed = self._stay(beams, row, frame)
        if not len(symbols):
            return stayed
        extended = self._extend(beams, row, symbols)
        gains, fresh = self._work_out_gains(beams, symbols, extended > -np.inf)
        stayed = replace(stayed, gains=gains)
        with np.errstate(invalid="ignore"):
            scores = extended + (beams.bonus[:, None] + gains[:, symbols])
        scores[extended == -np.inf] = -np.inf
        chosen = self._choose(np.concatenate([stayed.acoustic + stayed.bonus, scores.ravel()]))
        staying = chosen[chosen < len(beams.last)]
        rows, columns = np.divmod(chosen[chosen >= len(beams.last)] - len(beams.last), len(symbols))
        if not len(rows):
            return stayed if len(staying) == len(beams.last) else stayed.take(staying)

        kept = stayed.take(staying)
        new_labels = symbols[columns]
        new_hashes = extend_hashes(beams.hashes[rows], self._keys[new_labels])
        nonblank = extended[rows, columns]
        contexts, nodes = [], []
        for source, label, prefix in zip(rows.tolist(), new_labels.tolist(), new_hashes.tolist(), strict=True):
            context = fresh.get((source, label)) or self._scorer.extend(beams.contexts[source], label)
            contexts.append(context)
            parent = beams.nodes[source]
            nodes.append(Node(parent, label, frame, prefix, parent.depth + 1))
        return _with_parents(
            Beams(
                hashes=np.concatenate([kept.hashes, new_hashes]),
                parent_hashes=np.concatenate([kept.parent_hashes, beams.hashes[rows]]),
                parents=kept.parents,
                last=np.concatenate([kept.last, new_labels]),
                blank=np.concatenate([kept.blank, np.full(len(rows), -np.inf)]),
                nonblank=np.concatenate([kept.nonblank, nonblank]),
                peak=np.concatenate([kept.peak, nonblank]),
                bonus=np.concatenate([kept.bonus, [context.bonus for context in contexts]]),
                gains=np.concatenate([kept.gains, self._scorer.gains(contexts)]),
                nodes=[*kept.nodes, *nodes],
                contexts=[*kept.contexts, *contexts],
            )
        )

    def _stay(self, beams: Beams, row: Floats, frame: int) -> Beams:
        """Let each prefix go on with blank, its last label, or (where the parent lives) its last label once more."""
        acoustic = beams.acoustic
        heard = row[beams.last]
        repeated = beams.nonblank + heard
        parents = beams.parents
        same = beams.last[parents] == beams.last
        arriving = heard + np.where(same, beams.blank[parents], acoustic[parents])
        arriving[parents < 0] = -np.inf
        nonblank = np.logaddexp(repeated, arriving)

        nodes = list(beams.nodes)
        for index in np.flatnonzero(nonblank > beams.peak).tolist():
            node = nodes[index]
            parent = beams.nodes[int(parents[index])] if arriving[index] > repeated[index] else node.parent
            if parent is not None:  # without a parent it is committed
                nodes[index] = Node(parent, node.label, frame, node.hash, node.depth)
        return replace(
            beams,
            blank=acoustic + row[self._blank],
            nonblank=nonblank,
            peak=np.maximum(beams.peak, nonblank),
            nodes=nodes,
        )

    def _extend(self, beams: Beams, row: Floats, symbols: Indices) -> Floats:
        """Score the extensions [beams, symbols]; minus infinity for those that :meth:`_stay` has merged already."""
        extended: Floats = beams.acoustic[:, None] + row[symbols]
        column_of = np.full(self._labels, -1, dtype=np.intp)
        column_of[symbols] = np.arange(len(symbols))
        columns = column_of[beams.last]
        rows = np.flatnonzero(columns >= 0)
        columns = columns[rows]
        extended[rows, columns] = beams.blank[rows] + row[beams.last[rows]]
        parents = beams.parents[rows]
        extended[parents[parents >= 0], columns[parents >= 0]] = -np.inf
        return extended

    def _work_out_gains(
        self, beams: Beams, symbols: Indices, wanted: npt.NDArray[np.bool_]
    ) -> tuple[Floats, dict[tuple[int, int], WordContext]]:
        """Fill in the unknown gains of the wanted extensions; also return the contexts met on the way."""
        rows, columns = np.nonzero(np.isnan(beams.gains[:, symbols]) & wanted)
        if not len(rows):
            return beams.gains, {}
        labels = symbols[columns]
        fresh = {
            (row, label): self._scorer.extend(beams.contexts[row], label)
            for row, label in zip(rows.tolist(), labels.tolist(), strict=True)
        }
        gains = beams.gains.copy()
        gains[rows, labels] = np.array([context.bonus for context in fresh.values()]) - beams.bonus[rows]
        return gains, fresh

    def _choose(self, scores: Floats) -> Indices:
        """Return the best candidates' indices, ascending, by width and threshold."""
        floor = max(scores.max() - self._beam_threshold, np.finfo(np.float64).min)
        chosen = np.flatnonzero(scores >= floor)
        if len(chosen) > self._beam_width:
            best = np.argpartition(-scores[chosen], self._beam_width - 1)[: self._beam_width]
            chosen = np.sort(chosen[best])
        return chosen


def _with_parents(beams: Beams) -> Beams:
    """Look up the row of each beam's parent."""
    order = np.argsort(beams.hashes)
    places = np.minimum(np.searchsorted(beams.hashes[order], beams.parent_hashes), len(order) - 1)
    found = order[places]
    return replace(beams, parents=np.where(beams.hashes[found] == beams.parent_hashes, found, -1))
