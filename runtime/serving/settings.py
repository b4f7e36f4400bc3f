"""Settings of one stream of a service, and the stages that follow from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from edgespeech.errors import UsageError
from edgespeech.runtime.audio import RawFormat
from edgespeech.runtime.bundle_decoder import bundle_decoder
from edgespeech.runtime.decoder.beam_search import BeamSearchDecoder
from edgespeech.runtime.endpoint import Endpointer
from edgespeech.runtime.punctuation.writing import Writer, cased_phrases
from edgespeech.runtime.recognition import Parts
from edgespeech.runtime.recognizer import Recognizer, load_writer

MAX_NBEST = 20
MAX_ENDPOINT_SECONDS = 60.0
_KEPT_DECODERS = 32


@dataclass(frozen=True)
class StreamSettings:
    """What a client may choose for its stream; everything else is the same for all streams of a service.

    Attributes:
        format: Encoding, sample rate and channels of the bytes that the client sends; channels are mixed.
        hot_words: Expected phrases with their boosts, as in `RecognizerOptions`.
        grammar: Closed grammar; excludes hot words. None for free speech.
        nbest: Number of hypotheses in finals.
        endpoint_seconds: Silence after speech that ends a segment; None for that of the service, 0 for no such rule.
        fast_partials: Whether partials include audio inside the look-ahead, at twice the computation.
        written: Whether finals have marks and capitals; None for what the service does.

    Raises:
        UsageError: A value is out of range, or two settings exclude each other.
    """

    format: RawFormat = RawFormat()
    hot_words: Mapping[str, float] | None = None
    grammar: Iterable[str] | None = None
    nbest: int = 1
    endpoint_seconds: float | None = None
    fast_partials: bool = False
    written: bool | None = None

    def __post_init__(self) -> None:
        if self.grammar is not None:
            object.__setattr__(self, "grammar", tuple(self.grammar))
            if self.hot_words:
                raise UsageError("a closed grammar and hot words: the two clash; leave one out")
        if not 1 <= self.nbest <= MAX_NBEST:
            raise UsageError(f"{self.nbest} hypotheses; wanted 1 to {MAX_NBEST}")
        seconds = self.endpoint_seconds
        if seconds is not None and not (math.isfinite(seconds) and 0.0 <= seconds <= MAX_ENDPOINT_SECONDS):
            raise UsageError(f"an endpoint after {seconds:g} s of silence; wanted 0 to {MAX_ENDPOINT_SECONDS:g}")


class StreamParts:
    """Makes the stages of streams with different settings from those of one recognizer.

    The searches with hot words or a grammar are kept for the clients that ask for the same again, as making one takes
    longer than a chunk of audio.
    """

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer
        self._decoder = lru_cache(_KEPT_DECODERS)(self._make_decoder)
        self._load_writer = lru_cache(1)(lambda: load_writer(recognizer.bundle, recognizer.options))

    def make(self, settings: StreamSettings) -> Parts:
        """Return the stages for a stream; the model and the language model are those of the recognizer.

        Raises:
            UsageError: A hot word or the grammar is invalid, or written text is asked for and the bundle has no tagger.
        """
        own = self._recognizer.parts
        parts = replace(own, nbest=max(settings.nbest, own.nbest), writer=self._writer(settings))
        if settings.grammar is not None or settings.hot_words:
            grammar = None if settings.grammar is None else tuple(settings.grammar)
            parts = replace(parts, decoder=self._decoder(grammar, tuple((settings.hot_words or {}).items())))
        if settings.endpoint_seconds is not None:
            manifest = self._recognizer.bundle.manifest
            rules = replace(own.endpointer.rules, endpoint_seconds=settings.endpoint_seconds or None)
            endpointer = Endpointer(manifest.audio.frame_seconds, manifest.labels, manifest.blank, rules)
            parts = replace(parts, endpointer=endpointer)
        return parts

    def _writer(self, settings: StreamSettings) -> Writer | None:
        writer = self._recognizer.parts.writer
        if settings.written is not None:
            writer = (writer or self._load_writer()) if settings.written else None
        if writer is None or not settings.hot_words:
            return writer
        return replace(writer, cased={**writer.cased, **cased_phrases(settings.hot_words)})

    def _make_decoder(
        self, grammar: tuple[str, ...] | None, hot_words: tuple[tuple[str, float], ...]
    ) -> BeamSearchDecoder:
        recognizer = self._recognizer
        if grammar is None:
            return recognizer.decoder.with_hot_words(dict(hot_words))
        options = replace(recognizer.options, grammar=grammar, hot_words=None, lm=None, beta=None)
        return bundle_decoder(recognizer.bundle, options)
