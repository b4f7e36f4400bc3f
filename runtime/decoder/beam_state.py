"""A search between two frames: what it holds, what can be shown of it, and what is settled so that it stays small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgespeech.runtime.decoder.prefix_beams import Beams, Floats
from edgespeech.runtime.decoder.prefix_states import Places
from edgespeech.runtime.decoder.prefix_trie import FIELDS, PARENT, Branches, Trie, spell
from edgespeech.runtime.decoder.word_times import NO_WORD, Span, agree, split_words

# How many labels make it worth committing them.
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
        trie: Their labels, as far as they are not committed.
        places: The table that the beams' places are rows of.
        labels: int32, labels that were committed and cut off the trie.
        frames: int32, their emission frames.
        heard: float64, the natural-log probability of each in its frame.
        text: Their text.
        shares: For each word that they complete, the share of probability that agreed when the word was committed.
        begin: What they say of a word that is not complete.
    """

    frame: int
    beams: Beams
    trie: Trie
    places: Places
    labels: npt.NDArray[np.int32]
    frames: npt.NDArray[np.int32]
    heard: Floats
    text: str
    shares: Floats
    begin: Span

    def branches(self) -> Branches:
        """Return what is not committed as a trie that can be walked."""
        return Branches(self.trie, self.beams.prefixes[:FIELDS], len(self.labels))

    def partial(self, labels: Sequence[str]) -> Partial:
        """Return what can be shown, with labels of these texts."""
        branches = self.branches()
        path = branches.path(branches.leaves[int(self.beams.totals.argmax())])
        shared = branches.shared_depth() - branches.base
        committed = self.text + spell(labels, branches.labels_of(path[:shared]))
        tentative = spell(labels, branches.labels_of(path[shared:]))
        return Partial(committed + tentative, committed, tentative)

    def spans(self, branches: Branches, beam: int, labels: Sequence[str]) -> list[Span]:
        """Split all labels of a beam into words."""
        tail = branches.path(branches.leaves[beam])
        frames, heard = branches.frames, branches.heard
        texts = [labels[label] for label in (*self.labels.tolist(), *branches.labels_of(tail))]
        return split_words(
            texts,
            [*self.frames.tolist(), *(frames[column] for column in tail)],
            [*self.heard.tolist(), *(heard[column] for column in tail)],
        )


def shares_of(totals: Floats) -> Floats:
    """Turn natural-log scores into shares of probability."""
    weights: Floats = np.exp(totals - totals.max())
    weights /= weights.sum()
    return weights


def tidy(state: BeamState, labels: Sequence[str], max_tentative: int | None) -> BeamState:
    """Forget what no beam needs, and commit labels that all prefixes share, once there are enough of them.

    A beam never lets go of the closest decisions of its whole past, so labels may stay tentative for ever. Old ones
    are settled for the best prefix: what followed is the same on both sides and will not reverse the decision.

    Args:
        state: After some frames.
        labels: Text of each label.
        max_tentative: Labels by which the best prefix may be longer than what all share; None for no limit.
    """
    beams = state.beams
    trie, parents = state.trie.compact(beams.prefixes[PARENT], len(state.labels))
    prefixes = beams.prefixes.copy()
    prefixes[PARENT] = parents
    state = replace(state, beams=beams._replace(prefixes=prefixes), trie=trie)
    branches, totals = state.branches(), beams.totals
    path = branches.path(branches.leaves[int(totals.argmax())])
    shared = branches.shared_depth() - branches.base
    if max_tentative is not None and len(path) - shared > max_tentative:
        shared = len(path) - max_tentative // 2
    return _commit(state, branches, path[:shared], labels) if shared >= _COMMIT_LABELS else state


def _commit(state: BeamState, branches: Branches, settled: Sequence[int], labels: Sequence[str]) -> BeamState:
    """Take the labels of these records for certain, and drop the beams that have others."""
    indices = branches.labels_of(settled)
    all_frames, all_heard = branches.frames, branches.heard
    frames, heard = [all_frames[column] for column in settled], [all_heard[column] for column in settled]
    beams, begin = state.beams, state.begin
    agreement = agree(branches, shares_of(beams.totals).tolist(), labels, begin)
    words = split_words([labels[label] for label in indices], frames, heard, begin)
    open_word = NO_WORD if not words or labels[indices[-1]].endswith(" ") else words.pop()
    heirs = branches.heirs(settled[-1])
    return replace(
        state,
        beams=beams if len(heirs) == beams.scores.shape[1] else beams.take(np.array(heirs, dtype=np.intp)),
        labels=np.concatenate([state.labels, np.array(indices, dtype=np.int32)]),
        frames=np.concatenate([state.frames, np.array(frames, dtype=np.int32)]),
        heard=np.concatenate([state.heard, heard]),
        text=state.text + spell(labels, indices),
        shares=np.concatenate([state.shares, [agreement.share(word) for word in words]]),
        begin=open_word,
    )
