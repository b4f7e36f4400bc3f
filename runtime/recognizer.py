"""Speech recognition with a bundle: `Recognizer` for recordings, which also begins streams."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgespeech.errors import UsageError
from edgespeech.runtime import audio
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import MAX_CHUNK_SECONDS, Bundle, load_bundle
from edgespeech.runtime.bundle_decoder import bundle_decoder
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.endpoint import Endpointer, EndpointRules
from edgespeech.runtime.min_evidence import MinEvidence
from edgespeech.runtime.options import RecognizerOptions
from edgespeech.runtime.stream import Parts, Stream
from edgespeech.runtime.transcript import Event, Segment, Transcript, join_hypotheses

Floats = NDArray[np.float32]


class Recognizer:
    """One model in memory, ready for recordings and for any number of streams.

    Args:
        bundle: From `load_bundle`; None for the default bundle.
        options: Settings; by default those of the bundle.
        parts: Stages to use instead of those that `load_parts` makes of the bundle and the options.
        **settings: Fields of `RecognizerOptions` to change in ``options``, such as ``nbest=3``.

    Attributes:
        bundle: The bundle.
        parts: The stages that all streams share.

    Raises:
        EdgespeechError: The bundle, the model, the language model or a setting is invalid.
    """

    def __init__(
        self,
        bundle: Bundle | None = None,
        options: RecognizerOptions | None = None,
        *,
        parts: Parts | None = None,
        **settings: Any,
    ) -> None:
        self.bundle = load_bundle() if bundle is None else bundle
        self.options = replace(options or RecognizerOptions(), **settings)
        self.parts = load_parts(self.bundle, self.options) if parts is None else parts

    @property
    def sample_rate(self) -> int:
        """Sample rate of the model in hertz; audio of another rate is resampled."""
        return self.parts.audio.sample_rate

    @property
    def chunk_samples(self) -> int:
        """Samples per step of the model."""
        return self.parts.chunk_samples

    @property
    def model(self) -> AcousticModel:
        """The acoustic model, for callers that need log-probabilities."""
        return self.parts.model

    @property
    def decoder(self) -> BeamSearchDecoder:
        """The beam search, for callers that have log-probabilities."""
        return self.parts.decoder

    def stream(self, sample_rate: int | None = None, fast_partials: bool = False) -> Stream:
        """Begin a stream.

        Args:
            sample_rate: Sample rate of the audio in hertz; the model's own by default.
            fast_partials: Whether partials cover all audio so far, with the look-ahead padded with zeros, instead of
                waiting for the look-ahead of the row convolution. Finals are the same; the model computes twice as
                much.
        """
        return Stream(self.parts, self.sample_rate if sample_rate is None else sample_rate, fast_partials)

    def transcribe(self, source: str | Path | tuple[ArrayLike, int]) -> Transcript:
        """Transcribe a recording.

        Args:
            source: An audio file, or samples ([n] or [n, channels], float in [-1, 1] or integer) and their rate in Hz.

        Raises:
            AudioError: The file or the samples are not readable audio.
        """
        if isinstance(source, (str, Path)):
            return self.transcribe_blocks(audio.read_blocks(source, self.sample_rate))
        samples, rate = source
        return self.transcribe_blocks([audio.from_array(samples, rate, self.sample_rate)])

    def transcribe_blocks(self, blocks: Iterable[Floats]) -> Transcript:
        """Transcribe a recording from blocks of samples at the model's rate."""
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
            duration=stream.seconds_processed,
            seconds=time.perf_counter() - began,
            nbest=join_hypotheses(segments),
        )


def load_parts(bundle: Bundle, options: RecognizerOptions) -> Parts:
    """Load the model and the language model, and make the stages of a recognizer.

    Raises:
        EdgespeechError: The bundle, the model, the language model or a setting is invalid.
    """
    manifest = bundle.manifest
    rules = EndpointRules(options.endpoint_seconds, options.empty_seconds, options.longest_seconds)
    return Parts(
        audio=manifest.audio,
        endpointer=Endpointer(manifest.audio.frame_seconds, manifest.labels, manifest.blank, rules),
        min_evidence=MinEvidence(options.min_evidence, manifest.decoder.min_confidence),
        chunk_samples=_chunk_samples(bundle, options.chunk_ms),
        decoder=bundle_decoder(bundle, options),
        model=AcousticModel(bundle, options.threads, options.provider),
        nbest=options.nbest,
    )


def _all_events(stream: Stream, blocks: Iterable[Floats]) -> Iterator[Event]:
    for block in blocks:
        yield from stream.accept(block)
    yield from stream.finish()


def _chunk_samples(bundle: Bundle, chunk_ms: float | None) -> int:
    facts = bundle.manifest.audio
    if chunk_ms is None:
        return facts.chunk_samples
    samples = chunk_ms * facts.sample_rate / 1000.0
    own = facts.chunk_seconds * 1000.0
    if not facts.chunk_free and samples != facts.chunk_samples:
        raise UsageError(f"chunk of {chunk_ms:g} ms: this bundle has a fixed one of {own:g} ms; export with --chunk-ms")
    longest = MAX_CHUNK_SECONDS * facts.sample_rate
    if not facts.frame_samples <= samples <= longest or samples % facts.frame_samples:
        raise UsageError(
            f"chunk of {chunk_ms:g} ms: wanted a multiple of {facts.frame_seconds * 1000.0:g} ms, "
            f"at most {MAX_CHUNK_SECONDS:g} s"
        )
    return int(samples)
