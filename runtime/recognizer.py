"""Speech recognition with a bundle: `Recognizer` for recordings, which also begins streams."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgespeech.errors import DamagedAudioError, UsageError
from edgespeech.runtime import audio
from edgespeech.runtime.acoustic_model import AcousticModel
from edgespeech.runtime.bundle import MAX_CHUNK_SECONDS, Bundle, load_bundle
from edgespeech.runtime.bundle_decoder import bundle_decoder
from edgespeech.runtime.conditioning.conditioner import Conditioner
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.endpoint import Endpointer, EndpointRules
from edgespeech.runtime.min_evidence import MinEvidence
from edgespeech.runtime.options import RecognizerOptions
from edgespeech.runtime.stream import Parts, Stream
from edgespeech.runtime.transcript import Event, Segment, Transcript, join_hypotheses

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]
Recording = str | Path | tuple[ArrayLike, int]


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

    def transcribe(self, source: Recording, channel: int | None = None) -> Transcript:
        """Transcribe a recording.

        Args:
            source: An audio file, or samples ([n] or [n, channels], float in [-1, 1] or integer) and their rate in Hz.
            channel: Number of the channel to read, from 1; by default the mean of all channels.

        Returns:
            The transcript, whose ``damage`` says where audio is missing in a file that can be read in part.

        Raises:
            AudioError: The file or the samples are not readable audio, or have no such channel.
            UsageError: The channel is invalid.
        """
        blocks = self._blocks(source, audio.MIX if channel is None else channel)
        return replace(self.transcribe_blocks(blocks), channel=channel)

    def transcribe_channels(self, source: Recording) -> tuple[Transcript, ...]:
        """Transcribe each channel of a recording by itself, such as the two sides of a call.

        Raises:
            AudioError: The file or the samples are not readable audio.
        """
        return self.transcribe_channel_blocks(self._blocks(source, audio.EACH))

    def transcribe_blocks(self, blocks: Iterable[Floats]) -> Transcript:
        """Transcribe a recording from blocks of samples, float32 [n] in [-1, 1], at the model's rate."""
        (transcript,) = self._transcribe_columns(block[:, None] for block in blocks)
        return transcript

    def transcribe_channel_blocks(self, blocks: Iterable[Floats]) -> tuple[Transcript, ...]:
        """Transcribe each column of blocks, float32 [n, channels] in [-1, 1], at the model's rate."""
        transcripts = self._transcribe_columns(blocks)
        return tuple(replace(one, channel=number) for number, one in enumerate(transcripts, start=1))

    def _blocks(self, source: Recording, channel: audio.Channel) -> Iterable[Floats]:
        if isinstance(source, (str, Path)):
            return audio.read_blocks(source, self.sample_rate, channel=channel)
        samples, rate = source
        return [audio.from_array(samples, rate, self.sample_rate, channel)]

    def _transcribe_columns(self, blocks: Iterable[Floats]) -> list[Transcript]:
        began = time.perf_counter()
        streams: list[Stream] = []
        finals: list[list[Event]] = []
        damage: str | None = None
        try:
            for block in blocks:
                if not streams:
                    streams = [self.stream() for _ in range(block.shape[1])]
                    finals = [[] for _ in streams]
                for stream, found, column in zip(streams, finals, block.T, strict=True):
                    found += _only_finals(stream.accept(column))
        except DamagedAudioError as error:
            if not streams:
                raise
            damage = str(error)
        streams, finals = streams or [self.stream()], finals or [[]]
        for stream, found in zip(streams, finals, strict=True):
            found += _only_finals(stream.finish())
            if stream.level_warning:
                log.warning("%s", stream.level_warning)
        seconds = (time.perf_counter() - began) / len(streams)
        return [
            _transcript(found, stream.seconds_processed, seconds, damage)
            for stream, found in zip(streams, finals, strict=True)
        ]


def load_parts(bundle: Bundle, options: RecognizerOptions) -> Parts:
    """Load the model and the language model, and make the stages of a recognizer.

    Raises:
        EdgespeechError: The bundle, the model, the language model or a setting is invalid.
    """
    manifest = bundle.manifest
    rules = EndpointRules(options.endpoint_seconds, options.empty_seconds, options.longest_seconds)
    return Parts(
        audio=manifest.audio,
        conditioner=Conditioner(manifest.audio.sample_rate, manifest.audio.frame_samples),
        endpointer=Endpointer(manifest.audio.frame_seconds, manifest.labels, manifest.blank, rules),
        min_evidence=MinEvidence(options.min_evidence, manifest.decoder.min_confidence),
        chunk_samples=_chunk_samples(bundle, options.chunk_ms),
        decoder=bundle_decoder(bundle, options),
        model=AcousticModel(bundle, options.threads, options.provider),
        nbest=options.nbest,
    )


def _only_finals(events: Iterable[Event]) -> list[Event]:
    return [event for event in events if event.type == "final"]


def _transcript(finals: Iterable[Event], duration: float, seconds: float, damage: str | None) -> Transcript:
    segments = [Segment(event.text, event.start, event.end, event.words, event.nbest) for event in finals]
    return Transcript(
        text=" ".join(segment.text for segment in segments),
        segments=tuple(segments),
        duration=duration,
        seconds=seconds,
        nbest=join_hypotheses(segments),
        damage=damage,
    )


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
