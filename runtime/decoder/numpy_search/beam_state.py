"""The state of a search between two frames: its text so far, and the commitment of labels that keeps it small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edgespeech.runtime.decoder.hypothesis import Partial
from edgespeech.runtime.decoder.numpy_search.prefix_beams import Beams, Floats
from edgespeech.runtime.decoder.numpy_search.prefix_states import PrefixStates
from edgespeech.runtime.decoder.numpy_search.prefix_trie import FIELDS, PARENT, Branches, Trie, spell
from edgespeech.runtime.decoder.word_times import Agreement, Span, append_label, split_complete_words, split_words

Pieces: TypeAlias = Sequence[Sequence[str]]
"""Texts of each label, divided where words end."""
_MIN_COMMIT_LABELS = 32  # committing fewer would cost more than it saves


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

    @property
    def committed_labels(self) -> int:
        """Number of labels that no later frame can change."""
        return len(self.labels)

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

    def spans(self, branches: Branches, beam: int, word_pieces: Pieces) -> list[Span]:
        """Split all labels of a beam into words."""
        tail = branches.path(branches.leaves[beam])
        frames, log_probs = branches.frames, branches.log_probs
        return split_words(
            [word_pieces[label] for label in (*self.labels.tolist(), *branches.labels_of(tail))],
            [*self.frames.tolist(), *(frames[column] for column in tail)],
            [*self.log_probs.tolist(), *(log_probs[column] for column in tail)],
        )


def posteriors(totals: Floats) -> Floats:
    """Normalise natural-log scores to probabilities that sum to 1."""
    weights: Floats = np.exp(totals - totals.max())
    weights /= weights.sum()
    return weights


def agree(branches: Branches, posteriors: Sequence[float], word_pieces: Pieces, begin: Span) -> Agreement:
    """Add up the words of all beams by their ``posteriors``, visiting each node of the trie once.

    ``begin`` is the committed part of an incomplete word.
    """
    agreement = Agreement()
    masses = [0.0] * branches.leaves.start + list(posteriors)
    for column in reversed(range(len(masses))):
        if branches.parents[column] >= 0:
            masses[branches.parents[column]] += masses[column]
    words = [begin] * len(masses)
    frames = branches.frames
    for column, mass in enumerate(masses):
        if not mass or branches.depths[column] <= branches.base:
            continue
        parent = branches.parents[column]
        ended: list[Span] = []
        before = words[parent] if parent >= 0 else begin
        words[column] = append_label(before, word_pieces[branches.labels[column]], frames[column], 0.0, ended)
        for span in ended:
            agreement.add(span, mass)
    for column in branches.leaves:
        if words[column].word:
            agreement.add(words[column], masses[column])
    return agreement


def tidy(state: BeamState, labels: Sequence[str], word_pieces: Pieces, max_tentative: int | None) -> BeamState:
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
    return _commit(state, branches, path[:shared], labels, word_pieces) if shared >= _MIN_COMMIT_LABELS else state


def _commit(
    state: BeamState, branches: Branches, settled: Sequence[int], labels: Sequence[str], word_pieces: Pieces
) -> BeamState:
    """Commit the labels of these records, and drop the beams that have others."""
    indices = branches.labels_of(settled)
    all_frames, all_log_probs = branches.frames, branches.log_probs
    frames, log_probs = [all_frames[column] for column in settled], [all_log_probs[column] for column in settled]
    beams, begin = state.beams, state.begin
    agreement = agree(branches, posteriors(beams.totals).tolist(), word_pieces, begin)
    words, open_word = split_complete_words([word_pieces[label] for label in indices], frames, log_probs, begin)
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
