"""Where in a recording each sentence of its text is, if anywhere: by the characters that the model recognises.

Sentences may be missing on either side, and may be in another order. Runs of characters that a sentence and the
recognised text have in common vote for a place (seed and vote, as in BLAST); the longest chain of sentences that are in
the order of the text is taken first, then those out of order, then short ones between neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz

SEED = 6  # characters
MAX_SEED_PLACES = 300  # more frequent runs of characters say nothing
MAX_CANDIDATES = 4  # of a sentence
MIN_VOTES = 3
MIN_SIMILARITY = 55.0  # of 100, of a sentence that continues the order; the filters behind are stricter
MIN_MOVED_SIMILARITY, MIN_MOVED_LENGTH = 65.0, 20  # of one out of order
MIN_SHORT_SIMILARITY = 65.0  # of one found between its neighbours
MAX_OVERLAP = 0.2  # of a sentence, with one that is placed

Places = NDArray[np.int64]


@dataclass(frozen=True)
class Place:
    """A sentence and where it is.

    Attributes:
        sentence: Its index.
        reading: Index of the reading that fits best, if there are several.
        start, end: Characters of the recognised text, of which it has about as many.
        similarity: From 0 to 100.
    """

    sentence: int
    reading: int
    start: int
    end: int
    similarity: float

    @property
    def weight(self) -> float:
        """What it counts in a chain."""
        return (self.end - self.start) * (self.similarity - MIN_SIMILARITY / 2.0)


def place_sentences(sentences: Sequence[Sequence[str]], recognised: str) -> list[Place]:
    """Find the places of sentences, each of which has one or more readings, ordered by sentence."""
    candidates = list(_candidates(sentences, _Seeds(recognised)))
    chain = _heaviest_chain(candidates)
    taken = _Taken(chain)
    for one in sorted(candidates, key=lambda one: -one.weight):
        certain = one.similarity >= MIN_MOVED_SIMILARITY and one.end - one.start >= MIN_MOVED_LENGTH
        if certain and taken.is_free(one):
            taken.add(one)
    for one in list(_between_neighbours(sentences, recognised, taken)):
        taken.add(one)
    return sorted(taken.places.values(), key=lambda one: one.sentence)


class _Seeds:
    """The runs of `SEED` characters of a text, and where they are."""

    def __init__(self, text: str) -> None:
        self.text = text
        codes = _codes(text)
        self._order = np.argsort(codes, kind="stable")
        self._sorted = codes[self._order]

    def votes(self, sentence: str) -> tuple[Places, NDArray[np.float64]]:
        """Return the beginnings that common runs vote for, in order, and the weights of the votes."""
        codes = _codes(sentence)
        first, last = (np.searchsorted(self._sorted, codes, side) for side in ("left", "right"))
        counts = last - first
        counts[counts > MAX_SEED_PLACES] = 0
        begin = np.repeat(first, counts) + _ranges(counts)
        starts = self._order[begin] - np.repeat(np.arange(len(codes)), counts)
        weights = np.repeat(1.0 / np.sqrt(np.maximum(1, counts)), counts)
        order = np.argsort(starts, kind="stable")
        return starts[order], weights[order]


def _codes(text: str) -> NDArray[np.uint64]:
    """Return a hash of each run of `SEED` characters: uint64 [characters - SEED + 1]."""
    if len(text) < SEED:
        return np.zeros(0, np.uint64)
    characters = np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.uint64)
    total = np.zeros(len(characters) - SEED + 1, np.uint64)
    for offset in range(SEED):
        total = total * np.uint64(1_000_003) + characters[offset : offset + len(total)]
    return total


def _ranges(counts: Places) -> Places:
    """Return 0, 1, ... for each count, joined."""
    ends = np.cumsum(counts)
    return np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - counts, counts)


def _candidates(sentences: Sequence[Sequence[str]], seeds: _Seeds) -> Iterator[Place]:
    for index, readings in enumerate(sentences):
        found = [one for number, text in enumerate(readings) for one in _places(index, number, text, seeds)]
        found.sort(key=lambda one: -one.similarity)
        kept: list[Place] = []
        for one in found:
            if all(one.end <= other.start or one.start >= other.end for other in kept):
                kept.append(one)
        yield from kept[:MAX_CANDIDATES]


def _places(index: int, number: int, text: str, seeds: _Seeds) -> Iterator[Place]:
    """Yield the places of one reading that its seeds vote for."""
    starts, weights = seeds.votes(text)
    width = max(10, len(text) // 7)  # by which letters that are missing or inserted move the beginning
    total = np.concatenate([[0.0], np.cumsum(weights)])
    ends = np.searchsorted(starts, starts + width, "right")
    votes, numbers = total[ends] - total[:-1], ends - np.arange(len(starts))
    for _ in range(MAX_CANDIDATES):
        if not len(votes) or (best := int(votes.argmax())) < 0 or votes[best] <= 0.0:
            return
        if numbers[best] >= MIN_VOTES:
            yield from _look(index, number, text, seeds.text, int(starts[best]), width)
        votes[np.abs(starts - starts[best]) <= 2 * width] = 0.0


def _look(index: int, number: int, text: str, recognised: str, start: int, width: int) -> Iterator[Place]:
    """Yield the place in this neighbourhood, if the text is similar enough."""
    begin = max(0, start - width)
    window = recognised[begin : start + len(text) + 2 * width]
    found = fuzz.partial_ratio_alignment(text, window, score_cutoff=MIN_SIMILARITY)
    if found is not None and len(window) >= len(text) // 2:
        yield Place(index, number, begin + found.dest_start, begin + found.dest_end, found.score)


def _heaviest_chain(candidates: Sequence[Place]) -> list[Place]:
    """Return the heaviest places of which each is behind the one before, in the text and in the recording."""
    order = sorted(candidates, key=lambda one: (one.end, one.sentence))
    sentence = np.array([one.sentence for one in order], np.int64)
    ends = np.array([one.end for one in order], np.int64)
    best = np.zeros(len(order))
    before = np.full(len(order), -1)
    for index, one in enumerate(order):
        allowed = one.start + int(MAX_OVERLAP * (one.end - one.start))
        fits = np.where((sentence[:index] < one.sentence) & (ends[:index] <= allowed), best[:index], -1.0)
        last = int(fits.argmax()) if index else -1
        if last >= 0 and fits[last] > 0.0:
            before[index] = last
        best[index] = one.weight + (fits[last] if before[index] >= 0 else 0.0)
    chain: list[Place] = []
    at = int(best.argmax()) if len(order) else -1
    while at >= 0:
        chain.append(order[at])
        at = int(before[at])
    return chain[::-1]


class _Taken:
    """The sentences that have a place, and the characters that are taken."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.places: dict[int, Place] = {}
        self._starts: list[int] = []
        self._ends: list[int] = []
        for one in places:
            self.add(one)

    def add(self, one: Place) -> None:
        self.places[one.sentence] = one
        at = int(np.searchsorted(self._starts, one.start))
        self._starts.insert(at, one.start)
        self._ends.insert(at, one.end)

    def is_free(self, one: Place) -> bool:
        """Whether the sentence has no place, and nearly none of its characters belong to another one."""
        if one.sentence in self.places:
            return False
        at = int(np.searchsorted(self._starts, one.start))
        near = range(max(0, at - 2), min(len(self._starts), at + 2))
        taken = sum(max(0, min(self._ends[i], one.end) - max(self._starts[i], one.start)) for i in near)
        return taken <= MAX_OVERLAP * (one.end - one.start)

    def gap_after(self, start: int, end: int) -> bool:
        """Whether nothing is placed from ``start`` to ``end``."""
        first = int(np.searchsorted(self._starts, start))
        return first == len(self._starts) or self._starts[first] >= end


def _between_neighbours(sentences: Sequence[Sequence[str]], recognised: str, taken: _Taken) -> Iterator[Place]:
    """Yield sentences without a place that are where their neighbours leave room for them."""
    placed = sorted(taken.places)
    ends = [(-1, 0), *((index, taken.places[index].end) for index in placed)]
    starts = [*((index, taken.places[index].start) for index in placed), (len(sentences), len(recognised))]
    for (before, start), (after, end) in zip(ends, starts, strict=True):
        if not start < end or not taken.gap_after(start, end):
            continue
        for index in range(before + 1, after):
            best = max(
                _in_gap(index, sentences[index], recognised, start, end), key=lambda one: one.similarity, default=None
            )
            if best is not None:
                start = best.end
                yield best


def _in_gap(index: int, readings: Sequence[str], recognised: str, start: int, end: int) -> Iterator[Place]:
    limit = min(end, start + 4 * max(map(len, readings), default=0) + 80)
    for number, text in enumerate(readings):
        if limit - start < len(text) // 2:
            continue
        found = fuzz.partial_ratio_alignment(text, recognised[start:limit], score_cutoff=MIN_SHORT_SIMILARITY)
        if found is not None:
            yield Place(index, number, start + found.dest_start, start + found.dest_end, found.score)
