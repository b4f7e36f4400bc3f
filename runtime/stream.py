"""Streaming recognition: audio goes in as it arrives, partial and final events come out."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgespeech.errors import UsageError
from edgespeech.runtime import audio
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import AudioFacts
from edgespeech.runtime.conditioning.conditioner import Conditioner
from edgespeech.runtime.conditioning.level import LOW_SPEECH_LEVEL
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.decoder.hypothesis import Hypothesis
from edgespeech.runtime.endpoint import Endpointer, frame_levels
from edgespeech.runtime.min_evidence import MinEvidence
from edgespeech.runtime.transcript import Event

Floats = NDArray[np.float32]


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


class Stream:
    """Recognises audio as it arrives; made by `Recognizer.stream`.

    The model always receives the same chunks, so the text does not depend on how the audio is cut.
    """

    def __init__(self, parts: Parts, sample_rate: int, fast_partials: bool = False) -> None:
        self._parts, self._fast_partials = parts, fast_partials
        self._facts = parts.audio
        self._source_rate = sample_rate
        self._input = audio.ArrayInput(sample_rate)
        self._resampler = audio.Resampler(sample_rate, self._facts.sample_rate)
        self._conditioning = parts.conditioner.initial_state()
        self._waiting: Floats = np.zeros(0, np.float32)
        self._model_state = parts.model.initial_state()
        self._to_drop = self._facts.delay_frames
        self._levels: Floats = np.zeros(0, np.float32)  # dB, of frames inside the look-ahead
        self._samples_accepted = 0  # at the source's rate; the resampler holds some of them
        self._samples_processed = self._samples_in_model = self._frames_decoded = self._segment_first_frame = 0
        self._decoder = self._next_decoder = parts.decoder
        self._decoder_state = self._decoder.initial_state()
        self._endpoint_state = parts.endpointer.initial_state()
        self._blank_score = 0.0
        self._shown = self._committed = ""
        self._arrived = time.perf_counter()
        self._finished = False

    @property
    def seconds_processed(self) -> float:
        """Seconds of audio accepted so far, with what the resampler still holds."""
        return self._samples_accepted / self._source_rate

    @property
    def speech_level(self) -> float | None:
        """Level of the loudest recent speech in dB of full scale, before amplification; None before any speech."""
        return self._conditioning.level.speech

    @property
    def level_warning(self) -> str:
        """A sentence for the user if the speech so far is too quiet to be recognised well, else empty."""
        level = self.speech_level
        if level is None or not self._conditioning.level.known or level >= LOW_SPEECH_LEVEL:
            return ""
        return f"the speech is very quiet ({level:.0f} dB of full scale): raise the gain or go nearer to the microphone"

    def set_hot_words(self, hot_words: Mapping[str, float]) -> None:
        """Change the hot words from the next segment on, or from this one if none of its frames has been decoded.

        Raises:
            UsageError: A hot word is invalid, or the recognizer has a grammar.
        """
        self._next_decoder = self._decoder.with_hot_words(hot_words)
        if not self._decoder_state.frame:
            self._decoder, self._decoder_state = self._next_decoder, self._next_decoder.initial_state()

    def accept(self, samples: ArrayLike) -> list[Event]:
        """Process samples, [n] or [n, channels], float in [-1, 1] or integer, at the stream's rate.

        Returns:
            ``partial`` events where the text changed and a ``final`` for each segment that ended.

        Raises:
            AudioError: The samples are invalid.
            UsageError: The stream is finished.
        """
        if self._finished:
            raise UsageError("the stream is finished; begin a new one with Recognizer.stream()")
        self._arrived = time.perf_counter()
        mono = self._input.step(samples)[:, 0]
        self._samples_accepted += len(mono)
        return self._process(self._resampler.step(mono))

    def finish(self) -> list[Event]:
        """End the stream: decode the rest, with a little silence after it, and make the last segment final."""
        if self._finished:
            return []
        self._finished = True
        self._input.finish()
        self._arrived = time.perf_counter()
        events = self._process(self._resampler.step(np.zeros(0, np.float32), last=True), last=True)
        frames = self._facts.frames_decoded(self._samples_processed)
        while self._frames_decoded < frames:
            missing = self._parts.chunk_samples - len(self._waiting)
            position = self._samples_in_model + len(self._waiting)
            chunk = np.concatenate([self._waiting, self._parts.conditioner.silence(position, missing)])
            self._waiting = np.zeros(0, np.float32)
            events += self._advance(chunk, frames - self._frames_decoded)
        return events + list(self._end_segment())

    def _process(self, samples: Floats, last: bool = False) -> list[Event]:
        self._samples_processed += len(samples)
        samples, self._conditioning = self._parts.conditioner.step(samples, self._conditioning, last)
        self._waiting = np.concatenate([self._waiting, samples])
        size, events = self._parts.chunk_samples, []
        whole = len(self._waiting) // size * size
        for start in range(0, whole, size):
            events += self._advance(self._waiting[start : start + size])
            events += self._look_ahead()
        self._waiting = self._waiting[whole:]
        return events

    def _advance(self, chunk: Floats, max_frames: int | None = None) -> list[Event]:
        self._levels = np.concatenate([self._levels, frame_levels(chunk, self._facts.frame_samples)])
        chunk = self._parts.conditioner.fill_silence(chunk, self._samples_in_model)
        self._samples_in_model += len(chunk)
        log_probs, self._model_state = self._parts.model.step(chunk[None], self._model_state)
        dropped, self._to_drop = self._to_drop, max(0, self._to_drop - len(log_probs[0]))
        return list(self._decode(log_probs[0][dropped:][:max_frames]))

    def _decode(self, rows: Floats) -> Iterator[Event]:
        endpointer = self._parts.endpointer
        while len(rows):
            ended, self._endpoint_state = endpointer.step(rows, self._levels[: len(rows)], self._endpoint_state)
            taken = len(rows) if ended is None else ended
            partial, self._decoder_state = self._decoder.step(rows[:taken], self._decoder_state)
            self._blank_score += float(rows[:taken, self._decoder.blank].sum(dtype=np.float64))
            self._frames_decoded += taken
            rows, self._levels = rows[taken:], self._levels[taken:]
            if ended is not None:
                yield from self._end_segment()
                continue
            self._committed = _single_spaces(partial.committed)
            if not self._fast_partials:
                yield from self._show(_single_spaces(partial.text))

    def _look_ahead(self) -> Iterator[Event]:
        """Use the audio inside the look-ahead: for an endpoint, or for a fast partial."""
        endpointer, state = self._parts.endpointer, self._endpoint_state
        may_end = endpointer.may_end(state, len(self._levels))
        if not may_end and not self._fast_partials:
            return
        rows = self._pad_look_ahead()
        if may_end and endpointer.ends_early(rows, self._levels, state):
            yield from self._end_segment()
        if self._fast_partials:
            partial, _ = self._decoder.step(rows, self._decoder_state)
            yield from self._show(_single_spaces(partial.text), len(rows))

    def _pad_look_ahead(self) -> Floats:
        """Return the outputs [frames, labels] that would follow if silence came next; the stream does not change."""
        delay, size = self._facts.delay_frames, self._parts.chunk_samples
        state, position = self._model_state, self._samples_in_model
        rows = np.zeros((0, len(self._parts.decoder.labels)), np.float32)
        while len(rows) < delay:
            more, state = self._parts.model.step(self._parts.conditioner.silence(position, size)[None], state)
            position += size
            rows = np.concatenate([rows, more[0]])
        return rows[self._to_drop : delay]

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
            start=self._segment_first_frame * self._facts.frame_seconds,
            end=min((self._frames_decoded + frames_ahead) * self._facts.frame_seconds, self._seconds_resampled),
            latency_ms=self._latency_ms(),
        )

    def _end_segment(self) -> Iterator[Event]:
        hypotheses = tuple(map(self._in_stream, self._decoder.finish(self._decoder_state, self._parts.nbest)))
        words = hypotheses[0].words
        if not self._parts.min_evidence.passes(hypotheses[0], self._blank_score):
            words = ()
        retract = bool(self._shown) and not words
        self._segment_first_frame = self._frames_decoded
        self._decoder = self._next_decoder
        self._decoder_state = self._decoder.initial_state()
        self._endpoint_state = self._parts.endpointer.initial_state()
        self._blank_score = 0.0
        self._shown = self._committed = ""
        if retract:
            # A partial showed words, but the best complete hypothesis has none or they are probably noise.
            yield self._partial("", "")
        if words:
            text = " ".join(word.word for word in words)
            start, end = words[0].start, words[-1].end
            yield Event("final", text, text, "", start, end, words, self._latency_ms(), hypotheses)

    def _in_stream(self, hypothesis: Hypothesis) -> Hypothesis:
        """Return the hypothesis with times and frames from the beginning of the stream."""
        first = self._segment_first_frame
        offset = first * self._facts.frame_seconds
        last = max(0.0, self._seconds_resampled - self._facts.frame_seconds)
        words = tuple(
            replace(word, start=min(word.start + offset, last), end=min(word.end + offset, self._seconds_resampled))
            for word in hypothesis.words
        )
        return replace(hypothesis, words=words, frames=tuple(first + frame for frame in hypothesis.frames))

    @property
    def _seconds_resampled(self) -> float:
        return self._samples_processed / self._facts.sample_rate

    def _latency_ms(self) -> float:
        return (time.perf_counter() - self._arrived) * 1000.0


def _single_spaces(text: str) -> str:
    return re.sub(" +", " ", text).lstrip(" ")
