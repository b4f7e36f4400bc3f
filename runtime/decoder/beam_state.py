"""The state of a search between two frames: its text so far, and the commitment of labels that keeps it small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgespeech.runtime.decoder.prefix_beams import Beams, Floats
from edgespeech.runtime.decoder.prefix_states import PrefixStates
from edgespeech.runtime.decoder.prefix_trie import FIELDS, PARENT, Branches, Trie, spell
from edgespeech.runtime.decoder.word_times import NO_WORD, Span, agree, split_words

_MIN_COMMIT_LABELS = 32  # committing fewer would cost more than it saves


@dataclass(frozen=True)
class Partial:
    """Text that has been recognised so far, ``committed + tentative``.

    Attributes:
        text: Text of the best prefix.
        committed: Beginning that all surviving prefixes share; it only grows.
        tentative: The rest, which may still change.
    """

    text: str
    committed: str
    tentative: str


@dataclass(frozen=True, eq=False)
class BeamState:
    """A search between two frames; never changed in place, so that one state can be continued many times."""

    frame: int  # number of frames processed
    beams: Beams
    trie: Trie  # the labels of the beams that are not committed
    prefix_states: PrefixStates
    labels: npt.NDArray[np.int32]  # committed labels, and below their emission frames, log-probabilities and text
    frames: npt.NDArray[np.int32]
    log_probs: Floats
    text: str
    masses: Floats  # for each complete committed word, the probability of the beams that agreed on it
    begin: Span  # committed part of an incomplete word

    def branches(self) -> Branches:
        """Return the labels that are not committed as a trie that can be walked."""
        return Branches(self.trie, self.beams.prefixes[:FIELDS], len(self.labels))

    def partial(self, labels: Sequence[str]) -> Partial:
        """Return the text so far, with labels of these texts."""
        branches = self.branches()
        path = branches.path(branches.leaves[int(self.beams.totals.argmax())])
        shared = branches.shared_depth() - branches.base
        committed = self.text + spell(labels, branches.labels_of(path[:shared]))
        tentative = spell(labels, branches.labels_of(path[shared:]))
        return Partial(committed + tentative, committed, tentative)

    def spans(self, branches: Branches, beam: int, labels: Sequence[str]) -> list[Span]:
        """Split all labels of a beam into words."""
        tail = branches.path(branches.leaves[beam])
        frames, log_probs = branches.frames, branches.log_probs
        texts = [labels[label] for label in (*self.labels.tolist(), *branches.labels_of(tail))]
        return split_words(
            texts,
            [*self.frames.tolist(), *(frames[column] for column in tail)],
            [*self.log_probs.tolist(), *(log_probs[column] for column in tail)],
        )


def posteriors(totals: Floats) -> Floats:
    """Normalise natural-log scores to probabilities that sum to 1."""
    weights: Floats = np.exp(totals - totals.max())
    weights /= weights.sum()
    return weights


def tidy(state: BeamState, labels: Sequence[str], max_tentative: int | None) -> BeamState:
    """Drop records that no beam needs, and commit the labels that all prefixes share once there are enough of them.

    Alternatives that score nearly the same can survive for ever and keep old labels tentative. Once the best prefix has
    more than ``max_tentative`` labels after the shared ones, the older half is therefore decided in its favour: later
    frames add the same to both sides and will not reverse the decision.
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
    return _commit(state, branches, path[:shared], labels) if shared >= _MIN_COMMIT_LABELS else state


def _commit(state: BeamState, branches: Branches, settled: Sequence[int], labels: Sequence[str]) -> BeamState:
    """Commit the labels of these records, and drop the beams that have others."""
    indices = branches.labels_of(settled)
    all_frames, all_log_probs = branches.frames, branches.log_probs
    frames, log_probs = [all_frames[column] for column in settled], [all_log_probs[column] for column in settled]
    beams, begin = state.beams, state.begin
    agreement = agree(branches, posteriors(beams.totals).tolist(), labels, begin)
    words = split_words([labels[label] for label in indices], frames, log_probs, begin)
    open_word = NO_WORD if not words or labels[indices[-1]].endswith(" ") else words.pop()
    survivors = branches.descendants(settled[-1])
    return replace(
        state,
        beams=beams if len(survivors) == beams.scores.shape[1] else beams.take(np.array(survivors, dtype=np.intp)),
        labels=np.concatenate([state.labels, np.array(indices, dtype=np.int32)]),
        frames=np.concatenate([state.frames, np.array(frames, dtype=np.int32)]),
        log_probs=np.concatenate([state.log_probs, log_probs]),
        text=state.text + spell(labels, indices),
        masses=np.concatenate([state.masses, [agreement.mass(word) for word in words]]),
        begin=open_word,
    )
