"""Chunks of one stream through the model, the endpoint rules and the search, to events."""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgespeech.runtime.acoustic_model import AcousticModel, State
from edgespeech.runtime.bundle import AudioFacts
from edgespeech.runtime.conditioning.conditioner import Conditioner
from edgespeech.runtime.conditioning.level import next_floor
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.hypothesis import Hypothesis, Partial, join_words
from edgespeech.runtime.endpoint import Endpointer, frame_levels
from edgespeech.runtime.min_evidence import MinEvidence
from edgespeech.runtime.transcript import Event

if TYPE_CHECKING:  # imported where texts are written
    from edgespeech.runtime.punctuation.writing import Writer

Floats = NDArray[np.float32]

_SPEECH_ABOVE_FLOOR = 6.0  # dB; frames of noise alone differ by less
_QUIET_SECONDS = 1.0  # after which a stream counts as quiet; a first word cannot be told from noise by its level alone


@dataclass(frozen=True)
class Parts:
    """The stages that all streams of a recognizer share, none of which has a state of its own."""

    audio: AudioFacts
    conditioner: Conditioner
    model: AcousticModel
    decoder: BeamSearchDecoder
    endpointer: Endpointer
    min_evidence: MinEvidence
    chunk_samples: int
    nbest: int = 1
    writer: Writer | None = None

    def step_samples(self, wanted: int) -> int:
        """Return the length of a step for this many samples, of which silence may be a part.

        It is a multiple of the bundle's own chunk if the recognizer's is longer, and at most the recognizer's.
        """
        unit = min(self.audio.chunk_samples, self.chunk_samples)
        return min(self.chunk_samples, -(-wanted // unit) * unit)


@dataclass(frozen=True)
class ModelStep:
    """A step of the acoustic model that a stream waits for.

    Attributes:
        samples: float32 [1, chunk_samples].
        state: State of a batch of one.
    """

    samples: Floats
    state: State


ModelResult = tuple[Floats, State]  # log-probabilities [1, frames, labels], and the next state
Steps = Generator[ModelStep, ModelResult, list[Event]]


class Recognition:
    """The part of a stream behind its input.

    Its methods are generators that yield the steps of the model, are sent the results, and return the events. So the
    steps of many streams can be computed as one batch, while the model's state stays with the stream.

    Frames are numbered from the beginning of the stream. Each is decoded once: `end_segment` decodes those inside the
    look-ahead as if silence followed, and their real outputs are skipped when they come.
    """

    def __init__(self, parts: Parts, fast_partials: bool) -> None:
        self.parts, self._facts, self._fast_partials = parts, parts.audio, fast_partials
        self._model_state = parts.model.initial_state()
        self._frames_in_model = self._segment_first_frame = self.frames_decoded = 0
        self._levels: Floats = np.zeros(0, np.float32)  # dB, of the frames in the model that are not decoded
        self._decoder = self._next_decoder = parts.decoder
        self._decoder_state = self._decoder.initial_state()
        self._endpoint_state = parts.endpointer.initial_state()
        self._blank_score = 0.0
        self._shown = self._committed = ""
        self._has_text = False  # the decoded frames of the segment
        self._floor: float | None = None  # dB, of the noise
        self._quiet_frames = 0
        self._writer = parts.writer
        self._writing = None if parts.writer is None else parts.writer.initial_state()
        self.seconds_resampled = 0.0
        self.arrived = time.perf_counter()

    def set_hot_words(self, hot_words: Mapping[str, float]) -> None:
        """Change the hot words from the next segment on, or from this one if none of its frames has been decoded."""
        self._next_decoder = self._decoder.with_hot_words(hot_words)
        if self._writer is not None:
            from edgespeech.runtime.punctuation.writing import cased_phrases

            self._writer = replace(self._writer, cased=cased_phrases(hot_words))
        if not self._decoder_state.frame:
            self._decoder, self._decoder_state = self._next_decoder, self._next_decoder.initial_state()

    def advance(self, chunk: Floats, max_frames: int | None = None) -> Steps:
        """Process float32 [chunk_samples]; decode at most ``max_frames`` frames."""
        self._listen(self._add_levels(chunk))
        chunk = self.parts.conditioner.fill_silence(chunk, self.samples_in_model)
        outputs, self._model_state = yield ModelStep(chunk[None], self._model_state)
        first = self._frames_in_model - self._facts.delay_frames
        self._frames_in_model += len(chunk) // self._facts.frame_samples
        return list(self._decode(outputs[0][max(0, self.frames_decoded - first) :][:max_frames]))

    def end_recording(self, samples: int) -> None:
        """Tell the model that the recording ends after this many samples of the next chunk."""
        self._model_state = self.parts.model.ending(self._model_state, samples)

    def look_ahead(self) -> Steps:
        """Use the audio inside the look-ahead: for an endpoint, or for a fast partial.

        It is not computed for partials while there is nothing but noise.
        """
        endpointer, state = self.parts.endpointer, self._endpoint_state
        events: list[Event] = []
        may_end = endpointer.may_end(state, len(self._levels))
        if not may_end and (not self._fast_partials or self._is_quiet):
            return events
        rows = yield from self._pad_look_ahead(np.zeros(0, np.float32), 0)
        if may_end and endpointer.ends_early(rows, self._levels, state):
            events += self._finish_segment()
        if self._fast_partials:
            text = self._decoder.preview(rows, self._decoder_state)
            events += self._show(_single_spaces(text), len(rows))
        return events

    def end_segment(self, waiting: Floats) -> Steps:
        """End the segment after ``waiting``, float32 [n], which has not been processed and will come again.

        As in `finish`, an incomplete frame and a little silence are decoded behind it; they count as not decoded.
        """
        frame = self._facts.frame_samples
        whole = len(waiting) // frame
        end = self._facts.frames_decoded(self.samples_in_model + len(waiting))
        rows = yield from self._pad_look_ahead(waiting, end - self._frames_in_model)
        self._add_levels(waiting[: whole * frame])
        count = self._frames_in_model + whole - self.frames_decoded
        events = [event for event in self._decode(rows[:count]) if event.type == "final"]
        self._search(rows[count:])
        return events + list(self._finish_segment())

    def finish(self) -> list[Event]:
        """Make the last segment final."""
        return list(self._finish_segment())

    @property
    def segment_start(self) -> float:
        """Seconds from the beginning of the stream to that of the present segment."""
        return self._segment_first_frame * self._facts.frame_seconds

    @property
    def samples_in_model(self) -> int:
        """Number of samples that the model has processed."""
        return self._frames_in_model * self._facts.frame_samples

    @property
    def _is_quiet(self) -> bool:
        """Whether the segment has no word, and nothing has been louder than the noise for a while."""
        enough = max(len(self._levels), _QUIET_SECONDS / self._facts.frame_seconds)
        return self._quiet_frames >= enough and not (self._shown or self._has_text)

    def _add_levels(self, samples: Floats) -> Floats:
        levels = frame_levels(samples, self._facts.frame_samples)
        done = max(0, self.frames_decoded - self._frames_in_model)
        self._levels = np.concatenate([self._levels, levels[done:]])
        return levels

    def _listen(self, levels: Floats) -> None:
        """Count the frames at the end of the audio in the model in which nothing is louder than the noise."""
        for level in levels.tolist():
            self._floor = next_floor(level, self._floor, self._facts.frame_seconds)
            self._quiet_frames = self._quiet_frames + 1 if level < self._floor + _SPEECH_ABOVE_FLOOR else 0

    def _pad_look_ahead(self, waiting: Floats, frames: int) -> Generator[ModelStep, ModelResult, Floats]:
        """Return the outputs [n, labels] that are not decoded, if the recording ended or silence followed ``waiting``.

        They end this many frames behind the audio in the model; ``waiting`` is at most as long.
        """
        conditioner, sizes = self.parts.conditioner, list[int]()
        count = frames + self._facts.delay_frames
        while (left := count * self._facts.frame_samples - sum(sizes)) > 0:
            sizes.append(self.parts.step_samples(left))
        missing = sum(sizes) - len(waiting)
        position, state = self.samples_in_model, self.parts.model.ending(self._model_state, len(waiting))
        audio = np.concatenate([waiting, conditioner.silence(position + len(waiting), missing)])
        audio = conditioner.fill_silence(audio, position)
        rows = np.zeros((0, len(self.parts.decoder.labels)), np.float32)
        for end, size in zip(accumulate(sizes), sizes, strict=True):
            more, state = yield ModelStep(audio[None, end - size : end], state)
            rows = np.concatenate([rows, more[0]])
        return rows[self.frames_decoded - self._frames_in_model + self._facts.delay_frames : count]

    def _decode(self, rows: Floats) -> Iterator[Event]:
        endpointer = self.parts.endpointer
        while len(rows):
            ended, self._endpoint_state = endpointer.step(rows, self._levels[: len(rows)], self._endpoint_state)
            taken = len(rows) if ended is None else ended
            partial = self._search(rows[:taken])
            self.frames_decoded += taken
            rows, self._levels = rows[taken:], self._levels[taken:]
            if ended is not None:
                yield from self._finish_segment()
                continue
            if self._writer is None:  # a final that is written may differ from its partials everywhere
                self._committed = _single_spaces(partial.committed)
            if not self._fast_partials:
                yield from self._show(_single_spaces(partial.text))

    def _search(self, rows: Floats) -> Partial:
        partial, self._decoder_state = self._decoder.step(rows, self._decoder_state)
        self._has_text = bool(partial.text.strip(" "))
        self._blank_score += float(rows[:, self._decoder.blank].sum(dtype=np.float64))
        return partial

    def _show(self, text: str, frames_ahead: int = 0) -> Iterator[Event]:
        if text and text != self._shown:
            self._shown = text
            yield self._partial(text, self._committed, frames_ahead)

    def _partial(self, text: str, committed: str, frames_ahead: int = 0) -> Event:
        return Event(
            "partial",
            text,
            committed,
            text[len(committed) :],
            start=self.segment_start,
            end=min((self.frames_decoded + frames_ahead) * self._facts.frame_seconds, self.seconds_resampled),
            latency_ms=self._latency_ms(),
        )

    def _finish_segment(self) -> Iterator[Event]:
        hypotheses = tuple(map(self._in_stream, self._decoder.finish(self._decoder_state, self.parts.nbest)))
        words = hypotheses[0].words
        if not self.parts.min_evidence.passes(hypotheses[0], self._blank_score):
            words = ()
        retract = bool(self._shown) and not words
        self._segment_first_frame = self.frames_decoded
        self._decoder = self._next_decoder
        self._decoder_state = self._decoder.initial_state()
        self._endpoint_state = self.parts.endpointer.initial_state()
        self._blank_score = 0.0
        self._shown = self._committed = ""
        self._has_text = False
        if retract:
            # A partial showed words, but the best complete hypothesis has none or they are probably noise.
            yield self._partial("", "")
        if words:
            if self._writer is not None and self._writing is not None:
                words, self._writing = self._writer.step(words, self._writing)
            text = join_words(words)
            start, end = words[0].start, words[-1].end
            yield Event("final", text, text, "", start, end, words, self._latency_ms(), hypotheses)

    def _in_stream(self, hypothesis: Hypothesis) -> Hypothesis:
        """Return the hypothesis with times and frames from the beginning of the stream."""
        first = self._segment_first_frame
        offset = first * self._facts.frame_seconds
        end = min(self.frames_decoded * self._facts.frame_seconds, self.seconds_resampled)
        last = max(0.0, end - self._facts.frame_seconds)
        words = tuple(
            replace(word, start=min(word.start + offset, last), end=min(word.end + offset, end))
            for word in hypothesis.words
        )
        return replace(hypothesis, words=words, frames=tuple(first + frame for frame in hypothesis.frames))

    def _latency_ms(self) -> float:
        return (time.perf_counter() - self.arrived) * 1000.0


def _single_spaces(text: str) -> str:
    return re.sub(" +", " ", text).lstrip(" ")
