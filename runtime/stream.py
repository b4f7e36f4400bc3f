"""Streaming recognition: audio goes in as it arrives, partial and final events come out."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgespeech.errors import EdgespeechError, UsageError
from edgespeech.runtime import audio
from edgespeech.runtime.conditioning.level import LOW_SPEECH_LEVEL
from edgespeech.runtime.recognition import Parts, Recognition, Steps
from edgespeech.runtime.transcript import Event

Floats = NDArray[np.float32]


class Stream:
    """Recognises audio as it arrives; made by `Recognizer.stream`, and a context manager that closes it.

    The model always receives the same chunks, so the text does not depend on how the audio is cut. A stream belongs to
    one thread at a time; a second one that calls it meanwhile gets a `UsageError`. A call that an exception of another
    kind interrupts, such as KeyboardInterrupt, leaves a state that nobody knows, so the stream is of no use afterwards.
    """

    def __init__(self, parts: Parts, sample_rate: int, fast_partials: bool = False) -> None:
        self._facts = parts.audio
        self._source_rate = sample_rate
        self._resampler = audio.Resampler(sample_rate, self._facts.sample_rate)
        self._input = audio.ArrayInput(sample_rate)
        self._conditioning = parts.conditioner.initial_state()
        self._resampled: Floats = np.zeros(0, np.float32)  # conditioned once a chunk can be completed
        self._waiting: Floats = np.zeros(0, np.float32)  # conditioned, less than a chunk
        self._recognition: Recognition | None = Recognition(parts, fast_partials)
        self._samples_accepted = 0  # at the source's rate; the resampler holds some of them
        self._samples_processed = 0
        self._pcm16 = audio.RawDecoder(audio.RawFormat())
        self._finished = self._interrupted = False
        self._lock = threading.Lock()

    @property
    def seconds_processed(self) -> float:
        """Seconds of audio accepted so far, with what the resampler still holds."""
        return self._samples_accepted / self._source_rate

    @property
    def seconds_to_step(self) -> float:
        """Seconds of further audio before the model can compute its next chunk; with less there are no events."""
        held_back = self._samples_accepted / self._source_rate - self._samples_processed / self._facts.sample_rate
        return max(0.0, self._missing(self._open_recognition()) / self._facts.sample_rate - held_back)

    @property
    def segment_start(self) -> float:
        """Seconds from the beginning of the stream to that of the present segment; no later final begins before it."""
        return self._open_recognition().segment_start

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
        with self._alone():
            self._open_recognition().set_hot_words(hot_words)

    def accept(self, samples: ArrayLike) -> list[Event]:
        """Process samples, [n] or [n, channels], float in [-1, 1] or integer, at the stream's rate.

        Returns:
            ``partial`` events where the text changed and a ``final`` for each segment that ended.

        Raises:
            AudioError: The samples are invalid.
            UsageError: The stream is finished or closed, or another thread is using it.
        """
        with self._alone():
            return self._complete(self.accept_steps(samples))

    def accept_pcm16(self, data: bytes) -> list[Event]:
        """Process bytes of 16-bit little-endian mono samples; half a sample at the end waits for the next call.

        Raises:
            UsageError: The stream is finished or closed, or another thread is using it.
        """
        with self._alone():
            return self._complete(self.accept_steps(self._pcm16.step(data)))

    def end_segment(self) -> list[Event]:
        """End the segment now, as if silence followed, and keep listening.

        Returns:
            The events of the segment, the last of which is a ``final`` if there were words.

        Raises:
            UsageError: The stream is finished or closed, or another thread is using it.
        """
        with self._alone():
            return self._complete(self.end_segment_steps())

    def finish(self) -> list[Event]:
        """End the stream: decode the rest, with a little silence after it, and make the last segment final."""
        with self._alone():
            return [] if self._finished and not self._interrupted else self._complete(self.finish_steps())

    def close(self) -> None:
        """Give the memory of the stream back; what has not become final is lost."""
        with self._alone():
            self._interrupted = False
            self._finished, self._recognition = True, None
            self._waiting = self._resampled = np.zeros(0, np.float32)

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def accept_steps(self, samples: ArrayLike) -> Steps:
        """Do what `accept` does, one step of the model at a time, for a caller that computes many streams at once.

        The generator yields the steps, is sent their results, and returns the events. It has to run to its end before
        the next method is called.
        """
        recognition = self._listening_recognition()
        mono = self._input.step(samples)[:, 0]
        self._samples_accepted += len(mono)
        return (yield from self._process(recognition, self._resampler.step(mono)))

    def end_segment_steps(self) -> Steps:
        """Do what `end_segment` does, step by step as `accept_steps`."""
        recognition = self._listening_recognition()
        held, _ = recognition.parts.conditioner.step(self._resampled, self._conditioning, last=True)
        return (yield from recognition.end_segment(np.concatenate([self._waiting, held])))

    def finish_steps(self) -> Steps:
        """Do what `finish` does, step by step as `accept_steps`."""
        if self._finished:
            return []
        recognition = self._listening_recognition()
        self._finished = True
        self._input.finish()
        rest = self._resampler.step(np.zeros(0, np.float32), last=True)
        events = yield from self._process(recognition, rest, last=True)
        frames = self._facts.frames_decoded(self._samples_processed)
        recognition.end_recording(len(self._waiting))
        while recognition.frames_decoded < frames:
            left = (frames + self._facts.delay_frames) * self._facts.frame_samples - recognition.samples_in_model
            missing = recognition.parts.step_samples(left) - len(self._waiting)
            position = recognition.samples_in_model + len(self._waiting)
            silence = recognition.parts.conditioner.silence(position, missing)
            chunk, self._waiting = np.concatenate([self._waiting, silence]), np.zeros(0, np.float32)
            events += yield from recognition.advance(chunk, frames - recognition.frames_decoded)
        return events + recognition.finish()

    def _process(self, recognition: Recognition, samples: Floats, last: bool = False) -> Steps:
        self._samples_processed += len(samples)
        recognition.seconds_resampled = self._samples_processed / self._facts.sample_rate
        self._resampled = np.concatenate([self._resampled, samples])
        if self._missing(recognition) > 0 and not last:
            return []
        samples, self._conditioning = recognition.parts.conditioner.step(self._resampled, self._conditioning, last)
        self._resampled = np.zeros(0, np.float32)
        self._waiting = np.concatenate([self._waiting, samples])
        size = recognition.parts.chunk_samples
        events: list[Event] = []
        while len(self._waiting) >= size:
            chunk, self._waiting = self._waiting[:size], self._waiting[size:]
            events += yield from recognition.advance(chunk)
            events += yield from recognition.look_ahead()
        return events

    def _missing(self, recognition: Recognition) -> int:
        """Return how many samples are missing before the next chunk can be complete."""
        here = len(self._waiting) + len(self._conditioning.pending) + len(self._resampled)
        return recognition.parts.chunk_samples - here

    def _complete(self, steps: Steps) -> list[Event]:
        """Compute the steps of this stream alone."""
        model = self._open_recognition().parts.model
        try:
            wanted = next(steps)
            while True:
                wanted = steps.send(model.step(wanted.samples, wanted.state))
        except StopIteration as stop:
            events: list[Event] = stop.value
            return events

    def _open_recognition(self) -> Recognition:
        if self._interrupted:
            raise UsageError("a call of the stream was interrupted; begin a new one with Recognizer.stream()")
        if self._recognition is None:
            raise UsageError("the stream is closed; begin a new one with Recognizer.stream()")
        return self._recognition

    def _listening_recognition(self) -> Recognition:
        """Return the recognition of a stream that is not finished, for a call that begins now."""
        recognition = self._open_recognition()
        if self._finished:
            raise UsageError("the stream is finished; begin a new one with Recognizer.stream()")
        recognition.arrived = time.perf_counter()
        return recognition

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._lock.acquire(blocking=False):
            raise UsageError("two threads use one stream at the same time; give each its own, or guard it with a lock")
        try:
            yield
        except EdgespeechError:
            raise
        except BaseException:
            self._interrupted = True
            raise
        finally:
            self._lock.release()
