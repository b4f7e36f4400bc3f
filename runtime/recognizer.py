"""From sound to words: `Recognizer` for recordings, `Stream` for sound that is still arriving."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgespeech.errors import UsageError
from edgespeech.runtime import audio
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.beam_search import BeamSearchDecoder
from edgespeech.runtime.bundle import LONGEST_CHUNK_SECONDS, Bundle, load_bundle
from edgespeech.runtime.endpoint import Endpointer
from edgespeech.runtime.language_model import LanguageModel
from edgespeech.runtime.transcript import Event, Hypothesis, Segment, Transcript

Floats = NDArray[np.float32]


class Recognizer:
    """One model in memory, ready for recordings and for any number of streams.

    Args:
        bundle: From `load_bundle`; None for the bundle that ships with edgespeech.
        beam_width: Prefixes that the search keeps; None for the bundle's own setting, as for the next two.
        alpha: Weight of the language model.
        beta: Bonus for each word.
        unknown_score: Natural log added to the language model's score of a word that it does not know.
        use_lm: Whether to use the bundle's language model.
        lm: Another KenLM model instead.
        nbest: Hypotheses that finals and transcripts carry.
        endpoint_seconds: Silence that ends a segment; None for one segment however long.
        chunk_ms: Audio per step, where the graph leaves it free.
        threads: CPU threads of the acoustic model.
        provider: onnxruntime's execution provider: ``cpu``, ``cuda``, ``tensorrt`` and so on.

    Raises:
        EdgespeechError: Anything about the bundle, the model, the language model or the settings that does not fit.
    """

    def __init__(
        self,
        bundle: Bundle | None = None,
        *,
        beam_width: int | None = None,
        alpha: float | None = None,
        beta: float | None = None,
        unknown_score: float | None = None,
        use_lm: bool = True,
        lm: str | Path | None = None,
        nbest: int = 1,
        endpoint_seconds: float | None = 1.0,
        chunk_ms: float | None = None,
        threads: int = 1,
        provider: str = "cpu",
    ) -> None:
        """Load the model and the language model."""
        self.bundle = load_bundle() if bundle is None else bundle
        manifest = self.bundle.manifest
        if nbest < 1:
            raise UsageError(f"nbest is {nbest}; wanted 1 or more")
        if lm is not None and not use_lm:
            raise UsageError(f"language model {lm} and no language model: the two clash; leave one out")
        self.nbest = nbest
        self.endpointer = Endpointer(manifest.audio.frame_seconds, manifest.blank, endpoint_seconds)
        self.chunk_samples = _chunk_samples(self.bundle, chunk_ms)
        lm_path = (self.bundle.language_model_path if lm is None else Path(lm)) if use_lm else None
        self.decoder = BeamSearchDecoder(
            manifest.labels,
            manifest.blank,
            LanguageModel(lm_path) if lm_path else None,
            alpha=manifest.decoder.alpha if alpha is None else alpha,
            beta=(manifest.decoder.beta if lm_path else 0.0) if beta is None else beta,
            unknown_score=manifest.decoder.unknown_score if unknown_score is None else unknown_score,
            beam_width=manifest.decoder.beam_width if beam_width is None else beam_width,
            frame_seconds=manifest.audio.frame_seconds,
        )
        self.model = AcousticModel(self.bundle, threads, provider)

    @property
    def sample_rate(self) -> int:
        """Hertz that the model hears at; streams and recordings of other rates are resampled."""
        return self.bundle.manifest.audio.sample_rate

    def stream(self, sample_rate: int | None = None) -> Stream:
        """Begin to listen to sound of the given rate (the model's own by default)."""
        return Stream(self, self.sample_rate if sample_rate is None else sample_rate)

    def transcribe(self, source: str | Path | tuple[ArrayLike, int]) -> Transcript:
        """Transcribe a recording.

        Args:
            source: An audio file, or samples ([n] or [n, channels], float in [-1, 1] or integer) and their rate.

        Raises:
            AudioError: The file or the samples cannot be heard.
        """
        if isinstance(source, (str, Path)):
            return self.transcribe_blocks(audio.read_blocks(source, self.sample_rate))
        samples, rate = source
        return self.transcribe_blocks([audio.from_array(samples, rate, self.sample_rate)])

    def transcribe_blocks(self, blocks: Iterable[Floats]) -> Transcript:
        """Transcribe samples that come in pieces at the model's rate, as one recording."""
        began = time.perf_counter()
        stream = self.stream()
        segments = [
            Segment(event.text, event.start, event.end, event.words, event.nbest)
            for event in _all_events(stream, blocks)
            if event.type == "final"
        ]
        return Transcript(
            text=" ".join(segment.text for segment in segments),
            segments=tuple(segments),
            duration=stream.seconds_heard,
            seconds=time.perf_counter() - began,
            nbest=_whole_alternatives(segments),
        )


class Stream:
    """Sound goes in as it arrives, events come out; made by `Recognizer.stream`.

    However the sound is cut, the same chunks reach the model, so the text does not depend on it.
    """

    def __init__(self, recognizer: Recognizer, sample_rate: int) -> None:
        """Begin at silence."""
        self._recognizer = recognizer
        self._facts = recognizer.bundle.manifest.audio
        self._source_rate = sample_rate
        self._resampler = audio.Resampler(sample_rate, self._facts.sample_rate)
        self._waiting: Floats = np.zeros(0, np.float32)
        self._model_state = recognizer.model.initial_state()
        self._to_drop = self._facts.delay_frames
        self._samples_heard = 0
        self._frames_decoded = 0
        self._segment_first_frame = 0
        self._decoder_state = recognizer.decoder.initial_state()
        self._endpoint_state = recognizer.endpointer.initial_state()
        self._shown = ""
        self._arrived = time.perf_counter()
        self._finished = False

    @property
    def seconds_heard(self) -> float:
        """Seconds of audio accepted so far."""
        return self._samples_heard / self._facts.sample_rate

    def accept(self, samples: ArrayLike) -> list[Event]:
        """Hear more.

        Args:
            samples: Any number of them, [n] or [n, channels], float in [-1, 1] or integer, at the stream's rate.

        Returns:
            ``partial`` events where the text changed and a ``final`` for each segment that ended.

        Raises:
            AudioError: The samples cannot be heard.
            UsageError: The stream is finished.
        """
        if self._finished:
            raise UsageError("the stream is finished; begin a new one with Recognizer.stream()")
        self._arrived = time.perf_counter()
        mono = audio.from_array(samples, self._source_rate)
        return self._hear(self._resampler.step(mono))

    def finish(self) -> list[Event]:
        """End the stream: what is still inside comes out, the last segment becomes final."""
        if self._finished:
            return []
        self._finished = True
        self._arrived = time.perf_counter()
        events = self._hear(self._resampler.step(np.zeros(0, np.float32), last=True))
        frames = -(-self._samples_heard // self._facts.frame_samples)
        while self._frames_decoded < frames:
            missing = self._recognizer.chunk_samples - len(self._waiting)
            chunk = np.pad(self._waiting, (0, missing))
            self._waiting = np.zeros(0, np.float32)
            events += self._advance(chunk, frames - self._frames_decoded)
        return events + list(self._end_segment())

    def _hear(self, samples: Floats) -> list[Event]:
        self._samples_heard += len(samples)
        self._waiting = np.concatenate([self._waiting, samples])
        size, events = self._recognizer.chunk_samples, []
        whole = len(self._waiting) // size * size
        for start in range(0, whole, size):
            events += self._advance(self._waiting[start : start + size])
        self._waiting = self._waiting[whole:]
        return events

    def _advance(self, chunk: Floats, most: int | None = None) -> list[Event]:
        log_probs, self._model_state = self._recognizer.model.step(chunk[None], self._model_state)
        rows = log_probs[0][self._to_drop :][:most]
        self._to_drop = max(0, self._to_drop - len(log_probs[0]))
        return list(self._decode(rows))

    def _decode(self, rows: Floats) -> Iterator[Event]:
        decoder, endpointer = self._recognizer.decoder, self._recognizer.endpointer
        while len(rows):
            ended, self._endpoint_state = endpointer.step(rows, self._endpoint_state)
            taken = len(rows) if ended is None else ended
            partial, self._decoder_state = decoder.step(rows[:taken], self._decoder_state)
            self._frames_decoded += taken
            rows = rows[taken:]
            if ended is not None:
                yield from self._end_segment()
            elif (text := _tidy(partial.text)) and text != self._shown:
                self._shown = text
                yield self._partial(text, _tidy(partial.committed))

    def _partial(self, text: str, committed: str) -> Event:
        return Event(
            "partial",
            text,
            committed,
            text[len(committed) :],
            start=self._segment_first_frame * self._facts.frame_seconds,
            end=self._frames_decoded * self._facts.frame_seconds,
            latency_ms=self._latency_ms(),
        )

    def _end_segment(self) -> Iterator[Event]:
        decoder = self._recognizer.decoder
        hypotheses = tuple(map(self._in_stream, decoder.finish(self._decoder_state, self._recognizer.nbest)))
        words = hypotheses[0].words
        retract = bool(self._shown) and not words
        self._segment_first_frame = self._frames_decoded
        self._decoder_state = decoder.initial_state()
        self._endpoint_state = self._recognizer.endpointer.initial_state()
        self._shown = ""
        if retract:
            # The best complete reading has no words although a partial showed some.
            yield self._partial("", "")
        if words:
            text = " ".join(word.word for word in words)
            start, end = words[0].start, words[-1].end
            yield Event("final", text, text, "", start, end, words, self._latency_ms(), hypotheses)

    def _in_stream(self, hypothesis: Hypothesis) -> Hypothesis:
        """Times and frames from the beginning of the stream instead of the segment."""
        first = self._segment_first_frame
        offset = first * self._facts.frame_seconds
        words = tuple(
            replace(word, start=word.start + offset, end=min(word.end + offset, self.seconds_heard))
            for word in hypothesis.words
        )
        return replace(hypothesis, words=words, frames=tuple(first + frame for frame in hypothesis.frames))

    def _latency_ms(self) -> float:
        return (time.perf_counter() - self._arrived) * 1000.0


def _all_events(stream: Stream, blocks: Iterable[Floats]) -> Iterator[Event]:
    for block in blocks:
        yield from stream.accept(block)
    yield from stream.finish()


def _tidy(text: str) -> str:
    return re.sub(" +", " ", text).lstrip(" ")


def _whole_alternatives(segments: list[Segment]) -> tuple[str, ...]:
    """Readings of the whole recording: reading k takes each segment's k-th hypothesis, or its last."""
    ranks = max((len(segment.nbest) for segment in segments), default=0)
    return tuple(
        " ".join(" ".join(segment.nbest[min(rank, len(segment.nbest) - 1)].text.split()) for segment in segments)
        for rank in range(ranks)
    )


def _chunk_samples(bundle: Bundle, chunk_ms: float | None) -> int:
    facts = bundle.manifest.audio
    if chunk_ms is None:
        return facts.chunk_samples
    samples = chunk_ms * facts.sample_rate / 1000.0
    own = facts.chunk_seconds * 1000.0
    if not facts.chunk_free and samples != facts.chunk_samples:
        raise UsageError(f"chunk of {chunk_ms:g} ms: this bundle has a fixed one of {own:g} ms; export with --chunk-ms")
    longest = LONGEST_CHUNK_SECONDS * facts.sample_rate
    if not facts.frame_samples <= samples <= longest or samples % facts.frame_samples:
        raise UsageError(
            f"chunk of {chunk_ms:g} ms: wanted a multiple of {facts.frame_seconds * 1000.0:g} ms, "
            f"at most {LONGEST_CHUNK_SECONDS:g} s"
        )
    return int(samples)
