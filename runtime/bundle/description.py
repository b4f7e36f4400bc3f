"""The records of ``bundle.json``, which describe a bundle, and the limits that they must keep to."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from edgespeech.runtime.decoder.options import DecoderOptions

FORMAT: Final = "edgespeech-bundle"
VERSION = 1
MANIFEST = "bundle.json"
ACOUSTIC = "acoustic.onnx"
LANGUAGE_MODEL = "lm.bin"
PUNCTUATION = "punctuation.onnx"

# Longer steps and look-aheads are mistakes, and would need memory that no device has.
MAX_CHUNK_SECONDS = 60.0
# No model needs more; a description that asks for more is refused before memory is taken for it.
MAX_LABELS, MAX_FILES, MAX_STATE_DIMS = 100_000, 64, 8
MAX_STATE_VALUES = 1 << 24  # of all states of a stream: 64 MiB
# Silence appended to a recording: a unidirectional model outputs a letter some frames after its sound.
TAIL_SECONDS = 0.3

Positive = Annotated[int, msgspec.Meta(ge=1, le=2**53)]  # a float holds them all
NonNegative = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
LogProb = Annotated[float, msgspec.Meta(ge=-1000.0, le=0.0)]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base class of the records in ``bundle.json``."""


class FileEntry(Record, frozen=True):
    """Size and hexadecimal SHA-256 of a file of the bundle."""

    bytes: NonNegative
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class StateEntry(Record, frozen=True):
    """A streaming state: graph input ``name`` and graph output ``output``, [batch, *shape], initially ``initial``."""

    name: str
    output: str
    shape: tuple[NonNegative, ...]
    dtype: Literal["float32"] = "float32"
    initial: float = 0.0


class AudioFacts(Record, frozen=True, omit_defaults=True):
    """Sample rate, frames, chunks and look-ahead of the acoustic model.

    Attributes:
        sample_rate: Hertz.
        frame_samples: Samples per output frame.
        chunk_samples: Samples per step of the graph; a multiple of ``frame_samples``.
        chunk_free: Whether the graph also takes other multiples of ``frame_samples``.
        delay_frames: Look-ahead: output t belongs to frame ``t - delay_frames``.
        end_state: Name of the state that is the number of samples from a step's first one to the end of the recording,
            for models that were trained with zeros behind it; empty if there is none.
    """

    sample_rate: Annotated[int, msgspec.Meta(ge=1000, le=768000)]
    frame_samples: Positive
    chunk_samples: Positive
    chunk_free: bool
    delay_frames: NonNegative
    end_state: str = ""

    def __post_init__(self) -> None:
        if self.chunk_samples % self.frame_samples:
            raise ValueError(f"chunk_samples {self.chunk_samples} is not a multiple of {self.frame_samples}")
        if max(self.chunk_seconds, self.lookahead_seconds) > MAX_CHUNK_SECONDS:
            raise ValueError(f"the chunk or the look-ahead is longer than {MAX_CHUNK_SECONDS:g} s")

    @property
    def frame_seconds(self) -> float:
        """Duration of an output frame in seconds."""
        return self.frame_samples / self.sample_rate

    @property
    def chunk_seconds(self) -> float:
        """Duration of a step in seconds."""
        return self.chunk_samples / self.sample_rate

    @property
    def lookahead_seconds(self) -> float:
        """Duration of the look-ahead in seconds."""
        return self.delay_frames * self.frame_seconds

    def frames_decoded(self, samples: int) -> int:
        """Return the number of frames of a recording, including those of the silence appended to it.

        A model that is told the end needs no silence, but may have one frame more, at the end itself.
        """
        own = -(-samples // self.frame_samples)
        tail = 1 if self.end_state else round(TAIL_SECONDS / self.frame_seconds)
        return own + tail if samples else 0


class GraphFacts(Record, frozen=True):
    """Form of the recurrence, weight precision, inputs and outputs of the acoustic graph."""

    form: Literal["fused", "cells"]
    precision: Literal["fp32", "fp16", "int8", "int4"]
    states: tuple[StateEntry, ...]
    input: str = "samples"
    output: str = "log_probs"

    def __post_init__(self) -> None:
        inputs = [self.input, *(state.name for state in self.states)]
        outputs = [self.output, *(state.output for state in self.states)]
        if len(set(inputs)) != len(inputs) or len(set(outputs)) != len(outputs):
            raise ValueError("an input or output of the graph is listed twice")
        if any(len(state.shape) > MAX_STATE_DIMS or not math.isfinite(state.initial) for state in self.states):
            raise ValueError(f"a state has more than {MAX_STATE_DIMS} dimensions, or does not begin with a number")
        values = sum(math.prod(state.shape) for state in self.states)
        if values > MAX_STATE_VALUES:
            raise ValueError(f"the states have {values} values; at most {MAX_STATE_VALUES} are allowed")


class DecoderDefaults(Record, frozen=True):
    """Decoder settings for this model, as in `DecoderOptions`, and the minimum mean confidence of a segment's words.

    Without a language model only the beam width and the confidence are used.
    """

    beam_width: Annotated[int, msgspec.Meta(ge=1, le=8192)] = 64  # more would need more than 2 GB
    alpha: Annotated[float, msgspec.Meta(ge=0.0, le=100.0)] = 0.5
    beta: Annotated[float, msgspec.Meta(ge=-100.0, le=100.0)] = 1.5
    unknown_score: Annotated[float, msgspec.Meta(ge=-1000.0, le=0.0)] = -10.0
    min_confidence: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = msgspec.field(default=0.0, name="least_confidence")

    def options(self) -> DecoderOptions:
        """Return these defaults as options of the search."""
        return DecoderOptions(self.beam_width, self.alpha, self.beta, self.unknown_score)


class Manifest(Record, frozen=True):
    """The content of ``bundle.json``.

    Attributes:
        labels: Text of each output; empty for the blank.
        label_priors: Natural log of each label's mean probability in speech, for grammars; left out if not measured.
        provenance: Data, licence, training figures; free keys.
        measured: Figures measured on this bundle; free keys.
    """

    format: Literal["edgespeech-bundle"]
    version: int
    name: str
    labels: tuple[str, ...]
    audio: AudioFacts
    graph: GraphFacts
    files: dict[str, FileEntry]
    blank: NonNegative = 0
    decoder: DecoderDefaults = DecoderDefaults()
    provenance: dict[str, Any] = {}
    measured: dict[str, Any] = {}
    label_priors: tuple[LogProb, ...] | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        if len(self.labels) > MAX_LABELS or len(self.files) > MAX_FILES:
            raise ValueError(f"more than {MAX_LABELS} labels or {MAX_FILES} files")
        if self.blank >= len(self.labels) or self.labels[self.blank] != "":
            raise ValueError(f"label {self.blank} is not the blank (an empty text)")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("a label is listed twice")
        if self.label_priors and len(self.label_priors) != len(self.labels):
            raise ValueError(f"label_priors has {len(self.label_priors)} numbers for {len(self.labels)} labels")
        if self.audio.end_state and self.audio.end_state not in {state.name for state in self.graph.states}:
            raise ValueError(f"end_state {self.audio.end_state!r} is not the name of a state")
        for name in self.files:
            if name != Path(name).name or name in {"", ".", "..", MANIFEST} or "\\" in name:
                raise ValueError(f"file name {name!r} is not a plain name")
        if ACOUSTIC not in self.files:
            raise ValueError(f"files lacks {ACOUSTIC}")
