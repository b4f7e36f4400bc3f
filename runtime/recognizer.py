"""From sound to words: `Recognizer` for recordings, `Stream` for sound that is still arriving."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgespeech.errors import UsageError
from edgespeech.runtime import audio
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import LONGEST_CHUNK_SECONDS, Bundle, load_bundle
from edgespeech.runtime.bundle_decoder import bundle_decoder
from edgespeech.runtime.endpoint import Endpointer, EndpointRules, frame_levels
from edgespeech.runtime.noise_gate import NATS_PER_WORD, NoiseGate
from edgespeech.runtime.transcript import Event, Hypothesis, Segment, Transcript, read_whole

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
        hot_words: Phrases that are expected, each with the natural log that it adds to a text's score.
        grammar: The only phrases that can come out, beside ``<unknown>``; there is no language model then.
        filler_score: Natural log for each letter of speech outside the grammar; the lower, the less is rejected.
        nbest: Hypotheses that finals and transcripts carry.
        endpoint_seconds: Silence after speech that ends a segment; None leaves the rule out, as for the next two.
        empty_seconds: Silence after which a segment without speech begins anew.
        longest_seconds: Length from which a segment ends at the next pause between two words.
        noise_gate: Acoustic evidence, in nats per word, that a segment needs; 0 lets everything pass.
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
        hot_words: Mapping[str, float] | None = None,
        grammar: Iterable[str] | None = None,
        filler_score: float | None = None,
        nbest: int = 1,
        endpoint_seconds: float | None = 1.0,
        empty_seconds: float | None = 5.0,
        longest_seconds: float | None = 30.0,
        noise_gate: float = NATS_PER_WORD,
        chunk_ms: float | None = None,
        threads: int = 1,
        provider: str = "cpu",
    ) -> None:
        """Load the model and the language model."""
        self.bundle = load_bundle() if bundle is None else bundle
        manifest = self.bundle.manifest
        if nbest < 1:
            raise UsageError(f"nbest is {nbest}; wanted 1 or more")
        self.nbest = nbest
        rules = EndpointRules(endpoint_seconds, empty_seconds, longest_seconds)
        self.endpointer = Endpointer(manifest.audio.frame_seconds, manifest.labels, manifest.blank, rules)
        self.noise_gate = NoiseGate(noise_gate, manifest.decoder.least_confidence)
        self.chunk_samples = _chunk_samples(self.bundle, chunk_ms)
        self.decoder = bundle_decoder(
            self.bundle,
            beam_width=beam_width,
            alpha=alpha,
            beta=beta,
            unknown_score=unknown_score,
            use_lm=use_lm,
            lm=lm,
            hot_words=hot_words,
            grammar=grammar,
            filler_score=filler_score,
        )
        self.model = AcousticModel(self.bundle, threads, provider)

    @property
    def sample_rate(self) -> int:
        """Hertz that the model hears at; streams and recordings of other rates are resampled."""
        return self.bundle.manifest.audio.sample_rate

    def stream(self, sample_rate: int | None = None, fast_partials: bool = False) -> Stream:
        """Begin to listen.

        Args:
            sample_rate: Hertz of the sound; the model's own by default.
            fast_partials: Whether partials speak of all that was heard, as if silence came next, instead of waiting for
                the look-ahead of the row convolution. Finals are the same; the model computes twice as much.
        """
        return Stream(self, self.sample_rate if sample_rate is None else sample_rate, fast_partials)

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
            nbest=read_whole(segments),
        )


class Stream:
    """Sound goes in as it arrives, events come out; made by `Recognizer.stream`.

    However the sound is cut, the same chunks reach the model, so the text does not depend on it.
    """

    def __init__(self, recognizer: Recognizer, sample_rate: int, fast_partials: bool = False) -> None:
        """Begin at silence."""
        self._recognizer, self._fast_partials = recognizer, fast_partials
        self._facts = recognizer.bundle.manifest.audio
        self._source_rate = sample_rate
        self._resampler = audio.Resampler(sample_rate, self._facts.sample_rate)
        self._waiting: Floats = np.zeros(0, np.float32)
        self._model_state = recognizer.model.initial_state()
        self._to_drop = self._facts.delay_frames
        self._levels: Floats = np.zeros(0, np.float32)  # of frames heard and not decoded, dB
        self._samples_heard = self._frames_decoded = self._segment_first_frame = 0
        self._decoder = self._next_decoder = recognizer.decoder
        self._decoder_state = self._decoder.initial_state()
        self._endpoint_state = recognizer.endpointer.initial_state()
        self._blank_score = 0.0
        self._shown = self._committed = ""
        self._arrived = time.perf_counter()
        self._finished = False

    @property
    def seconds_heard(self) -> float:
        """Seconds of audio accepted so far."""
        return self._samples_heard / self._facts.sample_rate

    def set_hot_words(self, hot_words: Mapping[str, float]) -> None:
        """Expect other phrases from the next segment on, or from this one if no frame of it has been decoded.

        Raises:
            UsageError: A hot word will not do, or the recognizer has a grammar.
        """
        self._next_decoder = self._decoder.with_hot_words(hot_words)
        if not self._decoder_state.frame:
            self._decoder, self._decoder_state = self._next_decoder, self._next_decoder.initial_state()

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
        """End the stream: what is inside comes out, a little silence behind it; the last segment becomes final."""
        if self._finished:
            return []
        self._finished = True
        self._arrived = time.perf_counter()
        events = self._hear(self._resampler.step(np.zeros(0, np.float32), last=True))
        frames = self._facts.frames_decoded(self._samples_heard)
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
            events += self._look_ahead()
        self._waiting = self._waiting[whole:]
        return events

    def _advance(self, chunk: Floats, most: int | None = None) -> list[Event]:
        self._levels = np.concatenate([self._levels, frame_levels(chunk, self._facts.frame_samples)])
        log_probs, self._model_state = self._recognizer.model.step(chunk[None], self._model_state)
        dropped, self._to_drop = self._to_drop, max(0, self._to_drop - len(log_probs[0]))
        return list(self._decode(log_probs[0][dropped:][:most]))

    def _decode(self, rows: Floats) -> Iterator[Event]:
        endpointer = self._recognizer.endpointer
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
            self._committed = _tidy(partial.committed)
            if not self._fast_partials:
                yield from self._show(_tidy(partial.text))

    def _look_ahead(self) -> Iterator[Event]:
        """What follows from sound that was heard and has no certain outputs yet: an endpoint, a fast partial."""
        endpointer, state = self._recognizer.endpointer, self._endpoint_state
        may_end = endpointer.may_end(state, len(self._levels))
        if not may_end and not self._fast_partials:
            return
        rows = self._imagine_silence()
        if may_end and endpointer.ends_early(rows, self._levels, state):
            yield from self._end_segment()
        if self._fast_partials:
            partial, _ = self._decoder.step(rows, self._decoder_state)
            yield from self._show(_tidy(partial.text), len(rows))

    def _imagine_silence(self) -> Floats:
        """Outputs [frames, labels] that will follow if silence comes next; the stream stays where it is."""
        delay, size = self._facts.delay_frames, self._recognizer.chunk_samples
        state, rows = self._model_state, np.zeros((0, len(self._recognizer.decoder.labels)), np.float32)
        while len(rows) < delay:
            more, state = self._recognizer.model.step(np.zeros((1, size), np.float32), state)
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
            end=min((self._frames_decoded + frames_ahead) * self._facts.frame_seconds, self.seconds_heard),
            latency_ms=self._latency_ms(),
        )

    def _end_segment(self) -> Iterator[Event]:
        hypotheses = tuple(map(self._in_stream, self._decoder.finish(self._decoder_state, self._recognizer.nbest)))
        words = hypotheses[0].words
        if not self._recognizer.noise_gate.passes(hypotheses[0], self._blank_score):
            words = ()
        retract = bool(self._shown) and not words
        self._segment_first_frame = self._frames_decoded
        self._decoder = self._next_decoder
        self._decoder_state = self._decoder.initial_state()
        self._endpoint_state = self._recognizer.endpointer.initial_state()
        self._blank_score = 0.0
        self._shown = self._committed = ""
        if retract:
            # The best complete reading has no words, or none worth showing, although a partial showed some.
            yield self._partial("", "")
        if words:
            text = " ".join(word.word for word in words)
            start, end = words[0].start, words[-1].end
            yield Event("final", text, text, "", start, end, words, self._latency_ms(), hypotheses)

    def _in_stream(self, hypothesis: Hypothesis) -> Hypothesis:
        """Times and frames from the beginning of the stream instead of the segment."""
        first = self._segment_first_frame
        offset = first * self._facts.frame_seconds
        last = max(0.0, self.seconds_heard - self._facts.frame_seconds)
        words = tuple(
            replace(word, start=min(word.start + offset, last), end=min(word.end + offset, self.seconds_heard))
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
