"""Settings of a recognizer: beam search, segments and acoustic model; one frozen record, validated once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgespeech.errors import UsageError
from edgespeech.runtime.decoder.options import DecoderOptions, option

DEFAULT_MIN_EVIDENCE = 12.0  # nats per word
MAX_THREADS = 256


@dataclass(frozen=True)
class RecognizerOptions(DecoderOptions):
    """Settings of `Recognizer`; None in a field of `DecoderOptions` selects the bundle's own setting.

    Attributes:
        use_lm: Whether to use a language model.
        lm: Another KenLM model to use instead of the bundle's.
        hot_words: Expected phrases, each with the natural log that it adds to the score of a text that contains it.
        grammar: Closed grammar: only these phrases and ``<unknown>`` can be recognised; excludes a language model.
        nbest: Number of hypotheses in finals and transcripts.
        endpoint_seconds: Silence after speech that ends a segment; None disables the rule, as for the next two.
        empty_seconds: Silence after which a segment starts again if nothing was said.
        longest_seconds: Length after which a segment ends at the next pause between words (after twice that, at any).
        min_evidence: Minimum acoustic evidence of a segment, in nats per word; 0 accepts every segment.
        chunk_ms: Audio per step in milliseconds, if the graph allows other values than its own.
        threads: CPU threads of the acoustic model.
        provider: onnxruntime execution provider: ``cpu``, ``cuda``, ``tensorrt`` and so on.
        written: Whether finals are written with marks and capitals, by the bundle's tagger; partials stay plain.
        numerals: Whether numbers in written finals are digits, for English.

    Raises:
        UsageError: A value is out of range, or two options exclude each other.
    """

    use_lm: bool = True
    lm: str | Path | None = option(None, "Use this KenLM model (binary or ARPA) instead of the bundle's.", "FILE")
    hot_words: Mapping[str, float] | None = None
    grammar: Iterable[str] | None = None
    nbest: int = option(1, "Number of hypotheses to print.", "N")
    endpoint_seconds: float | None = option(
        1.0,
        "Silence after speech that ends a segment; 0 disables the rule.",
        "SECONDS",
        names=("--endpoint",),
        zero_disables=True,
    )
    empty_seconds: float | None = option(
        5.0,
        "Restart the segment after this much silence if nothing was said; 0 disables the rule.",
        "SECONDS",
        names=("--endpoint-empty",),
        zero_disables=True,
    )
    longest_seconds: float | None = option(
        30.0,
        "Length after which a segment ends at the next pause between words (after twice that, at any pause); "
        "0 disables the rule.",
        "SECONDS",
        names=("--max-segment", "--longest"),
        zero_disables=True,
    )
    min_evidence: float = option(
        DEFAULT_MIN_EVIDENCE,
        "Minimum acoustic evidence per word of a segment; 0 accepts every segment.",
        "NATS",
        names=("--min-evidence", "--noise-gate"),
    )
    chunk_ms: float | None = option(
        None, "Audio per step in milliseconds, if the bundle allows a choice; default: the bundle's.", "MS"
    )
    threads: int = option(1, "CPU threads of the acoustic model.", "N")
    provider: str = option(
        "cpu", "Execution provider: cpu, cuda, tensorrt, coreml, xnnpack, openvino or directml.", "NAME"
    )
    written: bool = False
    numerals: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.grammar is not None:  # an iterator would be empty when it is read again
            phrases = (self.grammar,) if isinstance(self.grammar, str) else tuple(self.grammar)
            object.__setattr__(self, "grammar", phrases)
        if self.hot_words is not None:  # the caller may change the original
            object.__setattr__(self, "hot_words", dict(self.hot_words))
        for name in ("endpoint_seconds", "empty_seconds", "longest_seconds"):
            seconds = getattr(self, name)
            self._require(name, seconds is None or 0.0 < seconds < math.inf, "more than 0 seconds, or None")
        self._require("nbest", self.nbest >= 1, "1 or more")
        self._require("threads", 1 <= self.threads <= MAX_THREADS, f"1 to {MAX_THREADS}")
        self._require(
            "min_evidence", 0.0 <= self.min_evidence < math.inf, "0 (accept everything) or more nats per word"
        )
        if self.lm is not None and not self.use_lm:
            raise UsageError(f"language model {self.lm} and no language model: the two clash; leave one out")
        if self.numerals and not self.written:
            raise UsageError("numerals without written text: plain text has no digits; ask for written text too")
        if self.filler_score is not None and self.grammar is None:
            raise UsageError(
                f"filler score {self.filler_score:g} without a grammar; give a grammar too, or leave it out"
            )


@dataclass(frozen=True)
class RecognizerRequest:
    """The recognizer that a command line asks for.

    Attributes:
        bundle: Bundle folder; None for the default bundle.
        options: Everything that differs from the bundle's own settings.
        given: Parameter names of the options that were given, as in ``{"bundle", "beam_width"}``.
        places: File and line of each phrase of a list, as in ``{"new york": "words.txt:3"}``.
    """

    bundle: Path | None
    options: RecognizerOptions
    given: frozenset[str] = frozenset()
    places: Mapping[str, str] = field(default_factory=dict)
