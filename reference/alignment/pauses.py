"""Where speech begins and ends around the frames of its labels: at pauses, found by the level of the audio.

A CTC model emits a label somewhere within its sound, or behind it. So the borders of a clip are looked for between the
labels of both sides, which are those that the model recognises by itself: words that are not in the text count too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgespeech.reference.alignment.emissions import Emissions, Recognised

PAD_SECONDS = 0.12  # of a pause that a clip keeps
REACH_SECONDS = 0.8  # in which a border is looked for
LATE_SECONDS = 0.15  # that the last label of a word may be behind its sound
SPEECH_SECONDS = 2.0  # whose level is compared
LONG_SECONDS = 0.15  # of quiet, which is longer than the closure of a plosive
QUIET = 0.25  # of the way from the quietest frame to the level of speech, in dB


@dataclass(frozen=True)
class Pause:
    """A pause; ``start`` and ``end`` are the borders of what is before and behind it, in seconds."""

    start: float
    end: float
    seconds: float


class Pauses:
    """Finds the pauses of one recording."""

    def __init__(self, emissions: Emissions, recognised: Recognised) -> None:
        self._levels, self._seconds = _smoothed(emissions.levels), emissions.frame_seconds
        spoken = np.array([character != " " for character in recognised.text], bool)
        self._spoken = recognised.frames[spoken]
        self._reach = round(REACH_SECONDS / self._seconds)
        self.pad_seconds = PAD_SECONDS

    def before(self, first: int) -> Pause:
        """Return the pause before the label at this frame; nothing is before it but what the model recognises."""
        at = int(np.searchsorted(self._spoken, first, "left")) - 1
        previous = int(self._spoken[at]) if at >= 0 else -1
        return self._between(max(previous, first - self._reach), first, first, nearest=-1)

    def behind(self, last: int) -> Pause:
        """Return the pause behind the label at this frame."""
        at = int(np.searchsorted(self._spoken, last, "right"))
        following = int(self._spoken[at]) if at < len(self._spoken) else len(self._levels)
        return self._between(last, min(following, last + self._reach), last, nearest=0)

    def between(self, last: int, first: int) -> Pause:
        """Return the pause between two words, whose labels are at these frames."""
        return self._between(last, first, first)

    def _between(self, last: int, first: int, near: int, nearest: int | None = None) -> Pause:
        """Return a quiet stretch from shortly before ``last`` to ``first``.

        It is the longest one or, with ``nearest``, the first (0) or last (-1) that is long enough for a pause.
        """
        begin = max(0, last - round(LATE_SECONDS / self._seconds))
        end = max(begin + 1, min(first, len(self._levels)))
        levels = self._levels[begin:end]
        around = round(SPEECH_SECONDS / self._seconds)
        speech = float(np.percentile(self._levels[max(0, near - around) : near + around], 80))
        quietest = float(levels.min())
        quiet = levels <= quietest + QUIET * max(0.0, speech - quietest)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8)))
        starts, ends = edges[::2], edges[1::2]
        long = np.flatnonzero((ends - starts) * self._seconds >= LONG_SECONDS)
        chosen = int((ends - starts).argmax()) if nearest is None or not len(long) else int(long[nearest])
        start, stop = (begin + int(starts[chosen])) * self._seconds, (begin + int(ends[chosen])) * self._seconds
        pad = min(PAD_SECONDS, (stop - start) / 2.0)
        return Pause(start + pad, stop - pad, stop - start)


def _smoothed(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of each level and its two neighbours, so that a single frame of noise does not end a pause."""
    padded = np.pad(levels, 1, mode="edge")
    return np.asarray((padded[:-2] + padded[1:-1] + padded[2:]) / 3.0, np.float32)
