"""Log-probabilities of a whole recording, computed as a stream and kept in a temporary file: memory stays flat."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgespeech.errors import AudioError
from edgespeech.runtime.endpoint import frame_levels
from edgespeech.runtime.recognition import Parts

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class Emissions:
    """The output of an acoustic model for a recording.

    Attributes:
        log_probs: Natural-log probabilities, float16 [frames, labels], in a file that is mapped into memory.
        levels: Levels of the frames in dB of full scale, float32 [frames].
        best: Most probable labels, int64 [frames].
        labels: Texts of the labels.
        blank: Index of the blank.
        frame_seconds: Seconds of a frame.
        seconds: Seconds of audio.
    """

    log_probs: Halves
    levels: Floats
    best: NDArray[np.int64]
    labels: tuple[str, ...]
    blank: int
    frame_seconds: float
    seconds: float


def compute_emissions(parts: Parts, blocks: Iterable[Floats]) -> Emissions:
    """Run the acoustic model over a recording.

    Args:
        parts: The stages of a recognizer; its search is not used.
        blocks: Samples at the rate of the model, float32 [n] in [-1, 1].

    Raises:
        AudioError: The recording is empty.
    """
    facts, labels = parts.audio, tuple(parts.decoder.labels)
    levels: list[Floats] = []
    best: list[NDArray[np.int64]] = []
    with tempfile.TemporaryFile() as file:
        for rows, level in _frames(parts, blocks):
            file.write(rows.astype(np.float16).tobytes())
            best.append(rows.argmax(axis=1))
            levels.append(level)
        frames = sum(map(len, best))
        if not frames:
            raise AudioError("the recording is shorter than a frame of the model; wanted speech; give another file")
        file.flush()
        # The map keeps the file, whose name is gone already.
        log_probs = np.memmap(file, np.float16, "r", shape=(frames, len(labels)))
    found = np.concatenate(levels)[:frames]
    seconds = frames * facts.frame_seconds
    return Emissions(log_probs, found, np.concatenate(best), labels, parts.decoder.blank, facts.frame_seconds, seconds)


def _frames(parts: Parts, blocks: Iterable[Floats]) -> Iterator[tuple[Floats, Floats]]:
    """Yield log-probabilities [n, labels] and levels [m]; all levels together are at least as many."""
    facts, size = parts.audio, parts.chunk_samples
    conditioning, state = parts.conditioner.initial_state(), parts.model.initial_state()
    waiting = np.zeros(0, np.float32)
    accepted = in_model = 0
    late = facts.delay_frames  # outputs that belong to frames before the recording
    for block in blocks:
        accepted += len(block)
        ready, conditioning = parts.conditioner.step(block, conditioning)
        waiting = np.concatenate([waiting, ready])
        while len(waiting) >= size:
            chunk, waiting = waiting[:size], waiting[size:]
            levels = frame_levels(chunk, facts.frame_samples)
            outputs, state = parts.model.step(parts.conditioner.fill_silence(chunk, in_model)[None], state)
            in_model += size
            yield outputs[0][late:], levels
            late = max(0, late - len(outputs[0]))
    ready, _ = parts.conditioner.step(np.zeros(0, np.float32), conditioning, last=True)
    waiting = np.concatenate([waiting, ready])
    frames, total = facts.frames_decoded(accepted), facts.frames_decoded(accepted) + facts.delay_frames
    state = parts.model.ending(state, len(waiting))
    while in_model < total * facts.frame_samples:
        step = parts.step_samples(total * facts.frame_samples - in_model)
        silence = parts.conditioner.silence(in_model + len(waiting), max(0, step - len(waiting)))
        chunk, waiting = np.concatenate([waiting[:step], silence]), waiting[step:]
        outputs, state = parts.model.step(parts.conditioner.fill_silence(chunk, in_model)[None], state)
        done = in_model // facts.frame_samples - facts.delay_frames + late
        in_model += step
        yield outputs[0][late:][: frames - done], frame_levels(chunk, facts.frame_samples)
        late = max(0, late - len(outputs[0]))


@dataclass(frozen=True, eq=False)
class Recognised:
    """What the model recognises by itself: the most probable labels, without repeats and blanks.

    Attributes:
        text: Its characters.
        frames: Frame of each character, int64 [characters].
    """

    text: str
    frames: NDArray[np.int64]

    @classmethod
    def of(cls, emissions: Emissions) -> Recognised:
        """Decode the most probable labels."""
        best = emissions.best
        new = (best != emissions.blank) & (best != np.concatenate([[-1], best[:-1]]))
        frames = np.flatnonzero(new)
        pieces = [emissions.labels[label] for label in best[frames]]
        return cls("".join(pieces), np.repeat(frames, list(map(len, pieces))).astype(np.int64))

    def between(self, start: int, end: int) -> str:
        """Return the characters whose frames are from ``start`` up to, but not including, ``end``."""
        first, last = np.searchsorted(self.frames, [start, end])
        return self.text[first:last]
