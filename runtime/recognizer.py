"""Speech recognition with a bundle: `Recognizer` for recordings, which also begins streams."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgespeech.errors import UsageError
from edgespeech.runtime import audio
from edgespeech.runtime.acoustic_model import AcousticModel, import_onnxruntime, return_freed_memory
from edgespeech.runtime.bundle import MAX_CHUNK_SECONDS, PUNCTUATION, Bundle, load_bundle
from edgespeech.runtime.bundle_decoder import bundle_decoder
from edgespeech.runtime.conditioning.conditioner import Conditioner
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.endpoint import Endpointer, EndpointRules
from edgespeech.runtime.min_evidence import MinEvidence
from edgespeech.runtime.options import RecognizerOptions
from edgespeech.runtime.recognition import Parts
from edgespeech.runtime.stream import Stream
from edgespeech.runtime.transcript import Segment, Transcript
from edgespeech.runtime.transcription import Transcription

if TYPE_CHECKING:  # imported where texts are written
    from edgespeech.runtime.punctuation.writing import Writer

Floats = NDArray[np.float32]
_ABOUT_BYTES = "; bytes of 16-bit samples become samples by numpy.frombuffer(data, dtype='<i2')"
_RECORDING_SECONDS = 2.4  # of audio per step: 0.56 of the CPU time with 0.3 s, and less than with 4.8 s
Recording = str | Path | tuple[ArrayLike, int]


class Recognizer:
    """One model in memory, ready for recordings and for any number of streams; a context manager that closes it.

    Args:
        bundle: From `load_bundle`, or the folder of one; None for the default bundle.
        options: Settings; by default those of the bundle.
        parts: Stages to use instead of those that `load_parts` makes of the bundle and the options.
        **settings: Fields of `RecognizerOptions` to change in ``options``, such as ``nbest=3``.

    Attributes:
        bundle: The bundle.
        options: The settings.

    Raises:
        EdgespeechError: The bundle, the model, the language model or a setting is invalid.
    """

    def __init__(
        self,
        bundle: Bundle | str | Path | None = None,
        options: RecognizerOptions | None = None,
        *,
        parts: Parts | None = None,
        **settings: Any,
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
        self.options = replace(options or RecognizerOptions(), **settings)
        self._parts: Parts | None = load_parts(self.bundle, self.options) if parts is None else parts
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()

    @property
    def parts(self) -> Parts:
        """The stages that all streams share."""
        if self._parts is None:
            raise UsageError("the recognizer is closed; make a new one with Recognizer(bundle)")
        return self._parts

    def close(self) -> None:
        """Close all streams and give the memory of the models back; a closed recognizer can be closed again.

        Raises:
            UsageError: Another thread is using one of the streams.
        """
        for stream in tuple(self._streams):
            stream.close()
        self._parts = None
        return_freed_memory()

    def __enter__(self) -> Recognizer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def labels(self) -> tuple[str, ...]:
        """Text of each label of the model, the blank included."""
        return self.parts.decoder.labels

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
        stream = Stream(self.parts, self.sample_rate if sample_rate is None else sample_rate, fast_partials)
        self._streams.add(stream)
        return stream

    def transcribe(self, source: Recording, channel: int | None = None) -> Transcript:
        """Transcribe a recording.

        Args:
            source: An audio file, or a pair: samples ([n], [n, channels], float in [-1, 1] or integer) and rate.
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

    def segments(self, source: Recording, channel: int | None = None) -> Iterator[Segment]:
        """Transcribe a recording, and yield each segment as soon as it is final.

        Args:
            source: As for `transcribe`.
            channel: As for `transcribe`.

        Raises:
            DamagedAudioError: Audio is missing in a file that can be read in part. This is raised behind the last
                segment, where `transcribe` sets ``damage``.
            AudioError: As for `transcribe`, at the first segment.
            UsageError: The channel is invalid.
        """
        blocks = self._blocks(source, audio.MIX if channel is None else channel)
        return self._segments(Transcription(self.stream, (block[:, None] for block in blocks)))

    def _segments(self, transcription: Transcription) -> Iterator[Segment]:
        for _, segment in transcription:
            yield segment
        if transcription.damage is not None:
            raise transcription.damage

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
        if not (isinstance(source, tuple) and len(source) == 2):
            advice = _ABOUT_BYTES if isinstance(source, (bytes, bytearray)) else ""
            raise UsageError(
                f"recording of type {type(source).__name__}; wanted the path of an audio file or "
                f"the pair (samples, sample_rate) as one argument{advice}"
            )
        samples, rate = source
        return [audio.from_array(samples, rate, self.sample_rate, channel)]

    def _transcribe_columns(self, blocks: Iterable[Floats]) -> list[Transcript]:
        transcription = Transcription(self.stream, blocks)
        deque(transcription, maxlen=0)
        return transcription.transcripts()


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
        writer=load_writer(bundle, options) if options.written else None,
    )


def load_writer(bundle: Bundle, options: RecognizerOptions) -> Writer:
    """Load what writes the finals of a bundle.

    Raises:
        UsageError: The bundle has no tagger.
        EdgespeechError: The tagger cannot be loaded, or a library for numbers is missing.
    """
    from edgespeech.runtime.punctuation.numerals import load_numerals
    from edgespeech.runtime.punctuation.tagger import PunctuationTagger
    from edgespeech.runtime.punctuation.writing import Writer, cased_phrases

    if bundle.punctuation_path is None:
        raise UsageError(
            f"bundle {bundle.folder} has no {PUNCTUATION}, which written text needs; add one with "
            "`edgespeech punctuation add`, or ask for plain text"
        )
    return Writer(
        PunctuationTagger(bundle.punctuation_path, import_onnxruntime()),
        cased_phrases(options.hot_words or ()),
        load_numerals() if options.numerals else None,
    )


def recording_chunk_ms(bundle: Bundle) -> float | None:
    """Return the chunk in milliseconds for recordings, of which nobody waits for the first words.

    A longer chunk reads the weights less often. None, for the bundle's own, if that is fixed.
    """
    facts = bundle.manifest.audio
    if not facts.chunk_free:
        return None
    chunks = max(1, int(_RECORDING_SECONDS * facts.sample_rate) // facts.chunk_samples)
    return 1000.0 * chunks * facts.chunk_seconds


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
