"""From places to clips: sentences get exact times, are joined or divided at pauses, and are scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from edgespeech.reference.alignment.emissions import Emissions, Recognised
from edgespeech.reference.alignment.pauses import Pauses
from edgespeech.reference.alignment.placing import Place
from edgespeech.reference.alignment.script import Sentence
from edgespeech.reference.alignment.trellis import best_path
from edgespeech.reference.model.labels import Labels

MARGIN_SECONDS = 1.5  # of audio around a place, in which the text may begin and end
MAX_PIECE_SECONDS = 2.0  # between two pieces of a sentence, which are joined
MAX_JOIN_SECONDS = 1.0  # between a clip that is too short and the sentence behind it


@dataclass(frozen=True)
class Word:
    """A word, and the frames in which its labels are most probable."""

    text: str
    first: int
    last: int
    scores: tuple[float, ...]  # log-probabilities of its labels


@dataclass(frozen=True)
class Clip:
    """A stretch of the recording and its text.

    Attributes:
        words: The words.
        sentence: Index of the sentence that it begins with; ``last_sentence`` that of the one it ends with.
        complete: Whether a sentence ends behind it.
        start, end: Seconds from the beginning of the recording.
        pause: Seconds of the shorter pause at its borders.
        score: Mean log-probability of a label, in nats.
        cer: Character errors of what the model recognises by itself, a fraction of the text.
    """

    words: tuple[Word, ...]
    sentence: int
    last_sentence: int
    complete: bool
    start: float = 0.0
    end: float = 0.0
    pause: float = 0.0
    score: float = 0.0
    cer: float = 0.0

    @property
    def text(self) -> str:
        """The words, with spaces between them."""
        return " ".join(word.text for word in self.words)

    @property
    def seconds(self) -> float:
        """Length of the stretch in seconds."""
        return self.end - self.start


class Clipper:
    """Makes clips of one recording.

    Args:
        emissions: The output of the model.
        recognised: What the model recognises by itself.
        min_seconds: Shorter clips are joined with the next one, if that follows at once.
        max_seconds: Longer ones are divided at their longest pauses.
    """

    def __init__(self, emissions: Emissions, recognised: Recognised, min_seconds: float, max_seconds: float) -> None:
        self._emissions, self._recognised = emissions, recognised
        self._encode = _encoder(emissions)
        self._min, self._max = min_seconds, max_seconds
        self._pauses = Pauses(emissions, recognised)

    def clips(self, sentences: Sequence[Sentence], places: Sequence[Place]) -> list[Clip]:
        """Return the clips of sentences that have places, in the order of the recording."""
        pieces = [piece for place in places if (piece := self._align(sentences, place)) is not None]
        joined = list(self._join(pieces))
        divided = [part for clip in joined for part in self._divide(clip)]
        return sorted(map(self._measured, divided), key=lambda clip: clip.start)

    def _align(self, sentences: Sequence[Sentence], place: Place) -> Clip | None:
        emissions, frames = self._emissions, self._recognised.frames
        margin = round(MARGIN_SECONDS / emissions.frame_seconds)
        begin = max(0, int(frames[place.start]) - margin)
        end = min(len(emissions.best), int(frames[place.end - 1]) + margin + 1)
        sentence = sentences[place.sentence]
        text = sentence.readings[place.reading]
        path = best_path(emissions.log_probs[begin:end], self._encode(text), emissions.blank)
        if path is None:
            return None
        return Clip(tuple(self._words(text, begin + path.frames, path.scores)), place.sentence, place.sentence,
                    sentence.complete)  # fmt: skip

    def _words(self, text: str, frames: NDArray[np.int64], scores: NDArray[np.float32]) -> Iterator[Word]:
        at = 0
        for word in text.split(" "):
            size = len(self._encode(word))
            place = slice(at, at + size)
            yield Word(word, int(frames[at]), int(frames[at + size - 1]), tuple(scores[place].tolist()))
            at += size + 1

    def _join(self, pieces: Sequence[Clip]) -> Iterator[Clip]:
        """Join pieces of a sentence, and clips that are too short, with what follows them at once."""
        waiting: Clip | None = None
        for piece in pieces:
            if waiting is not None and not self._follows(waiting, piece):
                yield waiting
                waiting = None
            if waiting is not None:
                piece = replace(waiting, words=waiting.words + piece.words, last_sentence=piece.sentence,
                                complete=piece.complete)  # fmt: skip
            waiting = piece
        if waiting is not None:
            yield waiting

    def _follows(self, one: Clip, other: Clip) -> bool:
        seconds = self._emissions.frame_seconds
        gap = (other.words[0].first - one.words[-1].last) * seconds
        short = (one.words[-1].last - one.words[0].first) * seconds < self._min
        in_order = other.sentence == one.last_sentence + 1 and gap > 0.0
        if not one.complete:
            return in_order and gap <= MAX_PIECE_SECONDS
        return in_order and short and gap <= MAX_JOIN_SECONDS

    def _divide(self, clip: Clip) -> Iterator[Clip]:
        """Divide a clip that is too long at its longest pause, as often as needed."""
        seconds, words = self._emissions.frame_seconds, clip.words
        if (words[-1].last - words[0].first) * seconds <= self._max - 2 * self._pauses.pad_seconds:
            yield clip
            return
        cuts = [
            (self._pauses.between(left.last, right.first).seconds, index)
            for index, (left, right) in enumerate(zip(words, words[1:], strict=False), start=1)
            if min(left.last - words[0].first, words[-1].last - right.first) * seconds >= self._min
        ]
        if not cuts:
            yield clip
            return
        _, cut = max(cuts)
        yield from self._divide(replace(clip, words=words[:cut], complete=False))
        yield from self._divide(replace(clip, words=words[cut:]))

    def _measured(self, clip: Clip) -> Clip:
        first, last = clip.words[0].first, clip.words[-1].last
        before, behind = self._pauses.before(first), self._pauses.behind(last)
        text, scores = clip.text, [score for word in clip.words for score in word.scores]
        return replace(
            clip,
            start=before.end,
            end=behind.start,
            pause=min(before.seconds, behind.seconds),
            score=float(np.mean(scores)),
            cer=Levenshtein.distance(text, self._recognised.between(first, last + 1).strip()) / len(text),
        )


def _encoder(emissions: Emissions) -> Callable[[str], list[int]]:
    """Return a function from texts to label indices; `Labels` has the blank first, wherever the model has it."""
    order = [emissions.blank, *(index for index in range(len(emissions.labels)) if index != emissions.blank)]
    labels = Labels(["", *(emissions.labels[index] for index in order[1:])])
    return lambda text: [order[index] for index in labels.encode(text)]
